# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store on SQLite: one database for what happened, and one file for each removal that has begun.

A reader that finds no database sees an empty store and creates nothing, so that check mode leaves no trace. A damaged
database is set aside by the next writer and counts as lost; intents are files of their own and survive that.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple, TypeVar

from ..changes import Forget, LogOperation, Remember, RememberClock, RememberSchedule, StoreChange
from ..errors import EffectError
from ..model import ClockMemory, ClockReading, Document, FileIdentity, Intent, Record, VolumeVerdict
from ..times import iso

SCHEMA_VERSION = 1
TABLES = """
CREATE TABLE vms (uuid TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE schedules (uuid TEXT PRIMARY KEY, schedule TEXT NOT NULL);
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), memory TEXT NOT NULL);
CREATE TABLE operations (
    id INTEGER PRIMARY KEY, at_unix INTEGER NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,
    operation TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL);
"""
#: Seconds that a writer waits for another one.
BUSY_TIMEOUT = 30.0

Result = TypeVar("Result")


class SqliteStore:
    """Store on files below directory (0700). Opened anew for each call: a run makes few of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._database = directory / "state.db"
        self._intents = directory / "intents"

    def records(self) -> Dict[str, Record]:
        rows = self._read("SELECT uuid, record FROM vms")
        return _decoded(rows, _decode_record)

    def schedules(self) -> Dict[str, Document]:
        return _decoded(self._read("SELECT uuid, schedule FROM schedules"), _decode_schedule)

    def clock(self) -> ClockMemory:
        rows = self._read("SELECT 'clock', memory FROM clock")
        return _decoded(rows, _decode_clock).get("clock", ClockMemory())

    def operations(self, limit: int) -> List[LogOperation]:
        columns = "at_unix, uuid, name, operation, outcome, message"
        rows = self._read(f"SELECT {columns} FROM operations ORDER BY id DESC LIMIT ?", (limit,))
        return [LogOperation(*row) for row in rows]

    def save(self, changes: Sequence[StoreChange]) -> None:
        def write() -> None:
            with closing(self._open_for_writing()) as database:
                _write_all(database, changes)

        try:
            self._guarded(write)
        except _Damaged:
            self._guarded(self._set_aside)
            try:
                self._guarded(write)
            except _Damaged as error:
                raise EffectError("store_unusable", f"{self._database} can't be set aside") from error

    def intents(self) -> List[Intent]:
        def read() -> List[Intent]:
            if not self._intents.is_dir():
                return []
            rows = [(path.stem, path.read_text("utf-8", "replace")) for path in sorted(self._intents.glob("*.json"))]
            found = _decoded(rows, _decode_intent)
            return [intent for name, intent in found.items() if intent.uuid == name]

        return self._guarded(read)

    def damage(self) -> List[str]:
        names = sorted(path.stem for path in self._intents.glob("*.json")) if self._intents.is_dir() else []
        known = {intent.uuid for intent in self.intents()}
        told = "can't be understood: a removal that began may have left its disks; look at it, then move it away"
        return [f"{self._intents / name}.json {told}" for name in names if name not in known]

    def write_intent(self, intent: Intent) -> None:
        def write() -> None:
            self._create_directories()
            for left in self._intents.glob(f".{intent.uuid}.json.*"):  # by a run that was killed while it wrote
                left.unlink()
            _write_durably(self._intents / f"{intent.uuid}.json", json.dumps(asdict(intent)))

        self._guarded(write)

    def drop_intent(self, uuid: str) -> None:
        def drop() -> None:
            path = self._intents / f"{uuid}.json"
            if path.exists():
                path.unlink()
                _sync_directory(self._intents)

        self._guarded(drop)

    def _read(self, query: str, parameters: Sequence[Any] = ()) -> List[Any]:
        def read() -> List[Any]:
            if not self._database.exists():
                return []
            with closing(self._connect()) as database:
                if _version(database) != SCHEMA_VERSION:
                    return []
                return database.execute(query, parameters).fetchall()

        try:
            return self._guarded(read)
        except _Damaged:
            return []  # counts as lost; the next writer sets it aside

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(str(self._database), timeout=BUSY_TIMEOUT)
        database.execute("PRAGMA synchronous=FULL")
        return database

    def _open_for_writing(self) -> sqlite3.Connection:
        self._create_directories()
        if not self._database.exists():
            self._create()
        database = self._connect()
        try:
            version = _version(database)
            if version == 0:
                raise _Damaged  # an empty file: a database of ours has tables and a version before it has its name
            if version != SCHEMA_VERSION:
                raise EffectError("store_unusable", f"{self._database} was written by a newer version of this software")
        except BaseException:
            database.close()
            raise
        return database

    def _create(self) -> None:
        """Make a whole database, then give it its name, unless another process was first."""
        descriptor, temporary = tempfile.mkstemp(prefix=".state.db.", dir=self._directory)
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(temporary)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.executescript(f"BEGIN; {TABLES} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            os.link(temporary, self._database)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
        _sync_directory(self._directory)

    def _create_directories(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._intents.mkdir(mode=0o700, exist_ok=True)

    def _set_aside(self) -> None:
        """Move a damaged database away, with its journal, under a name that no earlier one has."""
        number = 1
        while (self._directory / f"state.db.damaged-{number}").exists():
            number += 1
        for suffix in ("", "-wal", "-shm"):
            path = self._directory / f"state.db{suffix}"
            if path.exists():
                os.replace(path, self._directory / f"state.db.damaged-{number}{suffix}")

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except sqlite3.OperationalError as error:  # full, locked, read-only: the file itself may be sound
            if "no such" in str(error):  # a table or a column: it is no database of ours, whatever its version says
                raise _Damaged from error
            raise EffectError("store_unusable", f"{self._database}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise _Damaged from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EffectError("store_unusable", f"{self._directory}: {error}") from error


class _Damaged(Exception):
    """The file is not a database, or not one that can be read."""


def _write_all(database: sqlite3.Connection, changes: Sequence[StoreChange]) -> None:
    with database:  # one transaction: all changes, or none
        for change in changes:
            _write(database, change)


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _write(database: sqlite3.Connection, change: StoreChange) -> None:
    if isinstance(change, Remember):
        text = json.dumps(vars(change.record))
        database.execute(
            "INSERT INTO vms VALUES (?, ?, ?) ON CONFLICT (uuid) DO UPDATE"
            " SET revision = excluded.revision, record = excluded.record WHERE excluded.revision >= vms.revision",
            (change.record.uuid, change.record.revision, text),
        )
    elif isinstance(change, Forget):
        database.execute("DELETE FROM vms WHERE uuid = ?", (change.uuid,))
        database.execute("DELETE FROM schedules WHERE uuid = ?", (change.uuid,))
    elif isinstance(change, RememberSchedule):
        text = json.dumps(change.schedule)
        database.execute("INSERT OR REPLACE INTO schedules VALUES (?, ?)", (change.uuid, text))
    elif isinstance(change, RememberClock):
        database.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (json.dumps(asdict(change.memory)),))
    else:
        line = (change.at_unix, change.uuid, change.name, change.operation, change.outcome, change.message)
        database.execute(
            "INSERT INTO operations (at_unix, uuid, name, operation, outcome, message) VALUES (?, ?, ?, ?, ?, ?)", line
        )


def _decoded(rows: Iterable[Tuple[str, str]], decode: Callable[[Any], Result]) -> Dict[str, Result]:
    """What can be decoded. A row that can't counts as unknown, which keeps its VM: one of them must not stop a host."""
    found: Dict[str, Result] = {}
    for key, text in rows:
        try:
            found[key] = decode(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            continue
    return found


def _decode_record(stored: Any) -> Record:
    record = Record(**stored)
    if not isinstance(record.revision, int) or (record.document and "persistence" not in record.document):
        raise ValueError("not a record")
    return record


def _decode_schedule(stored: Any) -> Document:
    if not isinstance(stored, dict):
        raise ValueError("not a schedule")
    return stored


def _decode_clock(stored: Any) -> ClockMemory:
    suspect = stored.pop("suspect_since")
    memory = ClockMemory(**stored, suspect_since=ClockReading(**suspect) if suspect else None)
    iso(memory.high_water)  # a time that no calendar has is no memory
    return memory


def _decode_intent(stored: Any) -> Intent:
    verdicts = []
    for verdict in stored.pop("volumes"):
        identity = verdict.pop("identity")
        used_by = tuple(verdict.pop("used_by"))
        verdicts.append(
            VolumeVerdict(**verdict, used_by=used_by, identity=FileIdentity(**identity) if identity else None)
        )
    intent = Intent(**stored, volumes=tuple(verdicts))
    iso(intent.started_unix)
    if not isinstance(intent.schedule, dict) or not isinstance(intent.name, str):
        raise ValueError("not an intent")
    return intent


def _write_durably(path: Path, text: str) -> None:
    """The file holds either the old text or the new one, whenever the power goes."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
