# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle retry and stay-down: a person starts a VM that the supervisor gave up, or ends the waiting for its restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Mapping, Tuple

from .. import metadata
from ..actions import Retry, StayDown
from ..boots import LastState
from ..chain import Chain, Handlers, Run
from ..errors import EffectError, LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..guarded import start_claimed
from ..host_changes import RememberState
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy.power import BY_SOMEBODY, UP
from ..policy.restart import rule
from ..ports import World
from ..reasons_order import RESTART_REASONS
from ..run import Task
from .host import HostSeen, known
from .targets import Wish, resolve, unknown_problems, wishes

STATES = ("retried", "down")


@dataclass(frozen=True)
class Request:
    """state: retried or down."""

    named: Tuple[Wish, ...]
    state: str


def decode(document: Mapping[str, Any], _world: World) -> Request:
    """VMs by name, and what is to become of them."""
    state = str(document.get("state", "retried"))
    if state not in STATES:
        raise refuse("invalid_option", f"must be one of: {', '.join(STATES)}", field="state")
    return Request(tuple(wishes(document, (), required=True)), state)


def observe(_request: Request, world: World) -> HostSeen:
    """Everything but storage."""
    return known(world)


def plan(request: Request, observed: Observed) -> Plan:
    """An entry for each VM. One that can't be served refuses the call."""
    found, unknown, problems = resolve(request.named, observed.domains)
    problems += unknown_problems(unknown)
    domains = {domain.uuid: domain for domain in observed.domains}
    entries = []
    for _wish, uuid, _name in found:
        try:
            entries.append(_entry(request, domains[uuid], observed))
        except LifecycleError as error:
            problems += error.problems
    if problems:
        raise LifecycleError(problems)
    return Plan(tuple(entries), observed.damage)


def _entry(request: Request, domain: Domain, observed: Observed) -> Entry:
    carried = metadata.read(domain, observed.records.get(domain.uuid))
    if not carried.valid:
        raise LifecycleError(
            [Problem("not_managed", carried.detail or "no lifecycle was declared for it", domain.name)]
        )
    if domain.active and request.state == "down":
        message = "it runs; shut it down, which is never undone"
        raise LifecycleError([Problem("invalid_option", message, domain.name, "state")])
    barrier = rule(carried.document).barrier
    if domain.power_state in UP:
        return Entry(domain.uuid, domain.name, "kept", "already_running", f"{domain.name}: runs already")
    if domain.power_state == "crashed":
        code = "crash_preserved"
        return Entry(domain.uuid, domain.name, "kept", code, f"{domain.name}: {RESTART_REASONS[code].text}")
    if barrier == "restart_held" and request.state == "retried":
        return Entry(domain.uuid, domain.name, "kept", barrier, f"{domain.name}: {RESTART_REASONS[barrier].text}")
    last = observed.states.get(domain.uuid) if isinstance(observed, HostSeen) else None
    if request.state == "down":
        message = f"{domain.name}: stays down until somebody starts it"
        stays = last is not None and last.reason in BY_SOMEBODY
        actions: Tuple[Any, ...] = () if stays else (StayDown(domain.uuid, domain.name),)
        return Entry(domain.uuid, domain.name, "kept", "stopped_by_somebody", message, actions)
    return Entry(domain.uuid, domain.name, "started", "retried", f"{domain.name}: started", (Retry(domain.uuid),))


def _retry(run: Run, chain: Chain, action: Retry) -> None:
    """The supervisor hears of it, and all is well again."""
    said = start_claimed(run.world, action.uuid, by_hand=True)
    chain.touched = True
    run.later(run.log(chain.entry, "retry", "done", said))


def _stay_down(run: Run, chain: Chain, action: StayDown) -> None:
    """On record it is as if it had been asked to shut down just now, which the supervisor finds before it starts it."""
    domain = run.world.hypervisor.domain(action.uuid)
    if domain is None or domain.active:
        raise EffectError("changed_meanwhile", "it runs by now, or is gone")
    clock = run.world.host.clock()
    last = run.world.store.states([action.uuid]).get(action.uuid)
    known = last or LastState(action.uuid, action.name, "shutoff")
    down = replace(
        known, name=action.name, state="shutoff", reason="asked", at_unix=int(clock.now), boot_id=clock.boot_id
    )
    run.save_now(RememberState(down), run.log(chain.entry, "stay-down", "done"))
    chain.touched = True


def report(_request: Request, _observed: Observed, chains: List[Chain]) -> Document:
    """changed, failed, and a row for each VM."""
    rows = []
    for chain in chains:
        entry = chain.entry
        row = {
            "name": entry.name,
            "uuid": entry.uuid,
            "changed": chain.changed,
            "reason": entry.reason,
            "message": entry.message,
        }
        if chain.error is not None:
            row.update(failed=True, reason=chain.error.code, message=f"{entry.name}: {chain.error.message}")
        rows.append(row)
    return {
        "changed": any(row["changed"] for row in rows),
        "failed": any(row.get("failed") for row in rows),
        "vms": rows,
    }


HANDLERS: Handlers = {Retry: _retry, StayDown: _stay_down}
TASK = Task("restart", decode, observe, plan, report, HANDLERS)
