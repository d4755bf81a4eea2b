# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps on record what state each managed VM is in, and why it stopped: from libvirt's events, and from looks at the host.

Last state at boot needs it: what is written only at shutdown is lost by a power cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import AbstractSet, Collection, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set, Tuple

from .boots import LastState, PowerEvent, StartRecord
from .changes import Remember, RememberRecovery, StoreChange
from .errors import EffectError
from .host_changes import RememberStart, RememberState
from .model import ClockReading, Domain, Record
from .policy.power import following, seen, stopped
from .policy.restart import owed
from .ports import World
from .recoveries import Recovery
from .restarting import Restarts, Turn, ran
from .slices import slices

#: Seconds for which a request to shut down explains that a guest shuts down.
ASKED_FOR = 600.0
#: Of at most so many VMs the rows are read that a batch of events is about; else all.
FEW = 500


@dataclass(frozen=True)
class Note:
    """What came before a stop. shutdown_detail: libvirt's number; asked: seconds of the boot at which the host asked the guest."""

    shutdown_detail: int = -1
    asked: Optional[float] = None


@dataclass
class Recorder:
    """notes: what events said that counts when the VM stops, by UUID. missing: declared VMs that were not there at the last look.

    restarts: what follows from stops, written together with them. caught_up: what the store was when no declared VM was unknown.
    """

    world: World
    notes: Dict[str, Note] = field(default_factory=dict)
    missing: FrozenSet[str] = frozenset()
    restarts: Optional[Restarts] = None
    caught_up: Optional[object] = None
    #: What definitions were at the last look, as far as that can be told, by UUID.
    marks: Dict[str, Optional[object]] = field(default_factory=dict)

    def catch_up(self) -> int:
        """Look, if a VM was declared since: it runs perhaps, and no event tells of that. Returns how many VMs had changed."""
        store, boot_id = self.world.store, self.world.host.clock().boot_id
        stamp = store.stamp()
        if stamp is not None and stamp == self.caught_up:
            return 0
        new = any(self._has_new(some, boot_id) for some in slices(store.recorded() - self.missing))
        self.caught_up = None if new else stamp
        return self.look() if new else 0

    def _has_new(self, some: Collection[str], boot_id: str) -> bool:
        """Whether one of these VMs is declared, and was not seen in this boot."""
        states = self.world.store.states(some)
        unseen = [uuid for uuid in some if uuid not in states or states[uuid].boot_id != boot_id]
        return bool(unseen) and bool(self._declared(unseen))

    def look(self) -> int:
        """Compare the host with the records, since events may have been missed; returns how many VMs had changed.

        Some VMs at a time, whose news are durable before the next ones are read: all of a large host's take memory that is never
        given back. Raises EffectError; then the rest was not looked at.
        """
        known = self.world.store.recoverable()
        uuids = self.world.store.recorded() | known
        missing: Set[str] = set()
        count = 0
        for some in slices(uuids):
            changed, gone = self._look_at(some, known)
            count += changed
            missing |= gone
        self.missing = frozenset(missing)
        for uuid in self.marks.keys() - uuids:
            del self.marks[uuid]
        return count

    def _look_at(self, some: Sequence[str], known: AbstractSet[str]) -> Tuple[int, AbstractSet[str]]:
        """(how many of these VMs had changed, those that are declared and not there).

        What is on record is read before libvirt is asked: of a VM that is started in between the record would say that it ran when
        libvirt said that it was off, which is what an unseen stop looks like. What stopped unseen while the host goes down was
        stopped by that, as in take.
        """
        with self.world.store.together():
            records, states = self._declared(some), self._states(some)
        clock, domains = self.world.host.clock(), self.world.hypervisor.power_states(some)
        ended = {each.uuid for each in domains if not each.active and ran(states.get(each.uuid), clock.boot_id)}
        going_down = bool(ended & records.keys()) and self.world.host.going_down()
        turn = self.restarts.turn(clock, going_down, some) if self.restarts is not None else None
        killed = self._killed() if ended else frozenset()
        changes: List[StoreChange] = []
        count = 0
        for domain in domains:
            record, last = records.get(domain.uuid), states.get(domain.uuid)
            if record is None:
                continue
            if domain.uuid not in ended:
                state = seen(last, domain, clock.now, clock.boot_id)
            else:
                reason = "host_shutdown" if going_down else self._stop_reason(domain.uuid, killed)
                state = stopped(last, domain, reason, clock.now, clock.boot_id)
            if turn is not None:
                turn.saw(domain, state, last, record)
            if state != last:
                count += 1
                changes += _changes(state, record, None, clock, began=False)
        redefined, marks = self._definitions(records, domains, known & set(some))
        self._save([*changes, *redefined, *(turn.changes if turn is not None else ())])
        self._remember(some, marks)
        if turn is not None and self.restarts is not None:
            self.restarts.settle(turn)
        return count, records.keys() - {domain.uuid for domain in domains}

    def _remember(self, some: Collection[str], marks: Mapping[str, Optional[object]]) -> None:
        for uuid in some:
            self.marks.pop(uuid, None)
        self.marks.update(marks)

    def take(self, events: Sequence[PowerEvent]) -> int:
        """Record what a batch of events says, durable before it returns; returns how many states changed.

        Raises EffectError when that is not possible; the same batch may then be given once more.
        """
        if not events:
            return 0
        asks = any(event.kind in ("stopped", "suspended") for event in events)
        going_down, killed = asks and self.world.host.going_down(), self._killed() if asks else frozenset()
        clock, told = self.world.host.clock(), _some({event.uuid for event in events})
        turn = self.restarts.turn(clock, going_down) if self.restarts is not None else None
        records, states, starts = self._declared(told), self._states(told, turn), self.world.store.starts(told)
        notes = dict(self.notes)
        changes: List[StoreChange] = []
        count = 0
        for event in events:
            note = _noted(notes, event, clock.boottime)
            record = records.get(event.uuid)
            if record is None:
                continue
            asked = note.asked is not None and clock.boottime - note.asked <= ASKED_FOR
            last = states.get(event.uuid)
            state = following(event, last, clock.now, clock.boot_id, going_down, (note.shutdown_detail, asked))
            if state is not None and state.reason == "forced" and event.uuid in killed:
                state = replace(state, reason="pressure")
            if turn is not None:
                turn.heard(event, state, record)
            if state is None or state == last:
                continue
            count += 1
            states[event.uuid] = state
            news = _changes(state, record, starts.get(event.uuid), clock, event.kind == "started")
            records.update({change.record.uuid: change.record for change in news if isinstance(change, Remember)})
            changes += news
        self._save([*changes, *self._redefined(events, records), *(turn.changes if turn is not None else ())])
        self.notes = notes
        if turn is not None and self.restarts is not None:
            self.restarts.settle(turn)
        return count

    def _states(self, uuids: Optional[Collection[str]] = None, turn: Optional[Turn] = None) -> Dict[str, LastState]:
        """turn: has read what is on record of restarts already."""
        store, boot_id = self.world.store, self.world.host.clock().boot_id
        return owed(store.states(uuids), store.restarts(uuids) if turn is None else turn.records, boot_id)

    def _killed(self) -> FrozenSet[str]:
        """VMs that were powered off in this boot for want of memory or space, or are just being."""
        boot_id = self.world.host.clock().boot_id
        pressed = self.world.store.pressed().values()
        return frozenset(each.uuid for each in pressed if each.deed == "kill" and each.boot_id == boot_id)

    def _stop_reason(self, uuid: str, killed: Collection[str]) -> str:
        """What libvirt remembers of a stop that nobody heard."""
        try:
            found = self.world.hypervisor.stop_reason(uuid)
            return "pressure" if found == "forced" and uuid in killed else found
        except EffectError:
            return "unknown"  # it went away meanwhile

    def _definitions(
        self, records: Mapping[str, Record], domains: Sequence[Domain], known: AbstractSet[str]
    ) -> Tuple[List[StoreChange], Mapping[str, Optional[object]]]:
        """What is kept of each VM, where it is not that any more; and VMs that somebody removed since this host booted.

        Also the marks of definitions that hold when that is on record. known: those of them of which something is kept.
        """
        existing = {domain.uuid: domain for domain in domains}
        managed = [domain for domain in domains if domain.uuid in records and domain.persistent]
        marks = {domain.uuid: self.world.hypervisor.definition_mark(domain) for domain in managed}
        fresh = {
            uuid for uuid, mark in marks.items() if mark is None or self.marks.get(uuid) != mark or uuid not in known
        }
        gone = known - existing.keys()
        if not fresh and not gone:  # as a rule, and of hundreds of VMs it takes long to see that
            return [], marks
        kept, states = self.world.store.recoveries(_some(fresh | gone)), self.world.store.states(_some(gone))
        boot_id = self.world.host.clock().boot_id
        found = [
            change
            for uuid in sorted(fresh)
            for change in self._definition(existing[uuid], records[uuid], kept.get(uuid))
        ]
        for uuid in sorted(gone & kept.keys()):
            last = states.get(uuid)
            if last is not None and last.boot_id == boot_id and not kept[uuid].removed:
                found.append(RememberRecovery(replace(kept[uuid], removed=True)))
        return found, marks

    def _redefined(self, events: Sequence[PowerEvent], records: Mapping[str, Record]) -> List[StoreChange]:
        changed = {event.uuid for event in events if event.kind in ("defined", "undefined", "started")}
        if not changed:
            return []
        kept, found = self.world.store.recoveries(_some(changed)), []
        for uuid in sorted(changed):
            domain = self.world.hypervisor.domain(uuid)
            if domain is not None and domain.persistent and uuid in records:
                found += self._definition(domain, records[uuid], kept.get(uuid))
            elif domain is None and uuid in kept and not kept[uuid].removed:
                found.append(RememberRecovery(replace(kept[uuid], removed=True)))
        return found

    def _definition(self, domain: Domain, record: Record, kept: Optional[Recovery]) -> List[StoreChange]:
        try:
            configuration = self.world.hypervisor.configuration(domain.uuid)
        except EffectError:
            return []  # it went away meanwhile, which is an event of its own
        if kept is not None and (kept.configuration, kept.name, kept.removed) == (configuration, domain.name, False):
            return []
        created, now = int(record.document["persistence"]["created_at_unix"]), int(self.world.host.clock().now)
        memory = kept.memory if kept is not None else None
        return [RememberRecovery(Recovery(domain.uuid, domain.name, created, now, configuration, memory))]

    def _declared(self, uuids: Optional[Collection[str]] = None) -> Dict[str, Record]:
        return {uuid: record for uuid, record in self.world.store.records(uuids).items() if record.document}

    def _save(self, changes: List[StoreChange]) -> None:
        if changes:
            self.world.store.save(changes)


def _some(uuids: AbstractSet[str]) -> Optional[AbstractSet[str]]:
    """VMs to read of, None for all when they are many."""
    return uuids if len(uuids) <= FEW else None


def _noted(notes: Dict[str, Note], event: PowerEvent, boottime: float) -> Note:
    """What came before this event; a stop or a start ends it."""
    note = notes.get(event.uuid, Note())
    if event.kind == "shutdown":
        notes[event.uuid] = replace(note, shutdown_detail=event.detail)
    elif event.kind == "powerdown":
        notes[event.uuid] = replace(note, asked=boottime)
    elif event.kind in ("stopped", "started", "undefined"):
        notes.pop(event.uuid, None)
    return note


def _changes(
    state: LastState, record: Record, start: Optional[StartRecord], clock: ClockReading, began: bool
) -> List[StoreChange]:
    """The state, its mirror in what is known of the VM, and the end of a lasting warning when the VM was started."""
    found: List[StoreChange] = [RememberState(state)]
    if record.power_state != state.state and state.reason != "host_shutdown":
        found.append(Remember(replace(record, power_state=state.state, last_state_change=int(clock.now))))
    if began and start is not None and start.outcome != "ready":
        found.append(RememberStart(replace(start, outcome="ready", reason="started_later", message="")))
    return found
