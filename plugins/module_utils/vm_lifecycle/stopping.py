# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a host's shutdown: VMs go down in reverse order, in parallel, by saving, shutting down or powering off.

Each way falls back to the next one, each within its time, so that the whole ends before systemd's own patience does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Callable, List, Mapping, Optional, Set, Tuple

from . import actions as do
from .apply import POLL
from .chain import Chain, Handlers, Run
from .changes import RememberState
from .errors import DomainGone, EffectError
from .loading import begin_manifest, end_manifest
from .model import ClockMemory, Domain
from .patience import AWAY, patiently
from .policy.boot_order import reversed_order, sound
from .policy.power import seen, stopped
from .ports import Jobs, World

#: Seconds that libvirt may take to end a process, and that are left for everything else.
POWER_OFF, SLACK = 15.0, 10.0
#: Seconds that VMs have whose turn did not come in time, at most: a quarter of all there is.
TOGETHER = 30.0
#: Seconds before the end at which nobody is waited for any more.
LAST_WORDS = 3.0
#: Seconds for which a VM that another run works on is waited for; the machine goes down in any case.
CLAIM_WAIT = 10.0
#: Seconds after which a guest is asked again: one that was still booting did not hear the first time.
ASK_AGAIN = 10.0
#: Seconds for which libvirt's daemon may be away: it is being restarted.
RESTART = 10.0
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
        Shutdown(run, stops).work(jobs)
    return chains


@dataclass(frozen=True)
class Limits:
    """Moments of the boot, in seconds: when all who are left begin, when they are powered off, when nobody is waited for any more."""

    together: float = math.inf
    off: float = math.inf
    end: float = math.inf


def limits(began: float, budget: float) -> Limits:
    """For a shutdown that has so many seconds, as systemd leaves them: it kills what goes on for longer, and then all VMs."""
    off = max(budget - POWER_OFF - SLACK, 0.0)
    together = max(off - min(TOGETHER, budget / 4), 0.0)
    return Limits(began + together, began + off, began + max(budget - LAST_WORDS, 0.0))


class Shutdown:
    """One run: VMs in their order, as long as there is time for that."""

    def __init__(self, run: Run, stops: Mapping[str, Tuple[Chain, do.Stop]]) -> None:
        self._run, self._stops = run, stops
        self._order = reversed_order(sound([action.place for _chain, action in stops.values()]))
        self._limits = limits(self._now(), run.conduct.seconds)
        self._begun: Set[str] = set()
        self._forced: Set[str] = set()
        self._down: Set[str] = set()

    def _now(self) -> float:
        return self._run.world.host.clock().boottime

    def work(self, jobs: Jobs) -> None:
        """Until all are down, or the time is over."""
        while len(self._down) < len(self._stops):
            now = self._now()
            if now >= self._limits.end:
                break
            self._begin(jobs, now)
            self._force(jobs, now)
            for uuid, _result in jobs.wait(self._next(now)):
                self._note(uuid)
        for uuid in self._stops.keys() - self._down:
            self._stops[uuid][0].error = EffectError("effect_failed", "it was not down when the time was over")
            self._note(uuid)

    def _next(self, now: float) -> Optional[float]:
        """Seconds until something is to be done whatever its VMs do."""
        moments = [at for at in (self._limits.together, self._limits.off + LAST_WORDS, self._limits.end) if at > now]
        return None if math.inf in moments else min(moments) - now

    def _begin(self, jobs: Jobs, now: float) -> None:
        """VMs whose turn it is; when it is late, all that are left, with all the time that is left."""
        late = now >= self._limits.together
        waiting = [uuid for uuid in self._stops if uuid not in self._begun]
        if late and waiting:
            self._run.world.host.progress(f"no time is left to keep the order: {len(waiting)} VMs are stopped at once")
        for uuid in waiting:
            if late or self._order[uuid] <= self._down:
                chain, action = self._stops[uuid]
                action = replace(action, seconds=math.inf) if late else action
                self._begun.add(uuid)
                jobs.submit(
                    uuid,
                    partial(_guarded, self._run, chain, partial(_claimed, self._run, chain, action, self._limits.off)),
                )

    def _force(self, jobs: Jobs, now: float) -> None:
        """Who should be off by now hangs, or libvirt does: tried once more, in a thread and on a connection of its own."""
        if now < self._limits.off + LAST_WORDS:
            return
        for uuid in self._begun - self._down - self._forced:
            self._forced.add(uuid)
            chain, action = self._stops[uuid]
            jobs.submit(uuid, partial(_guarded, self._run, chain, partial(_forced, self._run, chain, action)))

    def _note(self, uuid: str) -> None:
        if uuid in self._down:
            return
        self._down.add(uuid)
        chain, _action = self._stops[uuid]
        said = chain.error.message if chain.error else chain.way
        self._run.world.host.progress(f"{chain.entry.name}: {said} ({len(self._down)} of {len(self._stops)} done)")


def _guarded(run: Run, chain: Chain, job: Callable[[], None]) -> None:
    """A job never raises."""
    try:
        job()
    except DomainGone:
        chain.way = "gone"
    except EffectError as error:
        chain.error = error
    except Exception as error:  # a defect of ours, or of a library
        chain.error = EffectError("effect_failed", f"unexpected: {type(error).__name__}: {error}")


def _claimed(run: Run, chain: Chain, action: do.Stop, off: float) -> None:
    host = run.world.host
    until = min(host.clock().boottime + CLAIM_WAIT, off)
    while True:
        with host.claim(action.guard.uuid) as free:
            if free or host.clock().boottime >= until:
                _down(run, chain, action, off)
                return
        host.sleep(POLL)


def _down(run: Run, chain: Chain, action: do.Stop, off: float) -> None:
    """By the first way that works."""
    domain = patiently(run.world, RESTART, lambda: run.world.hypervisor.domain(action.guard.uuid))
    if domain is None or not domain.active:
        chain.way = "off already"
        return
    chain.way = _way(run, chain, action, domain, off)
    _keep_books(run, chain, domain)


def _forced(run: Run, chain: Chain, action: do.Stop) -> None:
    """The last way, for a VM whose own job does not come back."""
    domain = run.world.hypervisor.domain(action.guard.uuid)
    if domain is None or not domain.active:
        return
    run.world.hypervisor.power_off(domain.uuid)
    chain.way, chain.fell_back = "powered off, since nothing else ended in time", True
    _keep_books(run, chain, domain)


def _keep_books(run: Run, chain: Chain, domain: Domain) -> None:
    """A store that fails keeps no VM up."""
    chain.touched, uuid = True, domain.uuid
    clock = run.world.host.clock()
    try:
        known = seen(
            run.world.store.states().get(uuid), domain, clock.now, clock.boot_id
        )  # as it was before, not as it went
        last = stopped(known, domain, "host_shutdown", clock.now, clock.boot_id)
        run.save_now(RememberState(last), run.log(chain.entry, "stop", "done", chain.way))
    except EffectError as error:
        run.world.host.progress(f"{chain.entry.name}: not recorded: {error.message}")


def _way(run: Run, chain: Chain, action: do.Stop, domain: Domain, off: float) -> str:
    """What became of the VM, in words; each way falls back to the next. Raises EffectError when even the last one fails."""
    said: List[str] = []
    if domain.power_state == "crashed":  # and was preserved: there is no guest any more that could be asked, or saved
        _power_off(run.world, action)
        return "powered off, since it had crashed"
    if action.how == "save-state":
        problem = _save(run.world, action, domain, off)
        if not problem:
            return "saved"
        said.append(f"not saved: {problem}")
    # a paused guest hears nothing
    if action.how != "destroy" and domain.power_state != "paused":
        problem = _shut_down(run.world, action, off)
        if not problem:
            return "; ".join([*said, "shut down"])
        said.append(problem)
    _power_off(run.world, action)
    chain.fell_back = bool(said)
    return "; ".join([*said, "powered off"])


def _save(world: World, action: do.Stop, domain: Domain, off: float) -> str:
    """Why its memory was not saved, "" when it was."""
    uuid = action.guard.uuid
    try:
        cost = patiently(world, RESTART, lambda: world.hypervisor.memory_cost(uuid))
        if cost.obstacle:
            return cost.obstacle
        if cost.mib + RESERVE_MIB > cost.free_mib:
            return f"{cost.mib} MiB are needed, and {cost.free_mib} MiB are free"
        begin_manifest(world, domain)
        world.hypervisor.save_memory(uuid, _left(world, action, off))
        end_manifest(world, domain)
    except DomainGone:
        raise
    except EffectError as error:
        return error.message
    return ""


def _left(world: World, action: do.Stop, off: float) -> float:
    return min(action.seconds, max(off - world.host.clock().boottime, 0.0))


def _shut_down(world: World, action: do.Stop, off: float) -> str:
    """Why its guest did not shut down, "" when it did. A daemon that is away for a while changes nothing."""
    began, asked_at, heard = world.host.clock().boottime, -math.inf, False
    until = began + _left(world, action, off)
    while True:
        now = world.host.clock().boottime
        try:
            found = world.hypervisor.domain(action.guard.uuid)
            if found is None or not found.active:
                return ""
            if now >= until:
                return f"its guest did not shut down in {now - began:.0f} s"
            if now >= asked_at + ASK_AGAIN:
                world.hypervisor.request_shutdown(action.guard.uuid)
                asked_at, heard = now, True
        except DomainGone:
            raise
        except EffectError as error:
            if now >= until or not (heard or error.code == AWAY or _is_off(world, action)):
                return error.message
        world.host.sleep(POLL)


def _is_off(world: World, action: do.Stop) -> bool:
    found = world.hypervisor.domain(action.guard.uuid)
    return found is None or not found.active


def _power_off(world: World, action: do.Stop) -> None:
    patiently(world, RESTART, lambda: world.hypervisor.power_off(action.guard.uuid))
