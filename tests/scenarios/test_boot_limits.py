"""A boot ends, and brings up whom it can, whatever its VMs and libvirt do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest
from vm_lifecycle.boots import LastState, Need, Off
from vm_lifecycle.changes import StoreChange
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import RememberState
from vm_lifecycle.lately import Lately
from vm_lifecycle.model import Domain
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks import boot

from tests.fakes.build import build, uuid_of
from tests.fakes.host import FakeHost
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.store import MemoryStore
from tests.fakes.turns import Turns
from tests.fakes.world import Machine, ports

FOR_EVER = 1e7


class Odd(FakeHypervisor):
    """libvirt with VMs that hang by name, and a daemon that is away for a while."""

    def __init__(
        self, machine: Machine, turns: Turns, hangs: dict[str, tuple[str, float]], away: tuple[float, float]
    ) -> None:
        super().__init__(machine, turns)
        self.hangs, self.away = hangs, away
        self.expected: list[int] = []

    def _odd(self, uuid: str, call: str) -> None:
        passed = self._machine.clock["boottime"] - 5000.0
        if self.away[0] <= passed < self.away[1]:
            raise EffectError("connection_failed", "Cannot recv data: Connection reset by peer")
        which, seconds = self.hangs.get(self._get(uuid)["name"], ("", 0.0))
        if which == call:
            self._turns.sleep(seconds)

    def domain(self, uuid: str) -> Domain | None:
        self._odd(uuid, "domain")
        return super().domain(uuid)

    def expect(self, threads: int) -> None:
        self.expected.append(threads)

    def off(self, uuid: str) -> Off | None:
        self._odd(uuid, "off")
        return super().off(uuid)

    def start_cold(self, uuid: str, paused: bool = False) -> bool:
        self._odd(uuid, "start_cold")
        return super().start_cold(uuid, paused)

    def needs(self, uuid: str) -> list[Need]:
        self._odd(uuid, "needs")
        return super().needs(uuid)

    def addresses(self, uuid: str) -> list[str]:
        self._odd(uuid, "addresses")
        return super().addresses(uuid)


def vm(number: int, **given: Any) -> dict[str, Any]:
    """One of a chain, started after the one before."""
    place = {"vm_name": f"vm{number}", "start_order": number, "ssh_timeout_seconds": 60, "on_start_failure": "stop"}
    return {"name": f"vm{number}", "state": "shutoff", "declared": {"autostart": place}, **given}


def booting(
    vms: list[dict[str, Any]], hangs: dict[str, tuple[str, float]] | None = None, away: tuple[float, float] = (0, 0)
) -> tuple[dict[str, Any], Machine, float]:
    """The result, the machine afterwards, and the seconds that it took."""
    machine = Machine(build({"domains": vms, "features": ["boot"]}))
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    world = World(Odd(machine, turns, hangs or {}, away), MemoryStore(machine), FakeHost(machine, turns))
    result = run(boot.TASK, {}, world)
    return result, machine, machine.clock["boottime"] - 5000.0


@pytest.mark.parametrize("away", [(0.0, 5.0), (2.0, 8.0), (3.0, 20.0)])
def test_a_daemon_that_is_restarted(away: tuple[float, float]) -> None:
    """Whether a VM is being started or waited for: it is tried again, and waiting goes on."""
    result, machine, _seconds = booting([vm(1), vm(2)], away=away)
    assert not result["failed"]
    assert all(domain["state"] == "running" for domain in machine.state["domains"])
    assert [row["start"]["attempts"] for row in result["vms"]] == [1, 1]


@pytest.mark.parametrize("call", ["domain", "off", "needs", "start_cold", "addresses"])
def test_a_vm_that_hangs(call: str) -> None:
    """It is given up, and those of higher orders come up."""
    result, machine, seconds = booting([vm(1), vm(2)], {"vm1": (call, FOR_EVER)})
    assert seconds < 7200
    assert machine.named("vm2")["state"] == "running"
    rows = {row["name"]: row for row in result["vms"]}
    assert (rows["vm1"]["decision"], rows["vm2"]["decision"]) == ("failed", "started")


def test_a_vm_that_takes_long() -> None:
    """A large memory that was saved is given time, and is no failure."""
    result, _machine, _seconds = booting([vm(1), vm(2)], {"vm1": ("needs", 1200.0)})
    assert not result["failed"]


@pytest.mark.parametrize(
    ("wish", "dry_run", "expected"),
    [({}, False, [2]), ({"preview": True}, True, []), ({"mark": True}, False, [])],
)
def test_connections_are_expected_by_starts_alone(wish: dict[str, Any], dry_run: bool, expected: list[int]) -> None:
    """As many as VMs may be started at once, and are off."""
    machine = Machine(build({"domains": [vm(1), vm(2), vm(3, state="running")], "features": ["boot"]}))
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    odd = Odd(machine, turns, {}, (0, 0))
    world = World(odd, MemoryStore(machine), FakeHost(machine, turns))
    run(boot.TASK, wish, world, dry_run)
    assert odd.expected == expected
    odd.expected.clear()
    boot.finish(world)
    run(boot.TASK, {}, world)  # over
    assert odd.expected == [] or "preview" in wish


class Slow(MemoryStore):
    """Keeps a reader waiting as long as a database that somebody has locked, and then can't be read."""

    reads = 0

    def states(self, uuids: Collection[str] | None = None) -> dict[str, LastState]:
        self.reads += 1
        self._machine.advance(30.0)
        raise EffectError("store_unusable", "database is locked")


def test_a_store_that_takes_long() -> None:
    """VMs whose starts begin together wait for it once, and not one after the other."""
    machine = Machine(build({"domains": []}))
    store = Slow(machine)
    lately = Lately(replace(ports(machine), store=store), ("a", "b", "c"))
    assert [lately.last(uuid) for uuid in "abc"] == [None] * 3
    assert store.reads == 1


class Full(MemoryStore):
    """Has no space for anything of a VM that came up, until another one is started."""

    full = True

    def save(self, changes: Sequence[StoreChange]) -> None:
        if self.full and any(isinstance(each, RememberState) and each.state.state == "running" for each in changes):
            raise EffectError("store_unusable", "no space left on device")
        super().save(changes)


class Meddling(FakeHypervisor):
    """When the second VM is started, there is space, and the supervisor writes that a person powered off the first one."""

    store: Full

    def start_cold(self, uuid: str, paused: bool = False) -> bool:
        if uuid == uuid_of(2):
            self.store.full = False
            self._machine.stop(self._machine.named("first"))
            clock = self._machine.clock
            off = LastState(uuid_of(1), "first", "shutoff", "forced", int(clock["now"]), clock["boot_id"], "running")
            self.store.save([RememberState(off)])
        return super().start_cold(uuid, paused)


def test_a_stop_that_was_written_down_before_the_start() -> None:
    """What could not be written when a VM came up does not replace what the supervisor wrote since."""
    places = [{"vm_name": name, "start_order": order} for order, name in enumerate(("first", "second"))]
    vms = [{"name": each["vm_name"], "state": "shutoff", "declared": {"autostart": each}} for each in places]
    machine = Machine(build({"domains": vms, "features": ["boot", "supervisor"]}))
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    store, hypervisor = Full(machine), Meddling(machine, turns)
    hypervisor.store = store
    run(boot.TASK, {}, World(hypervisor, store, FakeHost(machine, turns)))
    assert any("not recorded yet" in message for message in machine.messages)
    states = {state["name"]: (state["state"], state["reason"]) for state in machine.store["states"].values()}
    assert states == {"first": ("shutoff", "forced"), "second": ("running", "")}
