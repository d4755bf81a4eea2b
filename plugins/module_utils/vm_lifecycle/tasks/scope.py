# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clean-up is about: the request, the VMs that it speaks of, and what holds for all of them."""

from __future__ import annotations

from typing import FrozenSet, List, Mapping, Optional, Tuple

from ..errors import LifecycleError, refuse
from ..frozen import dataclass
from ..model import Observed
from ..policy import alarm, consent
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.clock import judge
from ..policy.gate import Circumstances
from ..removals import SweepPlan
from ..times import iso
from .targets import Wish, resolve, unknown_problems


@dataclass(frozen=True)
class Request:
    """named empty: every managed VM of the host. plan_id: of the plan to store or to confirm."""

    named: Tuple[Wish, ...]
    skip_missing: bool
    ignore: FrozenSet[str]
    policy: CleanupPolicy
    state: str = "swept"
    plan_id: Optional[str] = None
    #: The host has booted: only VMs that are declared to be deleted then are in question.
    at_boot: bool = False

    @property
    def by_person(self) -> bool:
        """Whether a person named the VMs. What a boot names is nobody's wish to have it tried again."""
        return bool(self.named) and not self.at_boot


def circumstances(request: Request, observed: Observed) -> Circumstances:
    """What holds for all VMs of this sweep."""
    clock = judge(observed.clock, observed.memory)
    return Circumstances(
        observed.clock.now, clock, observed.clock.synchronised, request.policy, request.ignore,
        request.by_person, observed.pressure,
    )  # fmt: skip


def losses(observed: Observed, lost: Mapping[str, str]) -> Tuple[str, str]:
    """What many VMs or pools lost at once, as (reason, detail). lost: as for alarm.lost_metadata."""
    said = alarm.lost_metadata(lost)
    if said:
        return "metadata_lost", said
    if observed.storage is not None:
        _memory, missed = alarm.pools_now(observed.pools, observed.storage.pools, observed.clock.now)
        if missed:
            return "pools_lost", alarm.missed(missed)
    return "", ""


def targets(request: Request, observed: Observed) -> Tuple[List[str], List[Wish]]:
    """UUIDs in question, those of interrupted removals included, and wishes for VMs that don't exist."""
    pending = {intent.uuid: intent.name for intent in observed.intents}
    seen = {vm.uuid for vm in plan_of(request, observed).vms} if request.state == "confirmed" else None
    if not request.named:
        return [domain.uuid for domain in observed.domains if seen is None or domain.uuid in seen], []
    found, unknown, problems = resolve(request.named, observed.domains, pending)
    if seen is not None:
        problems += unknown_problems([wish for wish, uuid, _name in found if uuid not in seen])
    if not request.skip_missing:
        problems += unknown_problems(unknown)
    if problems:
        raise LifecycleError(problems)
    return [uuid for _wish, uuid, _name in found], unknown


def plan_of(request: Request, observed: Observed) -> SweepPlan:
    """The plan that a call confirms."""
    found = consent.by_id(observed.plans).get(request.plan_id or "")
    if found is None:
        message = f"this host has no plan {request.plan_id}; vm-lifecycle status lists those that it has"
        raise refuse("unknown_plan", message, field="plan_id")
    if consent.is_over(found, observed.clock.now):
        made = f"{found.plan_id} was made {iso(found.created_unix)}, and can be confirmed for 24 hours"
        message = f"{made}; make a new one: vm-lifecycle cleanup --plan, or state: planned"
        raise refuse("plan_expired", message, field="plan_id")
    return found
