# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a host's shutdown: VMs go down in reverse order, in parallel, by saving, shutting down or powering off.

Each way falls back to the next one, each within its time, so that the whole ends before systemd's own patience does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Callable, List, Mapping, Optional, Set, Tuple

from . import actions as do
from .chain import Chain, Handlers, Run
from .changes import StoreChange
from .errors import DomainGone, EffectError
from .frozen import dataclass
from .host_changes import RememberState
from .model import ClockMemory, Domain
from .patience import POLL, patiently
from .policy.boot_order import reversed_order, sound
from .policy.power import seen, stopped
from .ports import Jobs, World
from .ways_down import RESTART, go_down

#: Seconds that libvirt may take to end a process, and that are left for everything else.
POWER_OFF, SLACK = 15.0, 10.0
#: Seconds that VMs have whose turn did not come in time, at most: a quarter of all there is.
TOGETHER = 30.0
#: Seconds before the end at which nobody is waited for any more.
LAST_WORDS = 3.0
#: Seconds for which a VM that another run works on is waited for; the machine goes down in any case.
CLAIM_WAIT = 10.0
#: Key of the job that writes down what was done; VMs have their UUIDs.
BOOKS = "books"


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
        self._limits = limits(self._now(), run.conduct.until - self._now())
        self._begun: Set[str] = set()
        self._forced: Set[str] = set()
        self._down: Set[str] = set()
        #: What is not on record yet: a chain, and the VM as it was. Whether a job writes it down.
        self._unwritten: List[Tuple[Chain, Domain]] = []
        self._writing = False

    def _now(self) -> float:
        return self._run.world.host.clock().boottime

    def work(self, jobs: Jobs) -> None:
        """Until all are down, or the time is over."""
        while len(self._down) < len(self._stops) or self._unwritten or self._writing:
            now = self._now()
            if now >= self._limits.end:
                break
            self._begin(jobs, now)
            self._force(jobs, now)
            self._write(jobs)
            for uuid, domain in jobs.wait(self._next(now)):
                self._note(uuid, domain)
        for uuid in self._stops.keys() - self._down:
            self._stops[uuid][0].error = EffectError("effect_failed", "it was not down when the time was over")
            self._note(uuid, None)

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

    def _write(self, jobs: Jobs) -> None:
        """All that is not on record yet at once, while others go down: a disk takes its time for each time that it is waited for."""
        if self._unwritten and not self._writing:
            batch, self._unwritten, self._writing = self._unwritten, [], True
            jobs.submit(BOOKS, partial(_keep_books, self._run, batch))

    def _note(self, uuid: str, domain: Optional[Domain]) -> None:
        """domain: as it was, if it was stopped just now."""
        if uuid == BOOKS:
            self._writing = False
            return
        if domain is not None:
            self._unwritten.append((self._stops[uuid][0], domain))
        if uuid in self._down:
            return
        self._down.add(uuid)
        chain, _action = self._stops[uuid]
        said = chain.error.message if chain.error else chain.way
        self._run.world.host.progress(f"{chain.entry.name}: {said} ({len(self._down)} of {len(self._stops)} done)")


def _guarded(run: Run, chain: Chain, job: Callable[[], Optional[Domain]]) -> Optional[Domain]:
    """A job never raises."""
    try:
        return job()
    except DomainGone:
        chain.way = "gone"
    except EffectError as error:
        chain.error = error
    except Exception as error:  # a defect of ours, or of a library
        chain.error = EffectError("effect_failed", f"unexpected: {type(error).__name__}: {error}")
    return None


def _claimed(run: Run, chain: Chain, action: do.Stop, off: float) -> Optional[Domain]:
    host = run.world.host
    until = min(host.clock().boottime + CLAIM_WAIT, off)
    while True:
        with host.claim(action.guard.uuid) as free:
            if free or host.clock().boottime >= until:
                return _stopped(run, chain, action, off)
        host.sleep(POLL)


def _stopped(run: Run, chain: Chain, action: do.Stop, off: float) -> Optional[Domain]:
    """By the first way that works. Returns the VM as it was."""
    domain = patiently(run.world, RESTART, lambda: run.world.hypervisor.domain(action.guard.uuid))
    if domain is None or not domain.active:
        chain.way = "off already"
        return None
    chain.way = go_down(run.world, chain, action, domain, off)
    chain.touched = True
    return domain


def _forced(run: Run, chain: Chain, action: do.Stop) -> Optional[Domain]:
    """The last way, for a VM whose own job does not come back."""
    domain = run.world.hypervisor.domain(action.guard.uuid)
    if domain is None or not domain.active:
        return None
    run.world.hypervisor.power_off(domain.uuid)
    chain.way, chain.fell_back, chain.touched = "powered off, since nothing else ended in time", True, True
    return domain


def _keep_books(run: Run, batch: List[Tuple[Chain, Domain]]) -> None:
    """A store that fails keeps no VM up."""
    clock = run.world.host.clock()
    try:
        states = run.world.store.states()
        changes: List[StoreChange] = []
        for chain, domain in batch:
            known = seen(states.get(domain.uuid), domain, clock.now, clock.boot_id)  # as it was before, not as it went
            last = stopped(known, domain, "host_shutdown", clock.now, clock.boot_id)
            changes += [RememberState(last), run.log(chain.entry, "stop", "done", chain.way)]
        run.save_now(*changes)
    except Exception as error:  # a defect of ours included: others are still on their way down
        run.world.host.progress(f"not recorded: {error}")
