# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a sweep: a row for each VM with its reason and its disks, from what was confirmed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Dict, List, Optional

from ..actions import Begin
from ..chain import Chain
from ..disks import VolumeVerdict
from ..model import Document, Observed
from ..policy import consent
from ..policy import schedule as schedules
from ..removals import SeenVm
from ..report import volumes
from ..times import iso
from .asking import seen_vm
from .scope import Request

WORDS = ("removed", "kept", "waiting", "failed", "restored")
#: Reasons of VMs that are in a plan which waits for a person.
ASKED = ("planned", "unconfirmed", "over_cap")


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """UX: changed, counts, digest of the plan, and a row for each VM with its reason and its disks."""
    rows = [_row(request, observed, chain) for chain in chains]
    counts = {word: sum(row["decision"] == word for row in rows) for word in WORDS}
    asked = [seen_vm(chain.entry) for chain, row in zip(chains, rows) if row["reason"] in ASKED]
    return {
        "changed": any(chain.changed for chain in chains),
        "failed": counts["failed"] > 0,
        "alert": request.policy.alerts,
        "digest": consent.plan_digest([seen_vm(chain.entry) for chain in chains if chain.entry.decision == "removed"]),
        "plan_id": _plan_id(request, asked, observed.clock.now),
        "counts": counts,
        "reasons": _reasons(rows),
        "vms": rows,
        "diff": {
            "before": {chain.entry.name: "present" for chain in chains if chain.changed},
            "after": {row["name"]: row["decision"] for row, chain in zip(rows, chains) if chain.changed},
        },
    }


def _reasons(rows: List[Dict[str, Any]]) -> Dict[str, Dict[str, int]]:
    """How many VMs there are by decision and reason, the most frequent reason first."""
    found = Counter((row["decision"], row["reason"]) for row in rows)
    reasons: Dict[str, Dict[str, int]] = {}
    for (decision, reason), number in found.most_common():
        reasons.setdefault(decision, {})[reason] = number
    return reasons


def _plan_id(request: Request, asked: List[SeenVm], now: float) -> Optional[str]:
    """The id to confirm, or that was confirmed; None when nothing waits for a person."""
    return consent.plan_for(asked, request.plan_id, now).plan_id if asked else request.plan_id


def _row(request: Request, observed: Observed, chain: Chain) -> Dict[str, Any]:
    entry = chain.entry
    row: Dict[str, Any] = {
        "name": entry.name,
        "uuid": entry.uuid,
        "changed": chain.changed,
        "decision": entry.decision,
        "reason": entry.reason,
        "message": entry.message,
        "schedule": chain.schedule,
        "effective_cleanup_at": _effective(request, observed, chain),
        "undo_until": _undo_until(chain),
        "volumes": volumes(_kept_for_undo(chain)),
    }
    if chain.error is not None:
        row.update(
            decision="waiting" if chain.waits else "failed",
            reason=chain.error.code,
            message=f"{entry.name}: {chain.error.message}",
            volumes=volumes([verdict if chain.waits else _confirmed(verdict, chain) for verdict in chain.verdicts]),
        )
    elif chain.verdicts and (entry.decision == "removed" or entry.schedule is not None):
        row["message"] = f"{entry.message}; {_tally(chain)}"
    if row["reason"] == "busy" and row["schedule"] and any(intent.uuid == entry.uuid for intent in observed.intents):
        row["schedule"] = {**row["schedule"], "cleanup_status": "in-progress"}
    if row["decision"] == "waiting":
        for volume in row["volumes"]:
            volume["decision"] = "waiting" if volume["decision"] == "removed" else volume["decision"]
    return row


def _effective(request: Request, observed: Observed, chain: Chain) -> Optional[str]:
    """The first moment at which a sweep may remove the VM, window and back-off included; None when it is no question."""
    schedule, due = chain.schedule, chain.entry.due_unix
    if schedule is None or due is None or schedule["cleanup_status"] == "completed":
        return None
    if chain.error is not None:
        due = max(due, schedules.next_try(schedule))
    return iso(request.policy.effective(max(due, observed.clock.now)))


def _undo_until(chain: Chain) -> Optional[str]:
    """Until when the VM can be brought back, if it was removed that way, or would be."""
    if chain.error is not None:
        return None
    begun = [action.intent for action in chain.entry.actions if isinstance(action, Begin)]
    intent = chain.intent or (begun[0] if begun else None)
    return iso(intent.undo_until) if intent is not None and intent.undo_until else None


def _kept_for_undo(chain: Chain) -> List[VolumeVerdict]:
    """Disks that would go, and that stay in their place for now."""
    if _undo_until(chain) is None:
        return list(chain.verdicts)
    return [replace(v, remove=False, reason="kept_for_undo") if v.remove else v for v in chain.verdicts]


def _tally(chain: Chain) -> str:
    """How many disks go: what was confirmed after a run, what is planned before one."""
    until = _undo_until(chain)
    if until is not None:
        return f"its disks {'would be' if chain.predicted else 'are'} kept until {until}, for an undo"
    planned = chain.predicted or chain.entry.decision != "removed"
    gone = sum(verdict.remove for verdict in chain.verdicts) if planned else len(chain.deleted)
    return f"{'would remove' if planned else 'removed'} {gone} of {len(chain.verdicts)} disks"


def _confirmed(verdict: VolumeVerdict, chain: Chain) -> VolumeVerdict:
    """After a failure only a deletion that was confirmed counts as one."""
    unsure = verdict.remove and verdict.path not in chain.deleted
    return replace(verdict, remove=False, reason="not_reached") if unsure else verdict
