# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying restarts out: what the supervisor hears and sees moves each VM's record on, and what is due is started, in threads.

policy/restart.py decides. What follows from a stop is written with the stop, so whoever kills the supervisor, no stop is answered twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Collection, Dict, List, Optional, Set, Tuple

from .boots import LastState, PowerEvent
from .changes import ForgetPressed, RememberRestart, StoreChange
from .errors import EffectError
from .host_changes import LogOperation
from .model import ClockReading, Domain, Record
from .patience import POLL
from .policy.power import STOPS, UP
from .policy.restart import after, rule
from .ports import Jobs, Store, World
from .reasons_order import RESTART_REASONS
from .restarts import Happening, Moment, RestartRecord
from .slices import slices

#: Starts that go on at the same time, and seconds after which one counts as one that hangs.
MOST, START_LIMIT = 10, 1800.0
#: What only means that it can't be tried now.
POSTPONED = ("busy", "connection_failed", "store_unusable")


@dataclass
class Turn:
    """What a batch of events, a look, or the end of a start does to the records, until it is durable."""

    at: Moment
    records: Dict[str, RestartRecord]
    #: Starts that are going on, by UUID.
    going: Set[str] = field(default_factory=set)
    changes: List[StoreChange] = field(default_factory=list)
    said: List[str] = field(default_factory=list)
    starts: List[str] = field(default_factory=list)
    #: VMs whose records these are; None for all.
    of: Optional[Collection[str]] = None

    def heard(self, event: PowerEvent, state: Optional[LastState], declared: Record) -> None:
        """An event of libvirt, and what is known of the VM after it."""
        if event.kind == "stopped" and state is not None:
            self.happened(declared, Happening("stopped", state.reason, STOPS.get(state.reason, "")))
        elif event.kind in ("started", "crashed"):
            self.happened(declared, Happening(event.kind))

    def saw(self, domain: Domain, state: LastState, last: Optional[LastState], declared: Record) -> None:
        """A look at a VM, after events may have been missed. last: what was known of it before."""
        known = self.records.get(domain.uuid)
        if domain.power_state in UP:
            if known is not None and known.phase != "up":
                self.happened(declared, Happening("started"))
        elif domain.active:
            if domain.power_state == "crashed":
                self.happened(declared, Happening("crashed"))
        elif ran(last, self.at.boot_id) or (known is not None and known.phase == "up"):
            self.happened(declared, Happening("stopped", state.reason, STOPS.get(state.reason, "")))
        elif known is not None and known.phase == "starting" and domain.uuid not in self.going:
            self.happened(declared, Happening("lost", message="its start was interrupted"))
        elif known is not None:
            self.happened(declared, Happening("seen"))

    def happened(self, declared: Record, what: Happening) -> None:
        """Move a VM's record on. One that there is none of yet begins with a stop that its policy may speak of."""
        wanted = rule(declared.document)
        known = self.records.get(declared.uuid)
        if known is None and (what.kind not in ("stopped", "crashed") or wanted.policy == "no" or wanted.barrier):
            return
        before = known or RestartRecord(declared.uuid, declared.name, boot_id=self.at.boot_id)
        now, starts = after(before, what, wanted, self.at)
        if now == known:
            return
        now = replace(now, name=declared.name)
        self.records[declared.uuid] = now
        self.changes.append(RememberRestart(now))
        if starts:
            self.starts.append(declared.uuid)
        self._tell(before, now, what)

    def _tell(self, before: RestartRecord, now: RestartRecord, what: Happening) -> None:
        """Lines for the operation log, and for whoever watches."""
        if now.restart_count > before.restart_count:
            said = f"{now.in_row} in a row, {now.restart_count} since it was declared"
            self._log(now, "done", said)
            self.said.append(f"{now.name}: restarted, {said}")
        if what.kind == "failed":
            self._log(now, "failed", what.message)
        if now.phase == before.phase:
            return
        if now.phase == "waiting":
            self.said.append(f"{now.name}: {now.message}; it is restarted in {now.due - self.at.boottime:.1f} s")
        elif now.phase == "gave_up":
            said = f"given up after {now.in_row} starts in a row: {now.message}"
            self._log(now, "gave_up", said)
            self.said.append(f"{now.name}: {said}")
        elif now.phase == "left" and what.kind != "crashed":  # whether it is preserved is not known yet
            self.said.append(f"{now.name}: {RESTART_REASONS[now.reason].meaning}")

    def _log(self, record: RestartRecord, outcome: str, message: str) -> None:
        self.changes.append(LogOperation(int(self.at.now), record.uuid, record.name, "restart", outcome, message))


class Restarts:
    """The restarts of one supervisor."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        self._world, self._jobs = world, jobs
        #: UUID -> moment of the boot at which its restart is due.
        self._due: Dict[str, float] = {}
        #: UUID -> key of its job, and the moment at which that counts as one that hangs.
        self._going: Dict[str, Tuple[str, float]] = {}
        self._number = 0
        #: Results that are not on record yet.
        self._ended: List[Tuple[str, Happening]] = []

    def turn(self, clock: ClockReading, going_down: bool = False, uuids: Optional[Collection[str]] = None) -> Turn:
        """What is on record now, of all VMs or of these. Raises EffectError."""
        at = Moment(clock.boottime, clock.boot_id, clock.now, going_down)
        return Turn(at, self._world.store.restarts(uuids), set(self._going), of=uuids)

    def settle(self, turn: Turn) -> None:
        """What a turn changed is durable."""
        for change in turn.changes:
            if isinstance(change, LogOperation):
                self._world.host.journal(change)
        for line in turn.said:
            self._world.host.progress(line)
        for uuid in list(self._due) if turn.of is None else turn.of:
            self._due.pop(uuid, None)
        for uuid, record in turn.records.items():
            if record.phase == "waiting" and record.boot_id == turn.at.boot_id:
                self._due[uuid] = record.due

    def wait(self) -> float:
        """Seconds until there is something to do, if nothing happens before."""
        now = self._world.host.clock().boottime
        moments = [now + POLL] if self._going else []
        if len(self._going) < MOST:
            moments += [due for uuid, due in self._due.items() if uuid not in self._going]
        return max(min(moments, default=math.inf) - now, 0.0)

    def step(self) -> None:
        """Note what ended, and begin what is due. Raises EffectError when that can't be written; then it is tried again."""
        now = self._world.host.clock().boottime
        self._take(now)
        places = MOST - len(self._going)
        waiting = sorted((due, uuid) for uuid, due in self._due.items() if due <= now and uuid not in self._going)
        due = [uuid for _due, uuid in waiting[:places]]
        if not self._ended and not due:
            return
        turn = self.turn(self._world.host.clock())
        store, concerned = self._world.store, {*due, *(uuid for uuid, _what in self._ended)}
        declared, states = store.records(concerned), store.states(concerned)
        for uuid, what in self._ended:
            if uuid in declared and declared[uuid].document:
                turn.happened(declared[uuid], what)
        for uuid in due:
            if uuid in declared and declared[uuid].document:
                last = states.get(uuid)
                turn.happened(declared[uuid], Happening("due", last.reason if last is not None else ""))
        _forget_strangers(turn, store)
        if turn.changes:
            self._world.store.save(turn.changes)
        self._ended = []
        self.settle(turn)
        for uuid in turn.starts:
            self._submit(uuid)

    def relieve(self, uuids: Collection[str]) -> None:
        """VMs that were powered off for want of something may come back. Raises EffectError when that can't be written."""
        turn, declared = self.turn(self._world.host.clock()), self._world.store.records(uuids)
        for uuid in sorted(uuids):
            if uuid in declared and declared[uuid].document:
                turn.happened(declared[uuid], Happening("relieved"))
        self._world.store.save([*(ForgetPressed(uuid) for uuid in sorted(uuids)), *turn.changes])
        self.settle(turn)

    def _take(self, now: float) -> None:
        """Jobs that ended, and those that hang. What comes of one of these later is nobody's."""
        ended: Dict[str, Tuple[str, str]] = dict(self._jobs.wait(0.0)) if self._going else {}
        for uuid, (key, limit) in list(self._going.items()):
            if key in ended:
                self._ended.append((uuid, _outcome(*ended[key])))
            elif limit <= now:
                self._ended.append(
                    (uuid, Happening("failed", "effect_failed", "libvirt does not come back from its start"))
                )
            else:
                continue
            del self._going[uuid]

    def _submit(self, uuid: str) -> None:
        self._number += 1
        key = f"{uuid} {self._number}"
        self._going[uuid] = (key, self._world.host.clock().boottime + START_LIMIT)
        self._jobs.submit(key, partial(_attempt, self._world, uuid))


def _forget_strangers(turn: Turn, store: Store) -> None:
    """A VM that was forgotten has no restart that is due."""
    waiting = [uuid for uuid, record in turn.records.items() if record.phase == "waiting"]
    for some in slices(waiting):
        records = store.records(some)
        for uuid in some:
            if uuid not in records or not records[uuid].document:
                del turn.records[uuid]


def ran(last: Optional[LastState], boot_id: str) -> bool:
    """Whether a VM ran in this boot when it was last heard of."""
    return last is not None and last.boot_id == boot_id and last.state in UP and not last.reason


def _attempt(world: World, uuid: str) -> Tuple[str, str]:
    """(code, message) of what went wrong, empty when nothing did. It never raises."""
    from .guarded import start_again  # most supervisors never start anything

    try:
        start_again(world, uuid)
    except EffectError as error:
        return error.code, error.message
    except Exception as error:  # a defect of ours, or of a library: it must not end the supervisor
        return "effect_failed", f"unexpected: {type(error).__name__}: {error}"
    return "", ""


def _outcome(code: str, message: str) -> Happening:
    if not code:
        return Happening("succeeded")
    if code in POSTPONED:
        return Happening("postponed", code, message)
    return Happening("refused" if code in RESTART_REASONS else "failed", code, message)
