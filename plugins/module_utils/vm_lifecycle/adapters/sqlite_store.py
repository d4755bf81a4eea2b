# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store on SQLite: one database for what happened, one file for each removal that has begun, or that can be undone.

A reader that finds no database sees an empty store and creates nothing, so that check mode leaves no trace. A damaged
database is set aside by the next writer and counts as lost; intents are files of their own and survive that.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Sequence, TypeVar

from ..errors import EffectError
from ..host_changes import LogOperation
from ..model import ClockMemory, Document, Record
from . import store_rows as rows
from .durable_files import JsonFiles, decoded, make_directory, sync_directory
from .keeping_books import KeepingBooks
from .manifest_files import ManifestFiles
from .reading import Together
from .snapshot_books import SnapshotBooks
from .store_tables import TABLES

if TYPE_CHECKING:
    from ..changes import StoreChange
    from ..recoveries import Manifest, Recovery
    from ..removals import Intent, Notice, SweepPlan, UndoRecord

#: Version of the database; an older one is upgraded where it stands.
SCHEMA_VERSION = max(TABLES)
#: Seconds that a writer waits for another one.
BUSY_TIMEOUT = 30.0

Result = TypeVar("Result")


class SqliteStore(Together, KeepingBooks, SnapshotBooks):
    """Store on files below directory (0700). Opened anew for each call: a run makes few of them, from several threads."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._database = directory / "state.db"
        self._intents: JsonFiles[Intent] = JsonFiles(directory / "intents", rows.intent)
        self._undo: JsonFiles[UndoRecord] = JsonFiles(directory / "undo", rows.undo)
        self._manifests = ManifestFiles(directory / "manifests")

    def records(self, uuids: rows.Uuids = None) -> Dict[str, Record]:
        return decoded(self._read(*rows.select("record", "vms", uuids)), rows.decode_record)

    def schedules(self) -> Dict[str, Document]:
        return decoded(self._read("SELECT uuid, schedule FROM schedules"), rows.decode_schedule)

    def clock(self) -> ClockMemory:
        found = self._read("SELECT 'clock', memory FROM clock")
        return decoded(found, rows.decode_clock).get("clock", ClockMemory())

    def operations(self, limit: int) -> List[LogOperation]:
        columns = "at_unix, uuid, name, operation, outcome, message"
        found = self._read(f"SELECT {columns} FROM operations ORDER BY id DESC LIMIT ?", (limit,))
        return [LogOperation(*row) for row in found]

    def plans(self) -> List[SweepPlan]:
        from .removal_rows import decode_plan

        found = self._read("SELECT plan_id, plan FROM plans ORDER BY created_unix, plan_id", since=2)
        return list(decoded(found, decode_plan).values())

    def notices(self) -> List[Notice]:
        from .removal_rows import NOTICE_COLUMNS, decode_notice

        return [decode_notice(row) for row in self._read(f"SELECT {NOTICE_COLUMNS} FROM notices ORDER BY id", since=2)]

    def pools(self) -> Dict[str, int]:
        return dict(self._read("SELECT name, missed_since FROM pools", since=2))

    def recoveries(self, uuids: rows.Uuids = None) -> Dict[str, Recovery]:
        from .recovery_rows import decode_recovery

        return decoded(self._read(*rows.select("recovery", "recoveries", uuids), since=4), decode_recovery)

    def manifests(self) -> Dict[str, Manifest]:
        return self._guarded(self._manifests.whole)

    def save(self, changes: Sequence[StoreChange]) -> None:
        def write() -> None:
            with closing(self._open_for_writing()) as database:
                _write_all(database, changes)

        before = self._guarded(self._identity)
        try:
            self._guarded(write)
        except _Damaged:
            self._guarded(lambda: self._set_aside(before))
            try:
                self._guarded(write)
            except _Damaged as error:
                raise EffectError("store_unusable", f"{self._database} can't be set aside") from error

    def intents(self) -> List[Intent]:
        return list(self._guarded(self._intents.read).values())

    def undo_records(self) -> List[UndoRecord]:
        return list(self._guarded(self._undo.read).values())

    def damage(self) -> List[str]:
        told = "can't be understood: a removal that began may have left its disks; look at it, then move it away"
        kept = "can't be understood: it may be all that is left of a VM that was removed; look at it, then move it away"
        return [
            *(f"{path} {told}" for path in self._guarded(self._intents.damaged)),
            *(f"{path} {kept}" for path in self._guarded(self._undo.damaged)),
        ]

    def write_intent(self, intent: Intent) -> None:
        self._guarded(lambda: self._write_file(self._intents, intent.uuid, intent))

    def drop_intent(self, uuid: str) -> None:
        self._guarded(lambda: self._intents.drop(uuid))

    def write_undo(self, record: UndoRecord) -> None:
        self._guarded(lambda: self._write_file(self._undo, record.uuid, record))

    def drop_undo(self, uuid: str) -> None:
        self._guarded(lambda: self._undo.drop(uuid))

    def write_manifest(self, manifest: Manifest) -> None:
        self._guarded(lambda: self._write_file(self._manifests, manifest.uuid, manifest))

    def directory(self, name: str) -> str:
        path = self._directory / name
        self._guarded(lambda: make_directory(self._directory))
        self._guarded(lambda: make_directory(path))
        return str(path)

    def drop_manifest(self, uuid: str) -> None:
        self._guarded(lambda: self._manifests.drop(uuid))

    def _write_file(self, files: JsonFiles[Any], uuid: str, value: Any) -> None:
        make_directory(self._directory)
        files.write(uuid, asdict(value))

    def _read(self, query: str, parameters: Sequence[Any] = (), since: int = 1) -> List[Any]:
        """Rows of a query on tables that a database has since a version; none from an older one.

        SQLite makes files for reading, too, which a full disk has no place for. A database that nobody has open is whole without them.
        """

        def read(connect: Callable[[], sqlite3.Connection]) -> List[Any]:
            if not self._database.exists():
                return []
            with self._reading(connect) as database:
                if not since <= _version(database) <= SCHEMA_VERSION:
                    return []
                return database.execute(query, parameters).fetchall()

        try:
            return self._guarded(lambda: read(self._connect))
        except _Damaged:
            return []  # counts as lost; the next writer sets it aside
        except EffectError:
            if self._guarded(self._has_journal):
                raise
            try:
                return self._guarded(lambda: read(self._connect_as_is))
            except _Damaged as damaged:
                raise EffectError("store_unusable", f"{self._database} can't be read") from damaged

    def _has_journal(self) -> bool:
        """Whether some of the database is in its journal still. A reader that failed may have left an empty one."""
        path = self._directory / f"{self._database.name}-wal"
        return path.exists() and path.stat().st_size > 0

    def _connect_as_is(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._database.absolute().as_uri()}?immutable=1", uri=True)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(str(self._database), timeout=BUSY_TIMEOUT)
        database.execute("PRAGMA synchronous=FULL")
        return database

    def _open_for_writing(self) -> sqlite3.Connection:
        make_directory(self._directory)
        if not self._database.exists():
            with self._alone():
                self._create()
        database = self._connect()
        try:
            version = _version(database)
            if version == 0:
                raise _Damaged  # an empty file: a database of ours has tables and a version before it has its name
            if version < SCHEMA_VERSION:
                _upgrade(database)
            elif version > SCHEMA_VERSION:
                way = "install that version again, or move the file away: then history is lost, and the next sweep only marks what it finds"
                said = f"{self._database} was written by a newer version of this software; {way}"
                raise EffectError("store_unusable", said)
        except BaseException:
            database.close()
            raise
        return database

    def _create(self) -> None:
        """Make a whole database, then give it its name, unless another run was first."""
        if self._database.exists():
            return
        self._move_away()  # SQLite would carry the lost database's journal over into the new one
        import tempfile  # once in the life of a host

        descriptor, temporary = tempfile.mkstemp(prefix=".state.db.", dir=self._directory)
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(temporary)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                tables = " ".join(TABLES.values())
                database.executescript(f"BEGIN; {tables} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            os.link(temporary, self._database)
        finally:
            os.unlink(temporary)
        sync_directory(self._directory)

    def _set_aside(self, damaged: int) -> None:
        """Move the damaged database away, unless another run did: what that one wrote since must not be lost."""
        with self._alone():
            if self._identity() == damaged:
                self._move_away()

    def _identity(self) -> int:
        """The database's inode, 0 for none."""
        return self._database.stat().st_ino if self._database.exists() else 0

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One run at a time, and one thread of it: a second one would set aside what the first one made."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _move_away(self) -> None:
        """Move what there is of a database, which may be its journal alone, under a name that no earlier one has."""
        number = 1
        while list(self._directory.glob(f"state.db.damaged-{number}*")):
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
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
            # what was to be written is odd, and not the file
            raise EffectError("store_unusable", f"{self._database}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise _Damaged from error
        except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise EffectError("store_unusable", f"{self._directory}: {error}") from error


class _Damaged(Exception):
    """The file is not a database, or not one that can be read."""


def _write_all(database: sqlite3.Connection, changes: Sequence[StoreChange]) -> None:
    with database:  # one transaction: all changes, or none
        for change in changes:
            rows.write(database, change)


def _upgrade(database: sqlite3.Connection) -> None:
    """From whichever version it has, in one transaction, unless another process was first."""
    database.execute("BEGIN IMMEDIATE")
    before = _version(database)
    for version in range(before + 1, SCHEMA_VERSION + 1):
        for statement in TABLES[version].split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version={max(before, SCHEMA_VERSION)}")
    database.commit()


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
