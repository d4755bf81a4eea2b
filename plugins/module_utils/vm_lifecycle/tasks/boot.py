# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle boot: once a boot, the VMs of this host are started in their order, or deleted when that was declared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from .. import booting
from ..boots import BootRun, Place
from ..frozen import dataclass
from ..host_actions import Start
from ..host_changes import RememberBoot
from ..metadata import digest
from ..plans import Conduct, Entry, Guard, Plan
from ..policy import boot_order, host_boot, power
from ..policy.host_boot import AtBoot
from ..policy.power import before
from ..reasons_order import BOOT_REASONS
from ..run import Task
from . import host as reads
from .host import HostSeen

if TYPE_CHECKING:
    from ..actions import Action
    from ..chain import Chain
    from ..model import Document, Domain, Observed
    from ..ports import World

WORDS = {"start": "started", "leave": "kept", "destroy": "kept"}


@dataclass(frozen=True)
class Request:
    """again: also when this boot's VMs were started already, but nothing is deleted then. mark: only note that they were.

    preview, for dry runs only: when they were started already, the plan is that of the next boot.
    remarks: what is wrong with the host's own policy, which keeps no VM down.
    """

    cap: int
    again: bool = False
    mark: bool = False
    preview: bool = False
    remarks: Tuple[str, ...] = ()


def decode(document: Mapping[str, Any], world: World) -> Request:
    """The host's own policy says how many VMs start at once; one that is not valid is as if there were none."""
    policy, remarks = reads.lenient_boot_policy(world.host)
    again, mark, preview = (bool(document.get(name)) for name in ("again", "mark", "preview"))
    return Request(int(policy["max_concurrent_starts"]), again, mark, preview, remarks)


def observe(request: Request, world: World) -> HostSeen:
    """Everything but storage. To note something down takes a store, to start VMs does not."""
    seen = reads.whole(world, needs_store=request.mark)
    if not (request.mark or request.preview) and (request.again or not is_over(seen)):
        world.hypervisor.expect(min(request.cap, sum(not domain.active for domain in seen.domains)))
    return seen


def plan(request: Request, observed: Observed) -> Plan:
    """An entry for each managed VM. What is wrong with the order refuses nothing here: who can come up does."""
    seen = _seen(observed)
    clock, over = seen.clock, is_over(seen)
    if request.mark:
        run = BootRun(clock.boot_id, int(clock.now), max(int(clock.now), 1))
        everybody = [domain.uuid for domain in seen.domains]
        return Plan(books=(RememberBoot(run), *reads.states_now(seen, everybody)))
    if over and not request.again and not request.preview:
        return Plan()
    warnings = request.remarks + tuple(
        str(problem) for problem in boot_order.problems(reads.declared(seen), reads.strangers(seen))
    )
    if over and not request.again:
        return Plan(tuple(_entries(reads.upcoming(seen), request)), (*observed.damage, *warnings))
    entries = _entries(seen, request)
    began = seen.boot.began_unix if _resumed(seen) and seen.boot else int(clock.now)
    run_books = () if over else (RememberBoot(BootRun(clock.boot_id, began)),)
    leaving = [entry.uuid for entry in entries if entry.decision == "kept"]
    starting = [entry.uuid for entry in entries if entry.decision == "started"]
    books = (*run_books, *reads.states_now(seen, leaving, starting))
    return Plan(tuple(entries), (*observed.damage, *warnings), books, Conduct(workers=request.cap, needs_store=False))


def _seen(observed: Observed) -> HostSeen:
    if not isinstance(observed, HostSeen):
        raise TypeError("a boot observes its host")
    return observed


def is_over(observed: HostSeen) -> bool:
    """Whether this boot's VMs were started already."""
    run = observed.boot
    return run is not None and run.boot_id == observed.clock.boot_id and run.ended_unix > 0


def _resumed(observed: HostSeen) -> bool:
    return observed.boot is not None and observed.boot.boot_id == observed.clock.boot_id


def decisions(observed: HostSeen, again: bool = False) -> Dict[str, AtBoot]:
    """What becomes of each managed VM, by UUID."""
    boot_id = observed.clock.boot_id
    found = {}
    for domain, document in reads.managed(observed):
        decision = host_boot.decide(domain, document, observed.states.get(domain.uuid), boot_id)
        # what is declared to run is started again when a person says so
        starts = decision.action == "start" and not (again and decision.reason != "was_running")
        if starts and not domain.active and _stopped_since(domain.uuid, observed, again):
            decision = AtBoot("leave", "stopped_since")
        if decision.action == "destroy" and again:
            decision = AtBoot("leave", "not_rebooted_yet")
        found[domain.uuid] = decision
    return found


def _stopped_since(uuid: str, observed: HostSeen, again: bool) -> bool:
    """Whether it ran already in this very boot, as far as a run before this one, or the supervisor, wrote that down.

    again: one that died since is started once more.
    """
    boot_id, start, run = observed.clock.boot_id, observed.starts.get(uuid), observed.boot
    if run is None or run.boot_id != boot_id:
        return False
    ready = start is not None and start.boot_id == boot_id and start.outcome == "ready"
    if start is not None and ready and start.at_unix >= run.began_unix and not again:
        return True
    return power.ran_before(observed.states.get(uuid), boot_id, run.began_unix)


def _entries(observed: HostSeen, request: Request) -> List[Entry]:
    decided = decisions(observed, request.again)
    managed = reads.managed(observed)
    places = {domain.uuid: host_boot.place(domain, document) for domain, document in managed}
    starting = [places[uuid] for uuid, decision in decided.items() if decision.action == "start"]
    doomed = unmet(starting, observed)
    return [
        _entry(domain, document, decided[domain.uuid], places[domain.uuid], observed, doomed.get(domain.uuid, ""))
        for domain, document in managed
    ]


def unmet(starting: List[Place], observed: HostSeen) -> Dict[str, str]:
    """UUID -> a dependency that nobody starts and that does not run; or its ring, since nobody in it can be first."""
    names = {place.name for place in starting}
    running = {domain.name for domain in observed.domains if domain.active}
    found: Dict[str, str] = {}
    for place in starting:
        missing = [name for name in place.depends_on if name not in names and name not in running]
        if missing:
            found[place.uuid] = missing[0]
    left = [place for place in starting if place.uuid not in found]
    ring = boot_order.cycle({place.name: place.depends_on for place in left})
    while ring:
        found.update({place.uuid: " -> ".join(ring) for place in left if place.name in ring})
        left = [place for place in left if place.uuid not in found]
        ring = boot_order.cycle({place.name: place.depends_on for place in left})
    later = {place.name: place.order for place in starting}
    for place in left:
        upward = [name for name in place.depends_on if later.get(name, place.order) > place.order]
        if upward:
            found[place.uuid] = f"{upward[0]} of a higher start_order"
    return _with_dependants(starting, found)


def _with_dependants(starting: List[Place], found: Dict[str, str]) -> Dict[str, str]:
    """The same, with all that depends on those that can't be started."""
    while True:
        down = {place.name for place in starting if place.uuid in found}
        more = {
            place.uuid: name
            for place in starting
            if place.uuid not in found
            for name in place.depends_on
            if name in down
        }
        if not more:
            return found
        found = {**found, **more}


def _entry(
    domain: Domain, document: Document, decision: AtBoot, place: Place, observed: HostSeen, missing: str
) -> Entry:
    actions: tuple[Action, ...] = ()
    if decision.action == "start":
        guard = Guard(domain.uuid, digest(domain.metadata))
        last = observed.states.get(domain.uuid)
        paused = decision.reason == "was_running" and before(last, observed.clock.boot_id) == "paused"
        paused = paused and domain.uuid not in observed.pressed  # nobody wanted that
        if paused:
            place = replace(place, wait_for_ssh=False)  # whose processors stand still answers nobody
        choice = host_boot.policy_of(document)["on_restore_failure"]
        actions = (Start(guard, place, last, missing, paused, choice),)
    word = WORDS[decision.action]
    return Entry(
        domain.uuid, domain.name, word, decision.reason, f"{domain.name}: {BOOT_REASONS[decision.reason].meaning}", actions,
        before=document, after=document,
    )  # fmt: skip


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """waves, the critical path with its worst case, and what became of each VM."""
    seen = _seen(observed)
    starts = [
        each.place for chain in chains for each in chain.entry.actions if isinstance(each, Start) and not each.unmet
    ]
    rows = [_row(chain, seen) for chain in chains]
    return {
        "changed": any(row["changed"] for row in rows),
        "failed": bool(request.remarks) or any(row.get("failed") for row in rows),
        "already_done": is_over(seen),
        "marked": request.mark,
        "next_boot": is_over(seen) and request.preview and not request.again,
        "vms": rows,
        "destroy": [chain.entry.uuid for chain in chains if chain.entry.reason == "destroy_at_boot"],
        **picture(starts),
    }


def picture(places: List[Place]) -> Document:
    """waves: names of VMs that may start together. critical_path, worst_case_seconds: the longest way by what was declared."""
    path, seconds = boot_order.longest(places)
    return {
        "waves": [[place.name for place in wave] for wave in boot_order.waves(places)],
        "critical_path": [place.name for place in path],
        "worst_case_seconds": int(seconds),
    }


def _row(chain: Chain, observed: HostSeen) -> Dict[str, Any]:
    entry, start = chain.entry, chain.start
    action: Optional[Start] = next((each for each in entry.actions if isinstance(each, Start)), None)
    row: Dict[str, Any] = {
        "name": entry.name, "uuid": entry.uuid, "decision": entry.decision, "reason": entry.reason,
        "message": entry.message, "changed": chain.touched or _would_start(chain), **_placed(None),
    }  # fmt: skip
    if action is not None:
        row.update(_placed(action.place))
        if action.unmet and start is None:
            row.update(
                decision="failed",
                reason="dependency_failed",
                message=f"it depends on {action.unmet}, which is not started",
            )
    if start is not None:
        row["start"] = timeline(start)
        if start.outcome != "ready":
            row.update(failed=True, decision="failed", reason=start.reason, message=start.message)
    return row


def _placed(place: Optional[Place]) -> Document:
    """A VM's place in the order as results show it, by the names of VmAutoStartConfig; empty for one that is not started."""
    if place is None:
        return {
            "start_order": None,
            "depends_on": [],
            "start_delay_seconds": 0,
            "wait_for_ssh": False,
            "ssh_timeout_seconds": None,
        }
    return {
        "start_order": None if place.order == float("inf") else int(place.order),
        "depends_on": list(place.depends_on),
        "start_delay_seconds": int(place.delay),
        "wait_for_ssh": place.wait_for_ssh,
        "ssh_timeout_seconds": int(place.ssh_timeout) if place.wait_for_ssh else None,
    }


def _would_start(chain: Chain) -> bool:
    starts = [action for action in chain.entry.actions if isinstance(action, Start)]
    return chain.predicted and any(not start.place.running and not start.unmet for start in starts)


def timeline(start: Any) -> Document:
    """A start's times as results show them, in seconds since the run began."""
    return {
        "outcome": start.outcome, "attempts": start.attempts, "waited_for": start.after or None,
        "turn_seconds": round(start.turn, 3), "begun_seconds": round(start.begun, 3),
        "started_seconds": round(start.started, 3), "ended_seconds": round(start.ended, 3),
    }  # fmt: skip


def finish(world: World) -> None:
    """Note that this boot's VMs were started, and those that were to be deleted handed over. Raises EffectError."""
    known = world.store.boot()
    clock = world.host.clock()
    if known is not None and known.boot_id == clock.boot_id and not known.ended_unix:
        world.store.save([RememberBoot(BootRun(known.boot_id, known.began_unix, max(int(clock.now), 1)))])


TASK = Task("boot", decode, observe, plan, report, {Start: lambda *_: None}, booting.carry_out)
