# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened on this host, as the store has it, from where a reader left off: operations and notices, each told once.

A reader's place survives everything that a store can go through: lines that were dropped, a store that was lost, and
numbers that begin anew after that.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ..errors import EffectError, refuse
from ..times import iso

#: Seconds for which a writer is waited for.
BUSY_TIMEOUT = 5.0
#: Table -> version of the store that brought it, the column of a line's time, and the columns of an event.
TABLES = {
    "operations": (1, "at_unix", "uuid, name, operation, outcome, message"),
    "notices": (2, "queued_unix", "uuid, name, kind, '', message"),
}
KINDS = {"operations": "operation", "notices": "notice"}

Event = Dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """The last line of a table that was told: its number and its time. Both 0: none was."""

    number: int = 0
    at_unix: int = 0


@dataclass(frozen=True)
class Cursor:
    """How far a reader has come."""

    operations: Mark = Mark()
    notices: Mark = Mark()

    def __str__(self) -> str:
        return "-".join(f"{mark.number}.{mark.at_unix}" for mark in (self.operations, self.notices))


def cursor_of(text: str) -> Cursor:
    """A cursor from its text, "" for the beginning. Raises LifecycleError."""
    found = re.fullmatch(r"(\d+)\.(\d+)-(\d+)\.(\d+)", text or str(Cursor()))
    if found is None:
        raise refuse("invalid_option", f"{text} is no cursor: give one that an event had, or end", field="after")
    numbers = [int(each) for each in found.groups()]
    return Cursor(Mark(*numbers[:2]), Mark(*numbers[2:]))


class EventLog:
    """Reads the store below a directory, and writes nothing."""

    def __init__(self, directory: Path) -> None:
        self._database = directory / "state.db"

    def end(self) -> Cursor:
        """The cursor after which nothing happened yet. Raises EffectError."""
        return Cursor(**{table: self._last(table) for table in TABLES})

    def since(self, cursor: Cursor) -> List[Tuple[Event, Cursor]]:
        """What happened after a cursor, operations before notices, each with the cursor of a reader that knows it. Raises EffectError."""
        found = [(row, table) for table in TABLES for row in self._after(table, getattr(cursor, table))]
        told = []
        for row, table in found:  # by number: times go back when a clock does
            number, at_unix, uuid, name, event, outcome, message = row
            marks = {"operations": cursor.operations, "notices": cursor.notices, table: Mark(number, at_unix)}
            cursor = Cursor(**marks)
            words = {"kind": KINDS[table], "event": event, "outcome": outcome, "message": message}
            told.append(({**words, "vm_name": name, "vm_uuid": uuid, "at": iso(at_unix)}, cursor))
        return told

    def _after(self, table: str, mark: Mark) -> List[Any]:
        since, time, columns = TABLES[table]
        start = mark.number if self._goes_on(table, mark) else 0
        return self._read(f"SELECT id, {time}, {columns} FROM {table} WHERE id > ? ORDER BY id", (start,), since)

    def _goes_on(self, table: str, mark: Mark) -> bool:
        """Whether the table is the one that the mark speaks of. A lost store begins anew, and so do numbers when all lines were dropped."""
        if self._last(table).number < mark.number:
            return False
        since, time, _columns = TABLES[table]
        found = self._read(f"SELECT {time} FROM {table} WHERE id = ?", (mark.number,), since)
        return not found or found[0][0] == mark.at_unix

    def _last(self, table: str) -> Mark:
        since, time, _columns = TABLES[table]
        found = self._read(f"SELECT id, {time} FROM {table} ORDER BY id DESC LIMIT 1", (), since)
        return Mark(*found[0]) if found else Mark()

    def _read(self, query: str, parameters: Tuple[int, ...], since: int) -> List[Any]:
        """Rows; none of a store that is not there yet, or too old to have them."""
        if not self._database.exists():
            return []
        address = f"{self._database.absolute().as_uri()}?mode=rw"  # never made, but readers need its journal
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT)) as database:
                database.execute("PRAGMA query_only=ON")
                version = int(database.execute("PRAGMA user_version").fetchone()[0])
                return database.execute(query, parameters).fetchall() if version >= since else []
        except sqlite3.Error as error:
            raise EffectError("store_unusable", f"{self._database}: {error}") from error
