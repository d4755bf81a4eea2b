# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a sweep: a row for each VM with its reason and its disks, from what was confirmed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any, Dict, List

from ..apply import Chain
from ..model import Document, Observed, VolumeVerdict
from ..report import volumes


def report(_request: object, _observed: Observed, chains: List[Chain]) -> Document:
    """UX: changed, counts, digest of the plan, and a row for each VM with its reason and its disks."""
    rows = [_row(chain) for chain in chains]
    counts = {word: sum(row["decision"] == word for row in rows) for word in ("removed", "kept", "waiting", "failed")}
    return {
        "changed": any(chain.changed for chain in chains),
        "failed": counts["failed"] > 0,
        "digest": _digest(chains),
        "counts": counts,
        "vms": rows,
        "diff": {
            "before": {chain.entry.name: "present" for chain in chains if chain.changed},
            "after": {row["name"]: row["decision"] for row, chain in zip(rows, chains) if chain.changed},
        },
    }


def _row(chain: Chain) -> Dict[str, Any]:
    entry = chain.entry
    row: Dict[str, Any] = {
        "name": entry.name,
        "uuid": entry.uuid,
        "changed": chain.changed,
        "decision": entry.decision,
        "reason": entry.reason,
        "message": entry.message,
        "schedule": chain.schedule,
        "volumes": volumes(chain.verdicts),
    }
    if chain.error is not None:
        row.update(
            decision="waiting" if chain.waits else "failed",
            reason=chain.error.code,
            message=f"{entry.name}: {chain.error.message}",
            volumes=volumes([verdict if chain.waits else _confirmed(verdict, chain) for verdict in chain.verdicts]),
        )
    elif chain.verdicts and (entry.decision == "removed" or entry.reason == "dry_run_mode"):
        row["message"] = f"{entry.message}; {_tally(chain)}"
    if row["decision"] == "waiting":
        for volume in row["volumes"]:
            volume["decision"] = "waiting" if volume["decision"] == "removed" else volume["decision"]
    return row


def _tally(chain: Chain) -> str:
    """How many disks go: what was confirmed after a run, what is planned before one."""
    planned = chain.predicted or chain.entry.decision != "removed"
    gone = sum(verdict.remove for verdict in chain.verdicts) if planned else len(chain.deleted)
    return f"{'would remove' if planned else 'removed'} {gone} of {len(chain.verdicts)} disks"


def _confirmed(verdict: VolumeVerdict, chain: Chain) -> VolumeVerdict:
    """After a failure only a deletion that was confirmed counts as one."""
    unsure = verdict.remove and verdict.path not in chain.deleted
    return replace(verdict, remove=False, reason="not_reached") if unsure else verdict


def _digest(chains: List[Chain]) -> str:
    """Digest of what a sweep removes: UUID, deadline and disks of each VM, not the times of the run."""
    parts = [
        [
            chain.entry.uuid,
            (chain.entry.schedule or {}).get("scheduled_cleanup_at"),
            [[v.pool, v.name, v.remove, v.reason] for v in chain.entry.verdicts],
        ]
        for chain in chains
        if chain.entry.decision == "removed"
    ]
    return "sha256:" + hashlib.sha256(json.dumps(sorted(parts, key=str)).encode()).hexdigest()
