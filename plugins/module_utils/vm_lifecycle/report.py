# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as callers see them: one dictionary a VM, documents valid by their schemas, extras beside them."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

from .disks import VolumeVerdict
from .metadata import Declaration
from .model import Document, Domain, Record
from .policy.cleanup_policy import CleanupPolicy
from .schema import with_defaults
from .times import iso

#: Values that ask for nothing, so that nobody has to act on them.
INERT = (None, False, "none", "no")

#: Feature whose unit acts on a field. Without the boot unit auto_start acts through libvirt's own flag.
ACTING: Mapping[str, str] = {
    "ttl_hours": "cleanup",
    "restart_policy": "supervisor",
    "policy.on_host_reboot": "boot",
    "policy.on_host_shutdown": "boot",
    "autostart": "boot",
    "policy.on_memory_pressure": "supervisor",
    "policy.on_disk_full": "supervisor",
    "policy.enforce_disk_limit": "supervisor",
}


def unenforced(document: Document, features: FrozenSet[str]) -> List[Dict[str, str]]:
    """Fields that were declared and that no enabled unit acts on: [{field, enable}].

    A declaration carries defaults that nobody spoke of, so what equals its default is not told.
    """
    persistence, policy = document["persistence"], document.get("policy") or {}
    temporary = persistence["mode"] == "temporary"
    wanted: Dict[str, Any] = {f"policy.{name}": value for name, value in policy.items()}
    wanted["ttl_hours"] = temporary and persistence["auto_cleanup"]
    wanted["autostart"] = document.get("autostart")
    wanted["restart_policy"] = None if temporary else persistence["restart_policy"]
    usual: Dict[str, Any] = {f"policy.{name}": value for name, value in with_defaults("VmLifecyclePolicy", {}).items()}
    usual["restart_policy"] = with_defaults("VmPersistence", {})["restart_policy"]
    return [
        {"field": name, "enable": feature}
        for name, feature in ACTING.items()
        if wanted.get(name) not in (*INERT, usual.get(name)) and feature not in features
    ]


def persistence_of(document: Document, record: Optional[Record]) -> Document:
    """The VmPersistence, with what the store recorded beside the metadata."""
    persistence = dict(document["persistence"])
    if record is not None and record.last_state_change:
        persistence["last_state_change"] = record.last_state_change
    return persistence


def described(
    domain: Domain,
    document: Optional[Document],
    record: Optional[Record],
    policy: Optional[CleanupPolicy],
    features: FrozenSet[str],
    now: float,
) -> Document:
    """One VM: identity, state, declaration, times. document None: not managed.

    effective_cleanup_at is the first moment that lies in the window, not before the deadline and not before now.
    """
    scheduled = document["persistence"].get("scheduled_cleanup") if document else None
    effective = policy.effective(max(scheduled, now)) if policy and scheduled is not None else None
    return {
        "name": domain.name,
        "uuid": domain.uuid,
        "power_state": domain.power_state,
        "persistence": persistence_of(document, record) if document else None,
        "policy": document.get("policy") if document else None,
        "autostart": document.get("autostart") if document else None,
        "hold": document.get("hold") if document else None,
        "scheduled_cleanup_at": iso(scheduled),
        "effective_cleanup_at": iso(effective),
        "unenforced": unenforced(document, features) if document else [],
    }


def metadata_problem(declaration: Declaration) -> Optional[Dict[str, str]]:
    """Why a VM's metadata is not acted on, None when there is nothing wrong with it."""
    if declaration.valid or declaration.reason == "not_managed":
        return None
    return {"reason": declaration.reason, "message": declaration.detail}


def volumes(verdicts: Sequence[VolumeVerdict]) -> List[Dict[str, Any]]:
    """Verdicts as results show them."""
    return [
        {
            "pool": verdict.pool,
            "name": verdict.name,
            "path": verdict.path,
            "target": verdict.target,
            "decision": "removed" if verdict.remove else ("gone" if verdict.reason == "already_gone" else "kept"),
            "reason": verdict.reason,
            "used_by": list(verdict.used_by),
        }
        for verdict in verdicts
    ]
