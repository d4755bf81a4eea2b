# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vm-lifecycle status says of a VM beside its state."""

from __future__ import annotations

from typing import Any, List, Mapping

from ..reasons_order import RESTART_REASONS
from .words import counted

#: How a limit stands -> what the status says of it.
LIMITS = {
    "limit_not_applicable": "not applied",
    "limit_pending": "not as declared",
    "disk_limit_near": "nearly reached",
    "disk_limit_reached": "reached",
    "limit_foreign": "somebody else's",
}


#: What was done to a VM, and why.
DEEDS = {"suspend": "suspended", "kill": "powered off"}
PRESSURE = {"memory": "the host is short of memory", "disk": "its disks have no space"}


def note(vm: Mapping[str, Any]) -> str:
    notes = []
    if vm["hold"]:
        notes.append(f"held ({vm['hold']['scope']}) {vm['hold']['reason']}".rstrip())
    if vm["metadata_problem"]:
        notes.append(f"{vm['metadata_problem']['reason']}: {vm['metadata_problem']['message']}")
    schedule = vm["schedule"] or {}
    if schedule.get("cleanup_status") == "failed":
        notes.append(f"given up after {schedule['cleanup_attempts']} attempts, sweep it by name to try again")
    if schedule.get("cleanup_error"):
        notes.append(f"last removal failed: {schedule['cleanup_error']}")
    start = vm.get("start") or {}
    if start.get("outcome") not in (None, "ready"):
        notes.append(f"did not come up {start['at']}: {start['message']}")
    pressure = vm.get("pressure")
    if pressure:
        done, why = DEEDS[pressure["action"]], PRESSURE[pressure["cause"]]
        notes.append(f"{done} {pressure['at']}, {why}: {pressure['message']}")
    notes += _restart_note(vm.get("restart") or {}, vm["power_state"])
    limits = (vm.get("limits") or {}).items()
    notes += [f"{kind} limit {LIMITS[row['reason']]}" for kind, row in limits if row and row["reason"] in LIMITS]
    if vm["unenforced"]:
        notes.append("nothing acts on " + ", ".join(item["field"] for item in vm["unenforced"]))
    return "; ".join(notes)


def _restart_note(restart: Mapping[str, Any], power_state: str) -> List[str]:
    """What becomes of a VM that stopped; of one that runs, how often it was restarted."""
    count, state = restart.get("restart_count", 0), restart.get("state")
    times = [f"restarted {counted(count, 'time', 'times')}"] if count else []
    if state == "gave_up":
        tries = counted(restart["in_row"], "start", "starts")
        return [f"given up {restart['at']} after {tries} in a row: {restart['message']}; vm-lifecycle retry", *times]
    if state == "waiting" and restart["next_attempt_at"]:
        return [f"{restart['message']}; is restarted {restart['next_attempt_at']}", *times]
    if state == "starting":
        return ["is being restarted", *times]
    if state == "left" and power_state in ("shutoff", "crashed") and restart["reason"] not in QUIET:
        return [f"stays down: {RESTART_REASONS[restart['reason']].meaning}", *times]
    return times


#: Why a VM stays down that nobody has to be told of.
QUIET = ("stopped_by_somebody", "ended_well", "restart_not_declared", "host_goes_down", "memory_saved")
