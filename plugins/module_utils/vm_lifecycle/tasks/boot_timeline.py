# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the last boot went: what started when, what waited for what, and what all of it waited for in the end."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ..boots import StartRecord
from ..model import Document
from ..ports import Store
from ..times import iso
from .boot import timeline

#: A VM that was skipped took no time itself, so it is never what a boot waited for.
TOOK_TIME = ("ready", "failed")


def last_boot(store: Store) -> Dict[str, Any]:
    """The last run of the last boot, as the books have it. Raises EffectError when they can't be read.

    {"boot": {"boot_id", "began_at" (ISO 8601), "seconds" (of the run), "over" (false while it goes on, or when it was interrupted)},
     "vms": [{"name", "uuid", "decision", "reason", "message", "start": timeline of tasks/boot}], in the order of their turns,
     "critical_path": [names]: each one's turn came when the one before it was done, and when the last was done all was}.

    The outcome is "later" for a VM that was given up, and was started since.
    boot is None when no VM was started in order since the host was installed.
    """
    run = store.boot()
    records = [start for start in store.starts().values() if run is not None and start.boot_id == run.boot_id]
    if run is None or not records:
        return {"boot": None, "vms": [], "critical_path": []}
    began = max(start.run_unix for start in records)
    starts = sorted(
        (start for start in records if start.run_unix == began), key=lambda start: (start.turn, start.ended, start.name)
    )
    return {
        "boot": {
            "boot_id": run.boot_id,
            "began_at": iso(began),
            "seconds": round(max(start.ended for start in starts), 3),
            "over": run.ended_unix > 0,
        },
        "vms": [_row(start) for start in starts],
        "critical_path": critical_path(starts),
    }


def _row(start: StartRecord) -> Document:
    ready = start.outcome == "ready"
    return {
        "name": start.name,
        "uuid": start.uuid,
        "decision": "started" if ready else "failed",
        "reason": start.reason,
        "message": f"{start.name}: {start.message}" if start.message else start.name,
        "start": {**timeline(start), **({"outcome": "later"} if start.reason == "started_later" else {})},
    }


def critical_path(starts: Sequence[StartRecord]) -> List[str]:
    """Names of the VMs that the end waited for, from the first to the last: each was waited for by the next one.

    VMs that were skipped are left out: they took no time of their own.
    """
    by_name = {start.name: start for start in starts}
    at = max(
        (start for start in starts if start.outcome in TOOK_TIME),
        key=lambda start: (start.ended, start.name),
        default=None,
    )
    path: List[str] = []
    seen = set()
    while at is not None and at.name not in seen:
        seen.add(at.name)
        path += [at.name] if at.outcome in TOOK_TIME else []
        at = by_name.get(at.after)
    return path[::-1]
