# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what VMs do and use becomes rows of the store, and when such rows are dropped."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any, Dict

from ..changes import Prune, RememberSnapshot, RememberSweep


def _remember_snapshot(database: sqlite3.Connection, change: RememberSnapshot) -> None:
    sample = change.sample
    row = (sample.uuid, sample.taken_unix, json.dumps(sample.snapshot))
    database.execute("INSERT INTO snapshots (uuid, taken_unix, snapshot) VALUES (?, ?, ?)", row)
    database.execute(
        "DELETE FROM snapshots WHERE uuid = ? AND id <="
        " (SELECT id FROM snapshots WHERE uuid = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (sample.uuid, sample.uuid, change.keep),
    )
    counters = (sample.uuid, json.dumps(asdict(sample.counters)))
    database.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", counters)


def _remember_sweep(database: sqlite3.Connection, change: RememberSweep) -> None:
    database.execute("INSERT OR REPLACE INTO sweeps VALUES (1, ?)", (json.dumps(asdict(change.sweep)),))


def prune(database: sqlite3.Connection, change: Prune) -> None:
    """Old snapshots, and everything of VMs that nobody has or knows. The last reading of a VM stays: rates follow from it."""
    for table in ("snapshots", "counters"):
        left = database.execute(
            f"SELECT DISTINCT uuid FROM {table} WHERE uuid NOT IN (SELECT uuid FROM vms)"
        ).fetchall()
        gone = [row for row in left if row[0] not in change.existing]
        database.executemany(f"DELETE FROM {table} WHERE uuid = ?", gone)
    database.execute("DELETE FROM snapshots WHERE taken_unix < ?", (change.before_unix,))


#: Change -> who carries it out.
WRITERS: Dict[type, Any] = {RememberSnapshot: _remember_snapshot, RememberSweep: _remember_sweep}
