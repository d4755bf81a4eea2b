# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VmCleanupSchedule of a VM: what was declared, and what became of the attempts so far."""

from __future__ import annotations

from typing import Optional

from ..model import Document, Domain
from ..times import iso, unix

#: Seconds from a failed attempt to the next; doubled with each further failure, up to the limit.
RETRY, RETRY_LIMIT = 900.0, 21600.0
ATTEMPTS = ("cleanup_attempts", "last_cleanup_attempt", "cleanup_error")


def current(domain: Domain, document: Document, kept: Document, begun: bool) -> Optional[Document]:
    """The schedule as it stands; None for a VM that is not temporary.

    kept: what the store has. Attempts count for one deadline: a VM that was renewed or declared anew starts afresh.
    begun: whether a removal is on record that has not ended.
    """
    persistence = document["persistence"]
    if persistence["mode"] != "temporary" or persistence.get("scheduled_cleanup") is None:
        return None
    declared = {
        "vm_name": domain.name,
        "vm_id": domain.uuid,
        "mode": "temporary",
        "created_at": iso(persistence["created_at_unix"]),
        "scheduled_cleanup_at": iso(persistence["scheduled_cleanup"]),
        "ttl_hours": persistence["ttl_hours"],
    }
    same = kept.get("scheduled_cleanup_at") == declared["scheduled_cleanup_at"]
    known = kept if same and kept.get("cleanup_status") != "completed" else {}
    status = known.get("cleanup_status", "pending")
    if status == "in-progress" and not begun:
        status = "pending"  # the run that began it was killed, and its removal was rolled back
    attempts = {key: known[key] for key in ATTEMPTS if key in known}
    if not isinstance(attempts.get("cleanup_attempts", 0), int):
        attempts = {}  # a damaged row counts as none
    return {"cleanup_attempts": 0, **attempts, **declared, "cleanup_status": status}


def given_up(schedule: Document, max_attempts: int) -> bool:
    """Whether only a person can have it tried again. Attempts that were killed count: they may be what kills the host."""
    return schedule["cleanup_status"] == "failed" or int(schedule["cleanup_attempts"]) >= max_attempts


def next_try(schedule: Document) -> float:
    """Epoch seconds before which no further attempt begins; 0.0 when the last one did not fail."""
    if "cleanup_error" not in schedule or "last_cleanup_attempt" not in schedule:
        return 0.0
    doublings = min(max(int(schedule["cleanup_attempts"]) - 1, 0), 16)
    return unix(schedule["last_cleanup_attempt"]) + min(RETRY * 2.0**doublings, RETRY_LIMIT)


def cleared(schedule: Document) -> Document:
    """As before the first attempt: what a person asks for by name begins anew."""
    return {**{key: value for key, value in schedule.items() if key not in ATTEMPTS}, "cleanup_attempts": 0}


def attempted(schedule: Document, now: float) -> Document:
    """An attempt begins now."""
    clean = {key: value for key, value in schedule.items() if key != "cleanup_error"}
    attempts = int(schedule.get("cleanup_attempts", 0)) + 1
    return {**clean, "cleanup_status": "in-progress", "cleanup_attempts": attempts, "last_cleanup_attempt": iso(now)}


def failed(schedule: Document, error: str, max_attempts: int) -> Document:
    """The attempt has failed, and perhaps was the last."""
    over = int(schedule.get("cleanup_attempts", 0)) >= max_attempts
    return {**schedule, "cleanup_status": "failed" if over else "pending", "cleanup_error": error}


def completed(schedule: Document) -> Document:
    """The VM is gone."""
    clean = {key: value for key, value in schedule.items() if key != "cleanup_error"}
    return {**clean, "cleanup_status": "completed"}
