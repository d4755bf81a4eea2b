# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is short of memory or space: VMs give way one by one, and come back when that is over.

policy/pressure.py decides. What is done to a VM is on record before it is done, so whoever kills the supervisor, it is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from .changes import ForgetPressed, RememberPressed
from .errors import EffectError, LifecycleError, Problem
from .host_changes import LogOperation
from .metadata import digest, read
from .model import ClockReading, Document, Domain
from .policy import pressure as policy
from .ports import Host, World
from .pressures import DISK, MEMORY, DiskRoom, Pressed, Step, Thresholds, Victim, Watched
from .schema import violations, with_defaults

#: States of a VM that can be suspended, or powered off.
RUNNING = ("running", "blocked")
#: A deed -> the word for it in the operation log.
OPERATIONS = {"suspend": "suspend", "kill": "power-off"}


@dataclass(frozen=True)
class Found:
    """What came of a look. watched: by what is watched; relieved: VMs that were powered off and may come back."""

    watched: Mapping[str, Watched]
    said: Tuple[str, ...] = ()
    relieved: FrozenSet[str] = frozenset()


@dataclass
class Look:
    """One look at the host, and what is done after it."""

    world: World
    clock: ClockReading
    bounds: Thresholds
    documents: Dict[str, Document]
    domains: Dict[str, Domain]
    pressed: Dict[str, Pressed]
    watched: Dict[str, Watched]
    said: List[str] = field(default_factory=list)
    relieved: List[str] = field(default_factory=list)

    def memory(self) -> None:
        """Memory of the whole host."""
        victims = [victim for victim in self._victims(MEMORY) if _runs(self.domains[victim.uuid])]
        gave = [each for each in self.pressed.values() if each.cause == MEMORY]
        if victims or gave:
            level, said = policy.memory_level(self.world.host.memory(), self.bounds)
            self._settle(MEMORY, MEMORY, level, said, victims, gave)

    def disks(self) -> None:
        """Each file system on which VMs have disks that speak of it. Who was refused space already is seen to at once."""
        victims = self._victims(DISK)
        rooms = self._rooms(victims)
        for place in sorted({room.place for room in rooms.values()}):
            level, said = policy.disk_level([room for room in rooms.values() if room.place == place], self.bounds)
            here = [replace(each, place=place) for each in victims if _at(rooms, each.uuid) == place]
            for victim in policy.ordered([each for each in here if rooms[each.uuid].full]):
                if self._press(victim, DISK, "a disk of it was refused space"):
                    self.watched[f"{DISK} {place}"] = Watched(None, self.clock.boottime)
            running = [each for each in here if _runs(self.domains[each.uuid])]
            gave = [each for each in self.pressed.values() if each.cause == DISK and _at(rooms, each.uuid) == place]
            self._settle(f"{DISK} {place}", DISK, level, said, running, gave)

    def _victims(self, cause: str) -> List[Victim]:
        found = [
            policy.victim(self.domains[uuid], document, cause)
            for uuid, document in self.documents.items()
            if uuid not in self.pressed and self.domains[uuid].active
        ]
        return [victim for victim in found if victim.deed]

    def _rooms(self, victims: Sequence[Victim]) -> Dict[str, DiskRoom]:
        concerned = {victim.uuid for victim in victims}
        concerned.update(each.uuid for each in self.pressed.values() if each.cause == DISK)
        found = {}
        for uuid in sorted(concerned):
            try:
                found[uuid] = self.world.hypervisor.disk_room(uuid)
            except EffectError as error:  # one VM that can't be looked at must not keep the others from giving way
                self.said.append(f"{self._name(uuid)}: its disks can't be looked at: {error.message}")
        return found

    def _settle(
        self, key: str, cause: str, level: str, said: str, victims: Sequence[Victim], gave: Sequence[Pressed]
    ) -> None:
        """Do what comes next about one thing that the host may be short of."""
        ranked = [self._ranked(each) for each in gave]
        before = self.watched.get(key, Watched())
        after, step = policy.next_step(level, before, victims, ranked, self.bounds, self.clock.boottime)
        done = self._do(step, cause, said, victims) if step.kind else True
        self.watched[key] = after if done else replace(after, acted=before.acted)

    def _ranked(self, record: Pressed) -> Victim:
        """A VM that gave way, in the order in which it did; also one that was forgotten meanwhile."""
        document = self.documents.get(record.uuid)
        if document is None:
            return Victim(record.uuid, record.name, record.deed, False, float("inf"), float(record.at_unix))
        return policy.victim(self.domains[record.uuid], document, record.cause, record.place)

    def _do(self, step: Step, cause: str, said: str, victims: Sequence[Victim]) -> bool:
        if step.kind == "press":
            return self._press(next(each for each in victims if each.uuid == step.uuid), cause, said)
        return self._relieve(self.pressed[step.uuid])

    def _press(self, victim: Victim, cause: str, said: str) -> bool:
        """Suspend it, or power it off, if it is still what was seen. False when it can't be done now."""
        with self.world.host.claim(victim.uuid) as free:
            domain = self.world.hypervisor.domain(victim.uuid) if free else None
            seen = self.domains[victim.uuid]
            if (
                domain is None
                or domain.passing
                or (digest(domain.metadata), domain.power_state)
                != (
                    digest(seen.metadata),
                    seen.power_state,
                )
            ):
                return False
            if self.world.host.going_down():
                return False
            now = self.clock
            record = Pressed(
                victim.uuid, victim.name, cause, victim.deed, victim.place, int(now.now), now.boot_id, said
            )
            self.world.store.save([RememberPressed(record)])
            self.pressed[victim.uuid] = record
            if victim.deed == "kill":
                self._effect(record, OPERATIONS["kill"], lambda: self.world.hypervisor.power_off(victim.uuid))
            elif domain.power_state in RUNNING:
                self._effect(record, OPERATIONS["suspend"], lambda: self.world.hypervisor.pause(victim.uuid))
            else:  # QEMU stopped it
                self._effect(record, OPERATIONS["suspend"], lambda: None)
        return True

    def _relieve(self, record: Pressed) -> bool:
        """What was suspended goes on; what was powered off is left to its restart policy."""
        if record.deed == "kill":
            self.relieved.append(record.uuid)
            self.said.append(f"{record.name}: may be started again, since there is enough {record.cause} by now")
            return True
        with self.world.host.claim(record.uuid) as free:
            if not free or self.world.host.going_down():
                return False
            if self._effect(record, "resume", lambda: self.world.hypervisor.resume(record.uuid)):
                self.world.store.save([ForgetPressed(record.uuid)])
        return True

    def _effect(self, record: Pressed, operation: str, effect: Callable[[], None]) -> bool:
        """Carry something out, and tell of it. Whether it went well."""
        outcome, message = "done", record.message if operation != "resume" else f"there is enough {record.cause} again"
        try:
            effect()
        except EffectError as error:
            outcome, message = "failed", error.message
        line = LogOperation(int(self.clock.now), record.uuid, record.name, operation, outcome, message)
        self.world.store.save([line])
        self.world.host.journal(line)
        self.said.append(f"{record.name}: {operation} {outcome}: {message}")
        return outcome == "done"

    def _name(self, uuid: str) -> str:
        return self.domains[uuid].name if uuid in self.domains else uuid


def _runs(domain: Domain) -> bool:
    """Whether it can give way. One whose memory is being saved or dumped can't be suspended, and to end it would lose that."""
    return domain.power_state in RUNNING and not domain.passing


def _at(rooms: Mapping[str, DiskRoom], uuid: str) -> Optional[str]:
    return rooms[uuid].place if uuid in rooms else None


def pressure_policy(host: Host) -> Document:
    """The host's VmPressurePolicy, /etc/vm-lifecycle/pressure.json. Raises LifecycleError when it is not valid."""
    stored = host.configuration("pressure") or {}
    found = violations("VmPressurePolicy", stored) if stored else []
    if found:
        where = "/etc/vm-lifecycle/pressure.json"
        raise LifecycleError([Problem("invalid_configuration", f"{where}.{each.field}: {each.rule}") for each in found])
    return with_defaults("VmPressurePolicy", stored)


def thresholds(host: Host) -> Tuple[Thresholds, Tuple[str, ...]]:
    """By the host's policy; the schema's defaults for one that is not valid, and what is wrong with it."""
    try:
        whole, problems = pressure_policy(host), ()  # type: Document, Tuple[str, ...]
    except LifecycleError as error:
        whole, problems = with_defaults("VmPressurePolicy", {}), tuple(str(problem) for problem in error.problems)
    return Thresholds(**{name: float(value) for name, value in whole.items()}), problems


def look(world: World, watched: Mapping[str, Watched]) -> Found:
    """Look at the host, and do what is to be done. Raises EffectError when libvirt or the store can't be read."""
    bounds, problems = thresholds(world.host)
    clock, records, pressed = world.host.clock(), world.store.records(), world.store.pressed()
    domains = {domain.uuid: domain for domain in world.hypervisor.domains()}
    run = world.store.boot()
    over = run is not None and run.boot_id == clock.boot_id and run.ended_unix > 0
    gone = [uuid for uuid, each in pressed.items() if policy.stale(each, domains.get(uuid), clock.boot_id, over)]
    if gone:
        world.store.save([ForgetPressed(uuid) for uuid in gone])
    pressed = {uuid: each for uuid, each in pressed.items() if uuid not in gone and each.boot_id == clock.boot_id}
    documents = {}
    for uuid, domain in domains.items():
        carried = read(domain, records.get(uuid))
        if carried.valid and domain.persistent:
            documents[uuid] = carried.document
    one = Look(world, clock, bounds, documents, domains, pressed, dict(watched), list(problems))
    one.memory()
    one.disks()
    return Found(one.watched, tuple(one.said), frozenset(one.relieved))
