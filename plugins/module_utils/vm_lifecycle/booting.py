# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a host's boot: VMs are started when their turn comes, as many at once as the order and the cap allow.

policy/boot_run.py decides; here is what it decides about: starts and waits for SSH as jobs, and the books.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from .boots import Place, StartRecord
from .chain import Chain, Handlers, Run
from .errors import DomainGone, EffectError
from .host_actions import Start, Stop
from .host_changes import RememberStart, RememberState
from .lately import Lately
from .loading import activate, activate_needs, load
from .metadata import digest, read
from .model import ClockMemory, Domain
from .patience import AWAY, POLL, SLOT_WAIT, patiently
from .policy.boot_run import Moves, Order, Step
from .policy.host_boot import decide
from .policy.power import UP, seen, stopped_meanwhile

if TYPE_CHECKING:
    from .changes import StoreChange
    from .plans import Plan
    from .ports import Jobs, World

#: A job's result: (code, message) of what went wrong, the code empty when nothing did; and whether the VM runs.
Outcome = Tuple[str, str, bool]
#: Seconds after which a start counts as one that hangs (a large memory takes minutes to load), and those in which a guest's
#: addresses are found and asked once.
START_LIMIT, PROBE_LIMIT = 1800.0, 120.0
#: Seconds for which libvirt's daemon may be away.
RESTART = 30.0
#: Seconds within which VMs that came up are written down while others start.
SOON = 0.5


def carry_out(plan: Plan, world: World, clock: ClockMemory, _handlers: Handlers) -> List[Chain]:
    """Start what the plan starts; returns a chain for each entry, with a record of how its start went."""
    chains = [Chain(entry) for entry in plan.entries]
    run = Run(world, clock, world.host.clock().now, plan.conduct)
    boot = Boot(run, [chain for chain in chains if _start_of(chain) is not None])
    with world.host.jobs() as jobs:
        boot.work(jobs)
    return chains


def _start_of(chain: Chain) -> Optional[Start]:
    return next((action for action in chain.entry.actions if isinstance(action, Start)), None)


class Boot:
    """One run: the steps of all its VMs, advanced by whatever ends first."""

    def __init__(self, run: Run, chains: List[Chain]) -> None:
        self._run, self._world = run, run.world
        self._chains = {chain.entry.uuid: chain for chain in chains}
        self._starts = {uuid: action for uuid, chain in self._chains.items() for action in [_start_of(chain)] if action}
        unmet = {uuid: action.unmet for uuid, action in self._starts.items() if action.unmet}
        self._order = Order([action.place for action in self._starts.values()], unmet, run.conduct.workers)
        self._steps = self._order.begin()
        self._began = run.world.host.clock().boottime
        self._boot_id = run.world.host.clock().boot_id
        self._run_unix = int(run.now)
        #: When a job that goes on counts as one that hangs, by UUID.
        self._limits: Dict[str, float] = {}
        #: What there is to say of VMs that came up, by UUID.
        self._said: Dict[str, str] = {}
        #: VMs that came up since something was written down, what else was settled, and when that is written down.
        self._came_up: List[str] = []
        self._settled: List[StoreChange] = []
        self._due: Optional[float] = None

    def work(self, jobs: Jobs) -> None:
        """Until nothing is left to"""
        while True:
            before, moves = self._steps, self._order.advance(self._steps, self._now())
            self._steps = dict(moves.steps)
            self._note(before)
            self._submit(jobs, moves)
            self._write_down()
            moments = [*self._limits.values(), *(each for each in (moves.wake, self._due) if each is not None)]
            if not moments:
                return
            ended = jobs.wait(max(min(moments) - self._now(), 0.0))
            before = dict(self._steps)
            for uuid, outcome in ended:
                if self._limits.pop(uuid, None) is not None:  # else it was given up
                    self._steps[uuid] = self._after(uuid, self._steps[uuid], outcome)
            for uuid in [uuid for uuid, limit in self._limits.items() if limit <= self._now()]:
                del self._limits[uuid]
                self._steps[uuid] = self._order.hung(self._steps[uuid], self._now())
            self._note(before)

    def _now(self) -> float:
        return self._world.host.clock().boottime - self._began

    def _submit(self, jobs: Jobs, moves: Moves) -> None:
        lately = Lately(self._world, moves.start)
        for uuid in moves.start:
            self._limits[uuid] = self._now() + START_LIMIT
            start = partial(_start, self._world, self._starts[uuid], lately)
            jobs.submit(uuid, partial(_guarded, self._world, uuid, start))
        for uuid in moves.start:  # told afterwards: nobody waits for the telling
            attempts = self._steps[uuid].attempts
            self._say(uuid, f"starting, attempt {attempts}" if attempts > 1 else "starting")
        for uuid in moves.probe:
            self._say(uuid, "runs; waiting for SSH")
            patience = self._order.places[uuid].ssh_timeout
            self._limits[uuid] = self._now() + patience + PROBE_LIMIT
            jobs.submit(uuid, partial(_guarded, self._world, uuid, partial(_probe, self._world, uuid, patience)))

    def _after(self, uuid: str, step: Step, outcome: Outcome) -> Step:
        code, message, runs = outcome
        if step.phase == "probing":
            return self._order.probed(uuid, step, self._now(), message, runs)
        if message and not code:
            self._said[uuid] = message
        return self._order.started(uuid, step, self._now(), (code, message))

    def _note(self, before: Dict[str, Step]) -> None:
        """Say what was settled just now, and have it written down."""
        self._run.now = self._world.host.clock().now
        for uuid, step in self._steps.items():
            if before[uuid].phase == step.phase:
                continue
            chain = self._chains[uuid]
            if step.started and not before[uuid].started:
                chain.touched = not self._order.places[uuid].running
                self._came_up.append(uuid)
            if step.done:
                chain.start = self._record(uuid, step)
                chain.error = EffectError(step.reason, step.message) if step.phase != "ready" else None
                said = self._run.log(chain.entry, "start", step.phase, step.message)
                self._settled += [RememberStart(chain.start), said]
                self._say(uuid, "ready" if step.phase == "ready" else f"{step.phase}: {step.message}")
        if self._due is None and (self._came_up or self._settled):
            self._due = self._now() + SOON

    def _write_down(self) -> None:
        """What was settled, once for all that is settled at about the same time: while VMs start they need the disk more.

        Should the power fail before, nothing is lost but how their starts went: what was to run is on record.
        """
        starting = any(step.phase == "starting" for step in self._steps.values())
        if self._due is None or (starting and self._now() < self._due):
            return
        self._run.later(*map(self._running, self._came_up), *self._settled)
        self._came_up, self._settled, self._due = [], [], None
        try:
            self._run.save_now()
        except EffectError as error:  # a full disk must not keep VMs down; what was not written is tried again
            self._world.host.progress(f"not recorded yet: {error.message}")

    def _running(self, uuid: str) -> RememberState:
        """That a VM came up, unless the supervisor wrote of it meanwhile."""
        state = "paused" if self._starts[uuid].paused else "running"
        running = Domain(uuid, self._order.places[uuid].name, state)
        came_up = seen(self._starts[uuid].last, running, self._world.host.clock().now, self._boot_id)
        return RememberState(came_up, self._run_unix)

    def _record(self, uuid: str, step: Step) -> StartRecord:
        after = self._order.places[step.after].name if step.after else ""
        said = self._said.get(uuid, "")
        reason, message = ("started_cold", said) if said and not step.reason else (step.reason, step.message)
        return StartRecord(
            uuid, self._order.places[uuid].name, self._boot_id, step.phase, reason, message,
            int(self._world.host.clock().now), step.attempts, after, step.turn, step.started, step.since, step.begun,
            self._run_unix,
        )  # fmt: skip

    def _say(self, uuid: str, what: str) -> None:
        done = sum(step.done for step in self._steps.values())
        self._world.host.progress(f"{self._order.places[uuid].name}: {what} ({done} of {len(self._steps)} done)")


def _guarded(world: World, uuid: str, job: partial[str]) -> Outcome:
    """A job never raises; one odd VM never stops the others."""
    try:
        said = job()
    except EffectError as error:
        return error.code, error.message, _runs(world, uuid)
    except Exception as error:  # a defect of ours, or of a library
        return "effect_failed", f"unexpected: {type(error).__name__}: {error}", _runs(world, uuid)
    return "", said, True


def _runs(world: World, uuid: str) -> bool:
    try:
        domain = world.hypervisor.domain(uuid)
    except EffectError:
        return True  # libvirt does not answer: nothing that runs is started once more
    return domain is not None and domain.power_state in UP


def _start(world: World, action: Start, lately: Lately) -> str:
    """Returns what there is to say of a start that went well.

    Everything that was true when the plan was made is looked at again: minutes may lie between.
    """
    began = world.host.clock().boottime
    while True:
        with world.host.claim(action.guard.uuid) as free:
            if free:
                return patiently(world, RESTART, lambda: _start_claimed(world, action, lately))
        if world.host.clock().boottime - began > SLOT_WAIT:
            raise EffectError("busy", "another run is working on it")
        world.host.sleep(POLL)


def _start_claimed(world: World, action: Start, lately: Lately) -> str:
    """Of most VMs little needs to be asked: they are off, as they were planned for, and without saved memory."""
    uuid = action.guard.uuid
    off = world.hypervisor.off(uuid)
    if off is not None and digest(off.metadata) == action.guard.digest:
        _require_wish(world, action, lately)
        activate(world, off.missing)
        if world.hypervisor.start_cold(uuid, action.paused):
            return ""
    return _start_anyhow(world, action, lately)


def _require_wish(world: World, action: Start, lately: Lately) -> None:
    known = lately.last(action.guard.uuid)
    if action.place.running or stopped_meanwhile(known, action.last, world.host.clock().boot_id):
        raise EffectError("changed_meanwhile", "it was stopped since this run began")


def _start_anyhow(world: World, action: Start, lately: Lately) -> str:
    """Whatever it is by now."""
    uuid = action.guard.uuid
    domain = world.hypervisor.domain(uuid)
    if domain is None:
        raise DomainGone(uuid, "the VM is gone")
    if domain.power_state in UP:
        return ""
    _require_wish(world, action, lately)
    if digest(domain.metadata) != action.guard.digest:
        carried = read(domain, None)
        allowed = carried.valid and decide(domain, carried.document, action.last, world.host.clock().boot_id)
        if not allowed or allowed.action != "start":
            raise EffectError("changed_meanwhile", "it was declared otherwise after the plan was made")
    activate_needs(world, uuid)
    return load(world, domain, action.paused, action.on_restore_failure)


def _probe(world: World, uuid: str, patience: float) -> str:
    """Wait until an SSH server answers at one of its addresses."""
    began = world.host.clock().boottime
    said = ""
    while True:
        addresses = _addresses(world, uuid)
        if any(world.host.answers_ssh(address) for address in addresses):
            return ""
        said = f"no SSH banner at {', '.join(addresses)}" if addresses else said or "no address of it is known"
        if not _runs(world, uuid):
            raise EffectError("stopped_again", "it stopped while it was waited for")
        if world.host.clock().boottime - began >= patience:
            raise EffectError("ssh_silent", f"{said} within {patience:.0f} s")
        world.host.sleep(min(POLL, max(patience - (world.host.clock().boottime - began), 0.01)))


def _addresses(world: World, uuid: str) -> List[str]:
    """None while libvirt's daemon is being restarted: the guest has as long as it has."""
    try:
        return world.hypervisor.addresses(uuid)
    except EffectError as error:
        if error.code != AWAY:
            raise
        return []


def placed(plan: Plan) -> List[Place]:
    """Places of the VMs that a plan starts, or stops."""
    return [action.place for entry in plan.entries for action in entry.actions if isinstance(action, (Start, Stop))]
