# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a host's shutdown: VMs go down in reverse order, in parallel, by saving, shutting down or powering off.

Each way falls back to the next one, each within its time, so that the whole ends before systemd's own patience does.
"""

from __future__ import annotations

from functools import partial
from typing import List, Mapping, Set, Tuple

from . import actions as do
from .apply import POLL
from .chain import Chain, Handlers, Run
from .changes import RememberState
from .errors import DomainGone, EffectError
from .loading import begin_manifest, end_manifest
from .model import ClockMemory, Domain
from .policy.boot_order import reversed_order, sound
from .policy.power import seen, stopped
from .ports import Jobs, World

#: Seconds for which a VM that another run works on is waited for; the machine goes down in any case.
CLAIM_WAIT = 10.0
#: Seconds after which a guest is asked again: one that was still booting did not hear the first time.
ASK_AGAIN = 10.0
#: MiB that stay free beside a saved memory image.
RESERVE_MIB = 64


def carry_out(plan: do.Plan, world: World, clock: ClockMemory, _handlers: Handlers) -> List[Chain]:
    """Stop what the plan stops; returns a chain for each entry. A VM that can't be stopped holds nobody up."""
    chains = [Chain(entry) for entry in plan.entries]
    run = Run(world, clock, world.host.clock().now, plan.conduct)
    stops = {
        chain.entry.uuid: (chain, action)
        for chain in chains
        for action in chain.entry.actions
        if isinstance(action, do.Stop)
    }
    with world.host.jobs() as jobs:
        _work(run, jobs, stops)
    return chains


def _work(run: Run, jobs: Jobs, stops: Mapping[str, Tuple[Chain, do.Stop]]) -> None:
    order = reversed_order(sound([action.place for _chain, action in stops.values()]))
    begun: Set[str] = set()
    down: Set[str] = set()
    while len(down) < len(stops):
        for uuid in [uuid for uuid in stops if uuid not in begun and order[uuid] <= down]:
            begun.add(uuid)
            jobs.submit(uuid, partial(_guarded, run, *stops[uuid]))
        for uuid, _result in jobs.wait(None):
            down.add(uuid)
            chain, _action = stops[uuid]
            said = chain.error.message if chain.error else chain.way
            run.world.host.progress(f"{chain.entry.name}: {said} ({len(down)} of {len(stops)} done)")


def _guarded(run: Run, chain: Chain, action: do.Stop) -> None:
    """A job never raises."""
    try:
        _claimed(run, chain, action)
    except DomainGone:
        chain.way = "gone"
    except EffectError as error:
        chain.error = error
    except Exception as error:  # a defect of ours, or of a library
        chain.error = EffectError("effect_failed", f"unexpected: {type(error).__name__}: {error}")


def _claimed(run: Run, chain: Chain, action: do.Stop) -> None:
    host = run.world.host
    began = host.clock().boottime
    while True:
        with host.claim(action.guard.uuid) as free:
            if free or host.clock().boottime - began >= CLAIM_WAIT:
                _down(run, chain, action)
                return
        host.sleep(POLL)


def _down(run: Run, chain: Chain, action: do.Stop) -> None:
    """By the first way that works, and then its books; a store that fails keeps no VM up."""
    uuid = action.guard.uuid
    domain = run.world.hypervisor.domain(uuid)
    if domain is None or not domain.active:
        chain.way = "off already"
        return
    chain.way = _way(run, chain, action, domain)
    chain.touched = True
    clock = run.world.host.clock()
    try:
        known = seen(
            run.world.store.states().get(uuid), domain, clock.now, clock.boot_id
        )  # as it was before, not as it went
        last = stopped(known, domain, "host_shutdown", clock.now, clock.boot_id)
        run.save_now(RememberState(last), run.log(chain.entry, "stop", "done", chain.way))
    except EffectError as error:
        run.world.host.progress(f"{chain.entry.name}: not recorded: {error.message}")


def _way(run: Run, chain: Chain, action: do.Stop, domain: Domain) -> str:
    """What became of the VM, in words; each way falls back to the next. Raises EffectError when even the last one fails."""
    said: List[str] = []
    if domain.power_state == "crashed":  # and was preserved: there is no guest any more that could be asked, or saved
        run.world.hypervisor.power_off(action.guard.uuid)
        return "powered off, since it had crashed"
    if action.how == "save-state":
        problem = _save(run.world, action, domain)
        if not problem:
            return "saved"
        said.append(f"not saved: {problem}")
    # a paused guest hears nothing
    if action.how != "destroy" and domain.power_state != "paused":
        problem = _shut_down(run.world, action)
        if not problem:
            return "; ".join([*said, "shut down"])
        said.append(problem)
    run.world.hypervisor.power_off(action.guard.uuid)
    chain.fell_back = bool(said)
    return "; ".join([*said, "powered off"])


def _save(world: World, action: do.Stop, domain: Domain) -> str:
    """Why its memory was not saved, "" when it was."""
    try:
        cost = world.hypervisor.memory_cost(action.guard.uuid)
        if cost.obstacle:
            return cost.obstacle
        if cost.mib + RESERVE_MIB > cost.free_mib:
            return f"{cost.mib} MiB are needed, and {cost.free_mib} MiB are free"
        begin_manifest(world, domain)
        world.hypervisor.save_memory(action.guard.uuid, action.seconds)
        end_manifest(world, domain)
    except DomainGone:
        raise
    except EffectError as error:
        return error.message
    return ""


def _shut_down(world: World, action: do.Stop) -> str:
    """Why its guest did not shut down, "" when it did."""
    uuid, began, asked = action.guard.uuid, world.host.clock().boottime, 0
    while True:
        passed = world.host.clock().boottime - began
        found = world.hypervisor.domain(uuid)
        if found is None or not found.active:
            return ""
        if passed >= action.seconds:
            return f"its guest did not shut down in {action.seconds:.0f} s"
        if passed >= asked * ASK_AGAIN:
            asked += 1
            problem = _ask(world, uuid)
            if problem:
                return problem
        world.host.sleep(POLL)


def _ask(world: World, uuid: str) -> str:
    """Press the guest's button once. Returns why that did not work, unless the VM is off meanwhile."""
    try:
        world.hypervisor.request_shutdown(uuid)
    except DomainGone:
        raise
    except EffectError as error:
        found = world.hypervisor.domain(uuid)
        return error.message if found is not None and found.active else ""
    return ""
