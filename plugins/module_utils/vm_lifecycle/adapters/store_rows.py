# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and files of the store, to and from the engine's nouns. Whatever is not of their shape raises ValueError, TypeError or KeyError."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Collection, Dict, Optional, Tuple

from ..boots import BootRun, LastState, StartRecord
from ..changes import (
    DropPlan,
    Forget,
    ForgetRecovery,
    LogOperation,
    NoticeTried,
    Prune,
    QueueNotice,
    Remember,
    RememberBoot,
    RememberClock,
    RememberPlan,
    RememberPools,
    RememberRecovery,
    RememberRestart,
    RememberSchedule,
    RememberStart,
    RememberState,
    StoreChange,
)
from ..model import (
    ClockMemory,
    ClockReading,
    Document,
    FileIdentity,
    Intent,
    Notice,
    Record,
    SavedDomain,
    SeenVm,
    SweepPlan,
    UndoRecord,
    VolumeVerdict,
)
from ..times import iso
from . import pressure_rows, snapshot_rows
from .durable_files import decoded
from .plain_rows import plain

if TYPE_CHECKING:
    from ..restarts import RestartRecord

TOMBSTONE = '%"document": {}%'  # as JSON, a record of which only the revision is known
NOTICE_COLUMNS = "key, kind, uuid, name, message, queued_unix, delivered_unix, attempts, error"

Uuids = Optional[Collection[str]]  # of which VMs something is read; None for all


def select(column: str, table: str, uuids: Uuids) -> Tuple[str, Tuple[str, ...]]:
    """A query for a column by UUID, of some VMs or of all, with its values."""
    query = f"SELECT uuid, {column} FROM {table}"
    return (query, ()) if uuids is None else (f"{query} WHERE uuid IN ({', '.join('?' * len(uuids))})", tuple(uuids))


def write(database: sqlite3.Connection, change: StoreChange) -> None:
    """Carry out one change inside the transaction that is open."""
    WRITERS[type(change)](database, change)


def _remember(database: sqlite3.Connection, change: Remember) -> None:
    text = json.dumps(vars(change.record))
    database.execute(
        "INSERT INTO vms VALUES (?, ?, ?) ON CONFLICT (uuid) DO UPDATE"
        " SET revision = excluded.revision, record = excluded.record WHERE excluded.revision >= vms.revision",
        (change.record.uuid, change.record.revision, text),
    )


def _forget(database: sqlite3.Connection, change: Forget) -> None:
    for table in ("vms", "schedules", "states", "starts", "recoveries", "restarts", "snapshots", "counters"):
        database.execute(f"DELETE FROM {table} WHERE uuid = ?", (change.uuid,))


def _remember_schedule(database: sqlite3.Connection, change: RememberSchedule) -> None:
    row = (change.uuid, json.dumps(change.schedule))
    database.execute("INSERT OR REPLACE INTO schedules VALUES (?, ?)", row)


def _remember_clock(database: sqlite3.Connection, change: RememberClock) -> None:
    database.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (json.dumps(asdict(change.memory)),))


def _remember_pools(database: sqlite3.Connection, change: RememberPools) -> None:
    database.execute("DELETE FROM pools")
    database.executemany("INSERT INTO pools VALUES (?, ?)", sorted(change.pools.items()))


def _remember_plan(database: sqlite3.Connection, change: RememberPlan) -> None:
    row = (change.plan.plan_id, change.plan.created_unix, json.dumps(asdict(change.plan)))
    database.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)


def _drop_plan(database: sqlite3.Connection, change: DropPlan) -> None:
    database.execute("DELETE FROM plans WHERE plan_id = ?", (change.plan_id,))


def _queue_notice(database: sqlite3.Connection, change: QueueNotice) -> None:
    values = tuple(asdict(change.notice).values())
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT OR IGNORE INTO notices ({NOTICE_COLUMNS}) VALUES ({marks})", values)


def _notice_tried(database: sqlite3.Connection, change: NoticeTried) -> None:
    delivered = 0 if change.error else change.at_unix
    database.execute(
        "UPDATE notices SET attempts = attempts + 1, error = ?, delivered_unix = ? WHERE key = ?",
        (change.error, delivered, change.key),
    )


def _remember_state(database: sqlite3.Connection, change: RememberState) -> None:
    row = (change.state.uuid, json.dumps(asdict(change.state)))
    database.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", row)


def _remember_start(database: sqlite3.Connection, change: RememberStart) -> None:
    row = (change.start.uuid, json.dumps(asdict(change.start)))
    database.execute("INSERT OR REPLACE INTO starts VALUES (?, ?)", row)


def _remember_boot(database: sqlite3.Connection, change: RememberBoot) -> None:
    database.execute("INSERT OR REPLACE INTO boot VALUES (1, ?)", (json.dumps(asdict(change.run)),))


def _remember_recovery(database: sqlite3.Connection, change: RememberRecovery) -> None:
    row = (change.recovery.uuid, json.dumps(asdict(change.recovery)))
    database.execute("INSERT OR REPLACE INTO recoveries VALUES (?, ?)", row)


def _remember_restart(database: sqlite3.Connection, change: RememberRestart) -> None:
    row = (change.restart.uuid, json.dumps(asdict(change.restart)))
    database.execute("INSERT OR REPLACE INTO restarts VALUES (?, ?)", row)


def _forget_recovery(database: sqlite3.Connection, change: ForgetRecovery) -> None:
    database.execute("DELETE FROM recoveries WHERE uuid = ?", (change.uuid,))


def _prune(database: sqlite3.Connection, change: Prune) -> None:
    """What is known of a removed VM goes with its completed schedule, unless the VM exists again."""
    before = iso(max(change.before_unix, 0)) or ""
    schedules = decoded(database.execute("SELECT uuid, schedule FROM schedules").fetchall(), decode_schedule)
    for uuid, found in schedules.items():
        ended = found.get("cleanup_status") == "completed" and str(found.get("last_cleanup_attempt", "")) < before
        if ended and uuid not in change.existing:
            database.execute("DELETE FROM schedules WHERE uuid = ?", (uuid,))
            database.execute("DELETE FROM vms WHERE uuid = ? AND record LIKE ?", (uuid, TOMBSTONE))
    for table in ("states", "starts", "restarts", "pressed"):
        left = database.execute(f"SELECT uuid FROM {table} WHERE uuid NOT IN (SELECT uuid FROM vms)").fetchall()
        gone = [row for row in left if row[0] not in change.existing]
        database.executemany(f"DELETE FROM {table} WHERE uuid = ?", gone)
    snapshot_rows.prune(database, change)
    database.execute("DELETE FROM operations WHERE at_unix < ?", (change.before_unix,))
    database.execute("DELETE FROM notices WHERE max(queued_unix, delivered_unix) < ?", (change.before_unix,))


def _log(database: sqlite3.Connection, line: LogOperation) -> None:
    row = (line.at_unix, line.uuid, line.name, line.operation, line.outcome, line.message)
    database.execute(
        "INSERT INTO operations (at_unix, uuid, name, operation, outcome, message) VALUES (?, ?, ?, ?, ?, ?)", row
    )


WRITERS: Dict[type, Any] = {
    Remember: _remember,
    Forget: _forget,
    RememberSchedule: _remember_schedule,
    RememberClock: _remember_clock,
    RememberPools: _remember_pools,
    RememberPlan: _remember_plan,
    DropPlan: _drop_plan,
    QueueNotice: _queue_notice,
    NoticeTried: _notice_tried,
    Prune: _prune,
    RememberState: _remember_state,
    RememberStart: _remember_start,
    RememberBoot: _remember_boot,
    RememberRecovery: _remember_recovery,
    RememberRestart: _remember_restart,
    ForgetRecovery: _forget_recovery,
    LogOperation: _log,
    **snapshot_rows.WRITERS,
    **pressure_rows.WRITERS,
}


def decode_record(stored: Any) -> Record:
    """A Record."""
    record = Record(**stored)
    if not isinstance(record.revision, int) or (record.document and "persistence" not in record.document):
        raise ValueError("not a record")
    return record


def decode_schedule(stored: Any) -> Document:
    """A VmCleanupSchedule."""
    if not isinstance(stored, dict):
        raise ValueError("not a schedule")
    return stored


def decode_clock(stored: Any) -> ClockMemory:
    """The clock's memory."""
    suspect = stored.pop("suspect_since")
    memory = ClockMemory(**stored, suspect_since=ClockReading(**suspect) if suspect else None)
    iso(memory.high_water)  # a time that no calendar has is no memory
    return memory


def decode_plan(stored: Any) -> SweepPlan:
    """A SweepPlan."""
    plan = SweepPlan(**{**stored, "vms": tuple(SeenVm(**vm) for vm in stored["vms"])})
    iso(plan.created_unix)
    for vm in plan.vms:
        iso(vm.confirmed_unix)
    return plan


def decode_notice(row: Any) -> Notice:
    """A Notice from its columns."""
    return Notice(*row)


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


def decode_intent(stored: Any) -> Intent:
    """An Intent. One of an earlier version has fewer fields, whose defaults say what it meant."""
    intent = Intent(**{**stored, "volumes": _verdicts(stored["volumes"])})
    iso(intent.started_unix)
    if not isinstance(intent.schedule, dict) or not isinstance(intent.name, str):
        raise ValueError("not an intent")
    return intent


def decode_undo(stored: Any) -> UndoRecord:
    """An UndoRecord."""
    saved = SavedDomain(**{**stored["saved"], "snapshots": tuple(stored["saved"]["snapshots"])})
    record = UndoRecord(**{**stored, "saved": saved, "volumes": _verdicts(stored["volumes"])})
    iso(record.removed_unix)
    iso(record.until_unix)
    if not isinstance(record.document["revision"], int) or not isinstance(record.schedule, dict):
        raise ValueError("not an undo record")
    return record


def _verdicts(stored: Any) -> Any:
    return tuple(
        VolumeVerdict(**{
            **verdict,
            "used_by": tuple(verdict["used_by"]),
            "identity": FileIdentity(**verdict["identity"]) if verdict["identity"] else None,
        })
        for verdict in stored
    )  # fmt: skip
