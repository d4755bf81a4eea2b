# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sweep may remove by itself, and what a person has to confirm first (Cloud Custodian's max-resources, and ours).

A confirmation is bound to what was seen: a digest over UUID, deadline and disks of each VM, never to a name or a number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Set

from ..disks import VolumeVerdict
from ..removals import SeenVm, SweepPlan
from .cleanup_policy import CleanupPolicy

#: Seconds for which a plan can be confirmed, and for which a confirmation holds: the next window comes within them.
PLAN_LIFE = 24 * 3600.0
#: Managed VMs from which a percentage means something.
PERCENT_FROM = 10
GIB = 2**30


def vm_digest(uuid: str, scheduled_at: Optional[str], verdicts: Sequence[VolumeVerdict]) -> str:
    """What a person agrees to when they confirm one VM."""
    disks = [[v.pool, v.name, v.path, v.remove, v.reason, _file(v) if v.remove else None] for v in verdicts]
    return _hashed([uuid, scheduled_at, disks])


def _file(verdict: VolumeVerdict) -> object:
    """The very file that goes, but for what its guest changes by writing."""
    return (verdict.identity.serial or verdict.identity.inode) if verdict.identity else None


def plan_digest(vms: Sequence[SeenVm]) -> str:
    """Digest over the digests of the VMs of a plan, in no order."""
    return _hashed(sorted(vm.digest for vm in vms))


def _hashed(value: object) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value).encode()).hexdigest()


def confirmed(plans: Sequence[SweepPlan], now: float) -> Dict[str, Set[str]]:
    """UUID -> digests that a person confirmed, not longer ago than a confirmation holds."""
    found: Dict[str, Set[str]] = {}
    for plan in plans:
        for vm in plan.vms:
            if vm.confirmed_unix and 0 <= now - vm.confirmed_unix < PLAN_LIFE:
                found.setdefault(vm.uuid, set()).add(vm.digest)
    return found


def is_over(plan: SweepPlan, now: float) -> bool:
    """Whether a plan can't be confirmed any more. One that lies in the future was made by another clock."""
    return not 0 <= now - plan.created_unix < PLAN_LIFE


def is_useless(plan: SweepPlan, now: float) -> bool:
    """Whether a plan can neither be confirmed nor does a confirmation of it hold."""
    return is_over(plan, now) and not confirmed((plan,), now)


def confirm(plan: SweepPlan, now: float, only: Optional[FrozenSet[str]]) -> SweepPlan:
    """The plan with its VMs confirmed now, unless they were before; only: UUIDs, None for all."""
    vms = [
        replace(vm, confirmed_unix=vm.confirmed_unix or int(now)) if only is None or vm.uuid in only else vm
        for vm in plan.vms
    ]
    return replace(plan, vms=tuple(vms))


def plan_for(vms: Sequence[SeenVm], plan_id: Optional[str], now: float) -> SweepPlan:
    """A plan to be confirmed. Without an id of the caller it is named after its content: one plan, one name."""
    digest = plan_digest(vms)
    return SweepPlan(plan_id or f"plan-{digest[7:19]}", digest, int(now), tuple(vms))


def may_be_over(policy: CleanupPolicy, count: int, managed: int) -> bool:
    """Whether the caps have to be looked at, disks included."""
    return bool(policy.limit("max_removal_gib")) or bool(over_caps(policy, count, 0, managed, 0))


def over_caps(policy: CleanupPolicy, count: int, size: int, managed: int, begun: int) -> str:
    """Which cap a sweep would break, in words; empty for none.

    count and size (bytes) of what it would remove, begun: removals that other runs of the host have begun.
    """
    together = count + begun
    most = policy.limit("max_removals")
    if most and together > most:
        return f"{together} removals, and max_removals is {most}"
    percent = policy.limit("max_removal_percent")
    if percent and managed >= PERCENT_FROM and together * 100 > percent * managed:
        return f"{together} of {managed} managed VMs, and max_removal_percent is {percent}"
    gib = policy.limit("max_removal_gib")
    if gib and size > gib * GIB:
        return f"{size / GIB:.1f} GiB of disks, and max_removal_gib is {gib}"
    return ""


def removed_bytes(verdicts: Sequence[VolumeVerdict]) -> int:
    """Size of the disks that would go."""
    return sum(verdict.identity.size for verdict in verdicts if verdict.remove and verdict.identity)


def stale(plans: Sequence[SweepPlan], now: float) -> List[str]:
    """Ids of plans that need not be kept."""
    return [plan.plan_id for plan in plans if is_useless(plan, now)]


def by_id(plans: Sequence[SweepPlan]) -> Mapping[str, SweepPlan]:
    """Plans by their ids."""
    return {plan.plan_id: plan for plan in plans}


def conflict(known: Optional[SweepPlan], new: SweepPlan, now: float) -> bool:
    """Whether storing a plan would put another content under an id that somebody may be about to confirm."""
    return known is not None and known.digest != new.digest and not is_useless(known, now)


def needs_storing(known: Optional[SweepPlan], now: float) -> bool:
    """A plan that can still be confirmed is left as it is, confirmations included."""
    return known is None or is_over(known, now)
