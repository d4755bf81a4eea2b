# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_lifecycle_info: what is declared, scheduled and recorded, for all VMs of a host in one call. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .. import metadata
from ..actions import Entry, Plan
from ..boots import StartRecord
from ..chain import Chain
from ..errors import LifecycleError, refuse
from ..limits import Controllers, DiskUsage, LimitsSeen
from ..model import Document, Domain, Observed, SweepPlan
from ..policy import disk_limit
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.clock import judge
from ..policy.consent import confirmed, is_over
from ..policy.expiry import hours_left, is_expired
from ..policy.schedule import current, given_up, next_try
from ..ports import World
from ..report import described, metadata_problem
from ..run import Task
from ..times import iso
from . import host, limiting
from . import observe as reads
from .boot import timeline
from .host import HostSeen
from .targets import Wish, resolve, unknown_problems, wishes

FILTERS: Mapping[str, Tuple[str, ...]] = {
    "mode": ("permanent", "temporary"),
    "state": ("held", "expired", "failed", "start_failed", "invalid", "unmanaged"),
    "expires_within_hours": (),
}


@dataclass(frozen=True)
class Informed(HostSeen):
    """What is known of every VM, with the limits of those that have a policy."""

    limits: Mapping[str, LimitsSeen] = field(default_factory=dict)
    controllers: Controllers = field(default_factory=Controllers)
    usage: Mapping[str, DiskUsage] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """named empty: all domains. filters: those that were given, all of which must match."""

    named: Tuple[Wish, ...]
    skip_missing: bool
    filters: Mapping[str, Any]
    policy: Optional[CleanupPolicy]
    warnings: Tuple[str, ...]


def decode(document: Mapping[str, Any], world: World) -> Request:
    """Filters are checked here, since the command line brings them too."""
    filters = {key: value for key, value in (document.get("filter") or {}).items() if value is not None}
    for key, value in filters.items():
        if key not in FILTERS:
            raise refuse("invalid_option", f"must be one of: {', '.join(FILTERS)}", field=f"filter.{key}")
        if FILTERS[key] and value not in FILTERS[key]:
            raise refuse("invalid_option", f"must be one of: {', '.join(FILTERS[key])}", field=f"filter.{key}")
    policy, warnings = reads.lenient_policy(world.host)
    named = wishes(document, (), required=False)
    return Request(tuple(named), document.get("missing", "fail") == "skip", filters, policy, tuple(warnings))


def observe(_request: Request, world: World) -> Informed:
    """Everything but storage."""
    seen = host.known(world, cleanup=True)
    chosen = [domain.uuid for domain in seen.domains if limiting.concerned(domain, seen)]
    limits, controllers = limiting.look(world, seen, chosen)
    disks = [
        domain.uuid
        for domain, document in host.managed(seen)
        if (document.get("policy") or {}).get("enforce_disk_limit")
    ]
    return Informed(**vars(seen), limits=limits, controllers=controllers, usage=limiting.usages(world, disks)[0])


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
    if "state" in filters and filters["state"] not in _states(observed, domain, carried):
        return False
    if "expires_within_hours" in filters:
        left = hours_left(persistence, observed.clock.now)
        return left is not None and left <= filters["expires_within_hours"]
    return True


def _states(observed: Observed, domain: Domain, carried: metadata.Declaration) -> List[str]:
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
    return states


def _start_of(observed: Observed, domain: Domain) -> Optional[StartRecord]:
    return observed.starts.get(domain.uuid) if isinstance(observed, HostSeen) else None


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """UX: vms as vm_persistence returns them, each with its schedule, and the health of metadata and clock."""
    domains = {domain.uuid: domain for domain in observed.domains}
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
        "vms": [_row(request, observed, domains[chain.entry.uuid]) for chain in chains],
    }


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
    row["limits"] = _limits(observed, domain, document)
    row["metadata_problem"] = metadata_problem(carried)
    row["schedule"] = None
    row["start"] = _start(_start_of(observed, domain))
    row["last_state"] = _last_state(observed, domain)
    if document is not None:
        begun = any(intent.uuid == domain.uuid for intent in observed.intents)
        row["schedule"] = current(domain, document, observed.schedules.get(domain.uuid, {}), begun)
        if row["schedule"] is not None and request.policy is not None:
            _with_policy(row, request.policy, observed.clock.now)
    return row


def _limits(observed: Observed, domain: Domain, document: Optional[Document]) -> Optional[Document]:
    if not isinstance(observed, Informed):
        return None
    rows = limiting.rows(document, observed.limits.get(domain.uuid), observed.controllers)
    if rows is not None and document is not None:
        rows["disk"] = disk_limit.row(document.get("policy"), observed.usage.get(domain.uuid))
    return rows


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


def _with_policy(row: Dict[str, Any], policy: CleanupPolicy, now: float) -> None:
    """What only the host's policy tells: when a back-off ends, and whether the VM was given up."""
    retry = next_try(row["schedule"])
    if retry > now:
        row["effective_cleanup_at"] = iso(policy.effective(retry))
    if given_up(row["schedule"], policy.limit("max_cleanup_attempts")):
        row["schedule"] = {**row["schedule"], "cleanup_status": "failed"}


TASK = Task("vm_lifecycle_info", decode, observe, plan, report, {})
