# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the store, to and from the engine's nouns. Whatever is not of their shape raises ValueError, TypeError or KeyError.

Here is what a host's boot reads and writes; the rest is in change_rows.py and removal_rows.py.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Collection, Dict, Optional, Tuple

from ..boots import BootRun, LastState, StartRecord
from ..host_changes import LogOperation, RememberBoot, RememberClock, RememberStart, RememberState
from ..model import ClockMemory, ClockReading, Document, Record
from ..policy.power import heard_since
from ..times import iso
from .declared_rows import document, schedule, whole_number
from .durable_files import decoded
from .plain_rows import plain, typed

if TYPE_CHECKING:
    from ..changes import StoreChange
    from ..removals import Intent, UndoRecord
    from ..restarts import RestartRecord

Uuids = Optional[Collection[str]]  # of which VMs something is read; None for all


def select(column: str, table: str, uuids: Uuids) -> Tuple[str, Tuple[str, ...]]:
    """A query for a column by UUID, of some VMs or of all, with its values."""
    query = f"SELECT uuid, {column} FROM {table}"
    return (query, ()) if uuids is None else (f"{query} WHERE uuid IN ({', '.join('?' * len(uuids))})", tuple(uuids))


def write(database: sqlite3.Connection, change: StoreChange) -> None:
    """Carry out one change inside the transaction that is open."""
    writer = WRITERS.get(type(change))
    if writer is None:
        from . import change_rows  # the VMs of a host that boots wait for no words of clean-ups

        writer = change_rows.WRITERS[type(change)]
    writer(database, change)


def _remember_clock(database: sqlite3.Connection, change: RememberClock) -> None:
    database.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (json.dumps(asdict(change.memory)),))


def _remember_state(database: sqlite3.Connection, change: RememberState) -> None:
    if change.unless_heard_since is not None and _heard_since(database, change.state, change.unless_heard_since):
        return
    row = (change.state.uuid, json.dumps(asdict(change.state)))
    database.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", row)


def _heard_since(database: sqlite3.Connection, state: LastState, since: int) -> bool:
    """Whether a supervisor wrote something newer; it can't do so before the transaction ends."""
    if not database.in_transaction:
        database.execute("BEGIN IMMEDIATE")
    found = decoded(database.execute(*select("state", "states", [state.uuid])), decode_state)
    return heard_since(found.get(state.uuid), since, state.boot_id)


def _remember_start(database: sqlite3.Connection, change: RememberStart) -> None:
    row = (change.start.uuid, json.dumps(asdict(change.start)))
    database.execute("INSERT OR REPLACE INTO starts VALUES (?, ?)", row)


def _remember_boot(database: sqlite3.Connection, change: RememberBoot) -> None:
    database.execute("INSERT OR REPLACE INTO boot VALUES (1, ?)", (json.dumps(asdict(change.run)),))


def encodable(value: Any) -> Any:
    """A value of a column. A file's name need be no text: its odd bytes are written out, or the row could not be."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _log(database: sqlite3.Connection, line: LogOperation) -> None:
    columns = (line.at_unix, line.uuid, line.name, line.operation, line.outcome, line.message)
    row = tuple(encodable(column) for column in columns)
    database.execute(
        "INSERT INTO operations (at_unix, uuid, name, operation, outcome, message) VALUES (?, ?, ?, ?, ?, ?)", row
    )


WRITERS: Dict[type, Any] = {
    RememberClock: _remember_clock,
    RememberState: _remember_state,
    RememberStart: _remember_start,
    RememberBoot: _remember_boot,
    LogOperation: _log,
}


def decode_record(stored: Any) -> Record:
    """A Record."""
    record = typed(Record(**stored))
    whole_number(record.revision, "revision")
    if document(record.document) and record.document.get("persistence") is None:
        raise ValueError("not a record")
    return record


def decode_schedule(stored: Any) -> Document:
    """A VmCleanupSchedule."""
    return schedule(stored)


def decode_clock(stored: Any) -> ClockMemory:
    """The clock's memory."""
    suspect = stored.pop("suspect_since")
    memory = ClockMemory(**stored, suspect_since=ClockReading(**suspect) if suspect else None)
    iso(memory.high_water)  # a time that no calendar has is no memory
    return memory


def decode_state(stored: Any) -> LastState:
    """What a VM was last seen to be."""
    return plain(LastState, stored)


def decode_start(stored: Any) -> StartRecord:
    """How a VM's start went."""
    return plain(StartRecord, stored)


def decode_restart(stored: Any) -> RestartRecord:
    """Where a VM is between its stop and its restart."""
    from ..policy.restart import PHASES
    from ..restarts import RestartRecord

    record = plain(RestartRecord, stored)
    if record.phase not in PHASES or record.restart_count < 0:
        raise ValueError("not a restart")
    return record


def decode_boot(stored: Any) -> BootRun:
    """A boot whose VMs were started in order."""
    run = plain(BootRun, stored)
    iso(run.began_unix)
    iso(run.ended_unix)
    return run


def intent(stored: Any) -> Intent:
    """An Intent. Most hosts that boot have none, and no VM waits for what they are made of."""
    from .removal_rows import decode_intent

    return decode_intent(stored)


def undo(stored: Any) -> UndoRecord:
    """An UndoRecord."""
    from .removal_rows import decode_undo

    return decode_undo(stored)
