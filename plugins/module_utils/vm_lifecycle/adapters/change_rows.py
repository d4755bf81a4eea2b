# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How changes become rows of the store: those that no boot of a host makes. Runs inside the transaction that is open."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any, Dict

from ..changes import (
    DropPlan,
    Forget,
    ForgetPressed,
    ForgetRecovery,
    NoticeTried,
    Prune,
    QueueNotice,
    Remember,
    RememberPlan,
    RememberPools,
    RememberPressed,
    RememberRecovery,
    RememberRestart,
    RememberSchedule,
)
from ..times import iso
from . import snapshot_rows
from .durable_files import decoded
from .removal_rows import NOTICE_COLUMNS
from .store_rows import decode_schedule, encodable

TOMBSTONE = '%"document": {}%'  # as JSON, a record of which only the revision is known


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


def _remember_pools(database: sqlite3.Connection, change: RememberPools) -> None:
    database.execute("DELETE FROM pools")
    database.executemany("INSERT INTO pools VALUES (?, ?)", sorted(change.pools.items()))


def _remember_plan(database: sqlite3.Connection, change: RememberPlan) -> None:
    row = (change.plan.plan_id, change.plan.created_unix, json.dumps(asdict(change.plan)))
    database.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)


def _drop_plan(database: sqlite3.Connection, change: DropPlan) -> None:
    database.execute("DELETE FROM plans WHERE plan_id = ?", (change.plan_id,))


def _queue_notice(database: sqlite3.Connection, change: QueueNotice) -> None:
    values = tuple(encodable(value) for value in asdict(change.notice).values())
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT OR IGNORE INTO notices ({NOTICE_COLUMNS}) VALUES ({marks})", values)


def _notice_tried(database: sqlite3.Connection, change: NoticeTried) -> None:
    delivered = 0 if change.error else change.at_unix
    database.execute(
        "UPDATE notices SET attempts = attempts + 1, error = ?, delivered_unix = ? WHERE key = ?",
        (encodable(change.error), delivered, encodable(change.key)),
    )


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
    first = "(SELECT min(id) FROM operations WHERE at_unix BETWEEN ? AND ?)"
    database.execute(
        f"DELETE FROM operations WHERE at_unix < ? AND id < coalesce({first}, id + 1)",
        (change.before_unix, change.before_unix, change.now_unix),
    )
    database.execute("DELETE FROM notices WHERE max(queued_unix, delivered_unix) < ?", (change.before_unix,))


def _remember_pressed(database: sqlite3.Connection, change: RememberPressed) -> None:
    row = (change.pressed.uuid, json.dumps(asdict(change.pressed)))
    database.execute("INSERT OR REPLACE INTO pressed VALUES (?, ?)", row)


def _forget_pressed(database: sqlite3.Connection, change: ForgetPressed) -> None:
    database.execute("DELETE FROM pressed WHERE uuid = ?", (change.uuid,))


WRITERS: Dict[type, Any] = {
    Remember: _remember,
    Forget: _forget,
    RememberSchedule: _remember_schedule,
    RememberPools: _remember_pools,
    RememberPlan: _remember_plan,
    DropPlan: _drop_plan,
    QueueNotice: _queue_notice,
    NoticeTried: _notice_tried,
    Prune: _prune,
    RememberRecovery: _remember_recovery,
    RememberRestart: _remember_restart,
    ForgetRecovery: _forget_recovery,
    **snapshot_rows.WRITERS,
    RememberPressed: _remember_pressed,
    ForgetPressed: _forget_pressed,
}
