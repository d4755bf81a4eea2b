# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_lifecycle_info: what is declared, scheduled and recorded, for all VMs of a host in one call. Changes nothing."""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Tuple

from .. import metadata
from ..boots import StartRecord
from ..chain import Chain
from ..errors import LifecycleError, refuse
from ..frozen import dataclass
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.clock import judge
from ..policy.consent import confirmed, is_over
from ..policy.expiry import hours_left, is_expired
from ..policy.power import UP
from ..policy.restart import present
from ..policy.schedule import current, given_up, next_try
from ..ports import World
from ..removals import SweepPlan
from ..report import described, metadata_problem
from ..restarts import Moment, RestartRecord
from ..run import Task
from ..times import iso
from . import host, limiting
from . import observe as reads
from .boot import timeline
from .host import HostSeen
from .targets import Wish, resolve, unknown_problems, wishes

FILTERS: Mapping[str, Tuple[str, ...]] = {
    "mode": ("permanent", "temporary"),
    "state": ("held", "expired", "failed", "start_failed", "gave_up", "invalid", "unmanaged"),
    "expires_within_hours": (),
}
#: What is asked for besides, since it takes longer.
INCLUDED = ("recovery", "snapshot", "snapshot_history", "host_history")


@dataclass(frozen=True)
class Request:
    """named empty: all domains. filters: those that were given, all of which must match."""

    named: Tuple[Wish, ...]
    skip_missing: bool
    filters: Mapping[str, Any]
    policy: Optional[CleanupPolicy]
    warnings: Tuple[str, ...]
    #: What is reported besides: recovery (what is on record of each VM), snapshot (as it is now), snapshot_history.
    include: FrozenSet[str] = frozenset()


def decode(document: Mapping[str, Any], world: World) -> Request:
    """Filters are checked here, since the command line brings them too."""
    filters = {key: value for key, value in (document.get("filter") or {}).items() if value is not None}
    for key, value in filters.items():
        if key not in FILTERS:
            raise refuse("invalid_option", f"must be one of: {', '.join(FILTERS)}", field=f"filter.{key}")
        if FILTERS[key] and value not in FILTERS[key]:
            raise refuse("invalid_option", f"must be one of: {', '.join(FILTERS[key])}", field=f"filter.{key}")
    include = frozenset(document.get("include") or ())
    if include - set(INCLUDED):
        raise refuse("invalid_option", f"must be of: {', '.join(INCLUDED)}", field="include")
    policy, warnings = reads.lenient_policy(world.host)
    named = wishes(document, (), required=False)
    return Request(tuple(named), document.get("missing", "fail") == "skip", filters, policy, tuple(warnings), include)


def observe(request: Request, world: World) -> HostSeen:
    """Everything but storage. What takes longer is read, and VMs are measured, only when that is asked for."""
    seen = limiting.with_limits(host.known(world, cleanup=True), world)
    if "recovery" in request.include:
        from .on_record import with_recovery

        seen = with_recovery(seen, world, request.named)
    if "host_history" in request.include:
        from .host_history import with_history

        seen = with_history(seen, world, request.policy, request.warnings)
    if not request.include & {"snapshot", "snapshot_history"}:
        return seen
    from .measured import look

    return look(seen, world, "snapshot" in request.include, "snapshot_history" in request.include)


def plan(request: Request, observed: Observed) -> Plan:
    """An entry without actions for each VM in question; info never acts."""
    chosen = {domain.uuid for domain in observed.domains}
    if request.named:
        found, unknown, problems = resolve(request.named, observed.domains)
        if not request.skip_missing:
            problems += unknown_problems(unknown)
        if problems:
            raise LifecycleError(problems)
        chosen = {uuid for _wish, uuid, _name in found}
    entries = [
        Entry(domain.uuid, domain.name, "kept", "observed", domain.name)
        for domain in observed.domains
        if domain.uuid in chosen and _matches(request, observed, domain)
    ]
    return Plan(tuple(entries), (*request.warnings, *observed.damage))


def _matches(request: Request, observed: Observed, domain: Domain) -> bool:
    filters = request.filters
    if not filters:
        return True
    carried = metadata.read(domain, observed.records.get(domain.uuid))
    persistence = carried.document["persistence"] if carried.valid else {"mode": None}
    if filters.get("mode") not in (None, persistence["mode"]):
        return False
    if "state" in filters and filters["state"] not in states_of(observed, domain, carried):
        return False
    if "expires_within_hours" in filters:
        left = hours_left(persistence, observed.clock.now)
        return left is not None and left <= filters["expires_within_hours"]
    return True


def states_of(observed: Observed, domain: Domain, carried: metadata.Declaration) -> List[str]:
    """Which values of filter.state a VM has."""
    if not carried.valid:
        return ["unmanaged" if carried.reason == "not_managed" else "invalid"]
    states = []
    if "hold" in carried.document:
        states.append("held")
    if is_expired(carried.document["persistence"], observed.clock.now):
        states.append("expired")
    schedule = current(domain, carried.document, observed.schedules.get(domain.uuid, {}), False)
    if schedule is not None and schedule.get("cleanup_error"):
        states.append("failed")
    start = _start_of(observed, domain)
    if start is not None and start.outcome != "ready":
        states.append("start_failed")
    restart = _restart_of(observed, domain)
    if restart is not None and restart.phase == "gave_up" and not domain.active:
        states.append("gave_up")
    return states


def _start_of(observed: Observed, domain: Domain) -> Optional[StartRecord]:
    return observed.starts.get(domain.uuid) if isinstance(observed, HostSeen) else None


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """UX: vms as vm_persistence returns them, each with its schedule, and the health of metadata and clock."""
    domains = {domain.uuid: domain for domain in observed.domains}
    included = _included(request, observed)
    verdict, now = judge(observed.clock, observed.memory), observed.clock.now
    return {
        "changed": False,
        "failed": False,
        "clock": {"sane": verdict.sane, "problem": verdict.problem, "synchronised": observed.clock.synchronised},
        "interrupted": [intent.name for intent in observed.intents],
        "features": sorted(observed.features),
        "undo": [
            {
                "name": kept.name,
                "uuid": kept.uuid,
                "removed_at": iso(kept.removed_unix),
                "undo_until": iso(kept.until_unix),
            }
            for kept in observed.undo
            if kept.uuid not in domains
        ],
        "plans": [_plan(plan, now) for plan in observed.plans if not is_over(plan, now)],
        **({"history": observed.on_record} if isinstance(observed, HostSeen) and observed.on_record else {}),
        "vms": [
            {**_row(request, observed, domains[chain.entry.uuid]), **included(chain.entry.uuid)} for chain in chains
        ],
    }


def _included(request: Request, observed: Observed) -> Callable[[str], Document]:
    """What else is reported of a VM, by UUID."""
    if not request.include & {"snapshot", "snapshot_history"}:
        return lambda _uuid: {}
    from .measured import measured, samples

    taken, history = samples(measured(observed)), measured(observed).history

    def of(uuid: str) -> Document:
        now = taken[uuid].snapshot if uuid in taken else None
        found = {"snapshot": now, "snapshot_history": list(history.get(uuid, ()))}
        return {word: found[word] for word in found if word in request.include}

    return of


def _plan(plan: SweepPlan, now: float) -> Dict[str, Any]:
    """A plan that can be confirmed, or that was and has not been carried out in full."""
    agreed = confirmed((plan,), now)
    vms = [{"name": vm.name, "uuid": vm.uuid, "confirmed": vm.uuid in agreed} for vm in plan.vms]
    return {"plan_id": plan.plan_id, "created_at": iso(plan.created_unix), "vms": vms}


def _row(request: Request, observed: Observed, domain: Domain) -> Dict[str, Any]:
    record = observed.records.get(domain.uuid)
    carried = metadata.read(domain, record)
    document = carried.document if carried.valid else None
    row = described(domain, document, record, request.policy, observed.features, observed.clock.now)
    row["managed"] = document is not None
    row["limits"] = observed.limited.get(domain.uuid) if isinstance(observed, HostSeen) else None
    row["metadata_problem"] = metadata_problem(carried)
    row["schedule"] = None
    row["start"] = _start(_start_of(observed, domain))
    row["last_state"] = _last_state(observed, domain)
    row["restart"] = _restart(observed, domain)
    row["pressure"] = _pressure(observed, domain)
    if "recovery" in request.include and isinstance(observed, HostSeen):
        row["recovery"] = observed.recovery.get(domain.uuid)
    if document is not None:
        begun = any(intent.uuid == domain.uuid for intent in observed.intents)
        row["schedule"] = current(domain, document, observed.schedules.get(domain.uuid, {}), begun)
        if row["schedule"] is not None and request.policy is not None:
            _with_policy(row, request.policy, observed.clock.now)
    return row


def _start(start: Optional[StartRecord]) -> Optional[Document]:
    """How its last start in order went. Why it failed stays until the next good start."""
    if start is None:
        return None
    shown = {**timeline(start), "at": iso(start.at_unix)}
    return shown if start.outcome == "ready" else {**shown, "reason": start.reason, "message": start.message}


def _last_state(observed: Observed, domain: Domain) -> Optional[Document]:
    """What it was last seen to be, and why it does not run."""
    last = observed.states.get(domain.uuid) if isinstance(observed, HostSeen) else None
    return None if last is None else {"state": last.state, "reason": last.reason or None, "at": iso(last.at_unix)}


def _pressure(observed: Observed, domain: Domain) -> Optional[Document]:
    """What was done to it because its host is short of something, while that is so."""
    known = observed.pressed.get(domain.uuid) if isinstance(observed, HostSeen) else None
    if known is None or known.boot_id != observed.clock.boot_id or domain.power_state in ("running", "blocked"):
        return None
    return {"cause": known.cause, "action": known.deed, "message": known.message, "at": iso(known.at_unix)}


def _restart_of(observed: Observed, domain: Domain) -> Optional[RestartRecord]:
    return observed.restarts.get(domain.uuid) if isinstance(observed, HostSeen) else None


def _restart(observed: Observed, domain: Domain) -> Optional[Document]:
    """How often it was restarted, and what becomes of it if it is down. What is on record of one that runs by now is over."""
    known, clock = _restart_of(observed, domain), observed.clock
    if known is None:
        return None
    restart = present(known, Moment(clock.boottime, clock.boot_id, clock.now))
    state = "up" if domain.power_state in UP else restart.phase
    due = restart.due - clock.boottime if state == "waiting" else None
    return {
        "state": state,
        "restart_count": restart.restart_count,
        "in_row": restart.in_row,
        "next_attempt_at": iso(clock.now + max(due, 0.0)) if due is not None else None,
        "reason": restart.reason if state != "up" else None,
        "message": restart.message if state != "up" else "",
        "at": iso(restart.at_unix),
    }


def _with_policy(row: Dict[str, Any], policy: CleanupPolicy, now: float) -> None:
    """What only the host's policy tells: when a back-off ends, and whether the VM was given up."""
    retry = next_try(row["schedule"])
    if retry > now:
        row["effective_cleanup_at"] = iso(policy.effective(retry))
    if given_up(row["schedule"], policy.limit("max_cleanup_attempts")):
        row["schedule"] = {**row["schedule"], "cleanup_status": "failed"}


TASK = Task("vm_lifecycle_info", decode, observe, plan, report, {})
