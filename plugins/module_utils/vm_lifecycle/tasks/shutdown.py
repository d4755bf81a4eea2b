# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle shutdown: when this host goes down, its VMs go down first, the other way round than they came up."""

from __future__ import annotations

from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any, Collection, Dict, List, Mapping

from .. import actions as do
from .. import stopping
from ..boots import Place, over
from ..chain import Chain
from ..changes import StoreChange
from ..frozen import dataclass
from ..host_changes import RememberBoot, RememberState
from ..metadata import digest
from ..model import Document, Observed
from ..policy import host_boot
from ..policy.boot_order import longest, reversed_order, sound
from ..ports import World
from ..run import Task
from ..stopping import POWER_OFF, SLACK
from . import host as reads
from .host import HostSeen


@dataclass(frozen=True)
class Request:
    """now: on a host that is not going down, too. spent: seconds of the time that there is that are over already."""

    now: bool = False
    spent: float = 0.0


def decode(document: Mapping[str, Any], _world: World) -> Request:
    """A person who wants the VMs down on a running host says so."""
    return Request(bool(document.get("now")), float(document.get("spent", 0.0)))


def observe(_request: Request, world: World) -> HostSeen:
    """Everything but storage."""
    return reads.whole(world, needs_store=False, stopping=True)


def plan(request: Request, observed: Observed) -> do.Plan:
    """An entry for each VM that runs. Who is not managed is left to the host."""
    if not isinstance(observed, HostSeen):
        raise TypeError("a shutdown observes its host")
    if not observed.going_down and not request.now:
        return do.Plan()
    managed = {domain.uuid for domain, _document in reads.managed(observed)}
    running = [domain for domain in observed.domains if domain.active]
    every = stops_of(observed)
    stops = {domain.uuid: every[domain.uuid] for domain in running if domain.uuid in every}
    budget = max(observed.budget - request.spent, 0.0)
    share, warnings = _share(list(stops.values()), budget)
    entries = []
    for domain in running:
        stop = stops.get(domain.uuid)
        if stop is None:
            reason = "held_everything" if domain.uuid in managed else "not_managed"
            entries.append(do.Entry(domain.uuid, domain.name, "kept", reason, f"{domain.name}: left to the host"))
            continue
        action = do.Stop(stop.guard, stop.place, stop.how, stop.seconds * share)
        entries.append(do.Entry(domain.uuid, domain.name, "stopped", stop.how, f"{domain.name}: {stop.how}", (action,)))
    conduct = do.Conduct(needs_store=False, until=observed.clock.boottime + budget)
    return do.Plan(tuple(entries), warnings, tuple(_books(observed, stops)), conduct)


def _books(observed: HostSeen, stopping: Collection[str]) -> List[StoreChange]:
    """What is known of all VMs; of a host that goes down, as of a boot that is over.

    On one that stays up it is on record before a VM stops whose doing that is, or its supervisor would start it again: a guest that
    is asked through its agent looks like one that shuts itself down.
    """
    news = {change.state.uuid: change.state for change in reads.states_now(observed)}
    run, boot_id = observed.boot, observed.clock.boot_id
    if not observed.going_down:
        for uuid in stopping:
            known = news.get(uuid) or observed.states.get(uuid)
            if known is not None:
                news[uuid] = replace(known, reason="host_shutdown")
        return [RememberState(state) for state in news.values()]
    for domain, _document in reads.managed(observed):
        state = news.get(domain.uuid) or observed.states.get(domain.uuid)
        if state is not None and not domain.active and state.reason != "host_shutdown":
            news[domain.uuid] = replace(state, boot_id=over(boot_id))
    runs = [RememberBoot(replace(run, boot_id=over(boot_id)))] if run and run.boot_id == boot_id else []
    return [*(RememberState(state) for state in news.values()), *runs]


def stops_of(observed: Observed) -> Dict[str, do.Stop]:
    """UUID -> how each managed VM is stopped, as declared, whether it runs or not; without those that are held from everything."""
    found = {}
    for domain, document in reads.managed(observed):
        if (document.get("hold") or {}).get("scope") == "everything":
            continue
        policy = host_boot.policy_of(document)
        guard = do.Guard(domain.uuid, digest(domain.metadata))
        seconds = float(policy["host_shutdown_timeout_seconds"])
        found[domain.uuid] = do.Stop(guard, host_boot.place(domain, document), policy["on_host_shutdown"], seconds)
    return found


def worst_case(stops: List[do.Stop]) -> float:
    """Seconds that the longest way takes if every way but the last fails."""
    taken = {
        stop.place.uuid: {"save-state": 2.0, "shutdown": 1.0, "destroy": 0.0}[stop.how] * stop.seconds + POWER_OFF
        for stop in stops
    }
    return longest(sound([stop.place for stop in stops]), taken)[1]


def _share(stops: List[do.Stop], budget: float) -> tuple[float, tuple[str, ...]]:
    """The part of its declared time that each VM gets, so that all of it fits into what systemd leaves."""
    fixed = [do.Stop(stop.guard, stop.place, stop.how, 0.0) for stop in stops]
    wanted, least = worst_case(stops), worst_case(fixed) + SLACK
    if wanted + SLACK <= budget:
        return 1.0, ()
    share = max((budget - least) / max(wanted + SLACK - least, 1.0), 0.05)
    said = (
        f"systemd leaves {budget:.0f} s, and {wanted + SLACK:.0f} s may be needed: each VM gets {share:.0%} of its time"
    )
    return share, (f"{said}; run the role again",)


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """What became of each VM that ran, how long it may take, and waves: names of VMs that are stopped together."""
    rows = [_row(chain) for chain in chains]
    stops = [action for chain in chains for action in chain.entry.actions if isinstance(action, do.Stop)]
    return {
        "changed": any(chain.changed for chain in chains),
        "failed": any(row.get("failed") for row in rows),
        "going_down": isinstance(observed, HostSeen) and observed.going_down,
        "asked": request.now,
        "worst_case_seconds": int(worst_case(stops) + SLACK),
        "declared_seconds": int(worst_case(list(stops_of(observed).values())) + SLACK),
        "waves": _waves([stop.place for stop in stops]),
        "vms": rows,
    }


def _waves(places: List[Place]) -> List[List[str]]:
    """In the order in which they go down."""
    names = {place.uuid: place.name for place in places}
    sorter = TopologicalSorter(reversed_order(sound(places)))
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        sorter.done(*ready)
        found.append(sorted(names[uuid] for uuid in ready))
    return found


def _row(chain: Chain) -> Dict[str, Any]:
    row: Dict[str, Any] = {
        "name": chain.entry.name, "uuid": chain.entry.uuid, "decision": chain.entry.decision,
        "reason": chain.entry.reason, "message": chain.way or chain.entry.message, "changed": chain.changed,
        "fell_back": chain.fell_back, "start_order": None, "timeout_seconds": None,
    }  # fmt: skip
    for action in chain.entry.actions:
        if isinstance(action, do.Stop):
            order = action.place.order
            row["start_order"] = None if order == float("inf") else int(order)
            row["timeout_seconds"] = round(action.seconds)
    if chain.error is not None:
        row.update(failed=True, decision="failed", reason=chain.error.code, message=chain.error.message)
    return row


TASK = Task("shutdown", decode, observe, plan, report, {do.Stop: lambda *_: None}, stopping.carry_out)
