"""A shutdown ends before systemd loses patience, whatever its VMs, libvirt and other runs do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from vm_lifecycle.boots import MemoryCost
from vm_lifecycle.changes import StoreChange
from vm_lifecycle.errors import EffectError
from vm_lifecycle.model import Domain
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks import shutdown

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.store import MemoryStore
from tests.fakes.turns import Turns
from tests.fakes.world import Machine

FOR_EVER = 1e6


class Odd(FakeHypervisor):
    """libvirt with VMs that hang by name, and a daemon that is away for a while."""

    def __init__(self, machine: Machine, turns: Turns, hangs: dict[str, str], away: tuple[float, float]) -> None:
        super().__init__(machine, turns)
        self.hangs, self.away = hangs, away

    def _odd(self, uuid: str, call: str) -> None:
        passed = self._machine.clock["boottime"] - 5000.0
        if self.away[0] <= passed < self.away[1]:
            raise EffectError("connection_failed", "Cannot recv data: Connection reset by peer")
        if self.hangs.get(self._get(uuid)["name"]) == call:
            self._turns.sleep(FOR_EVER)

    def domain(self, uuid: str) -> Domain | None:
        self._odd(uuid, "domain")
        return super().domain(uuid)

    def request_shutdown(self, uuid: str) -> None:
        self._odd(uuid, "request_shutdown")
        super().request_shutdown(uuid)

    def power_off(self, uuid: str) -> None:
        self._odd(uuid, "power_off")
        super().power_off(uuid)

    def memory_cost(self, uuid: str) -> MemoryCost:
        self._odd(uuid, "memory_cost")
        return super().memory_cost(uuid)


class Slow(MemoryStore):
    """A database that another process has locked: each change waits for as long as it may."""

    def __init__(self, machine: Machine, turns: Turns, seconds: float) -> None:
        super().__init__(machine)
        self._turns, self._seconds = turns, seconds

    def save(self, changes: Sequence[StoreChange]) -> None:
        self._turns.sleep(self._seconds)
        super().save(changes)


def vm(number: int, how: str = "shutdown", **given: Any) -> dict[str, Any]:
    """One of a chain: the higher its number, the earlier it goes down."""
    place = {"vm_name": f"vm{number}", "start_order": number}
    policy = {"on_host_shutdown": how}
    return {"name": f"vm{number}", "declared": {"autostart": place, "policy": policy}, "last": {}, **given}


def going_down(
    vms: list[dict[str, Any]],
    budget: float,
    hangs: dict[str, str] | None = None,
    away: tuple[float, float] = (0, 0),
    slow: float = 0.0,
) -> tuple[dict[str, Any], Machine, float]:
    """The result, the machine afterwards, and the seconds that it took."""
    machine = Machine(build({"domains": vms, "going_down": True, "stop_budget": budget}))
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    world = World(Odd(machine, turns, hangs or {}, away), Slow(machine, turns, slow), FakeHost(machine, turns))
    result = run(shutdown.TASK, {}, world)
    return result, machine, machine.clock["boottime"] - 5000.0


@pytest.mark.parametrize(
    ("call", "how", "state"),
    [("domain", "shutdown", "running"), ("request_shutdown", "shutdown", "shutoff"),
     ("power_off", "shutdown", "running"), ("memory_cost", "save-state", "shutoff")],
)  # fmt: skip
def test_a_vm_that_hangs(call: str, how: str, state: str) -> None:
    """It is powered off by another thread if that helps, or given up, in time; those after it are stopped, too."""
    vms = [vm(3, how, obeys_after=None), vm(2), vm(1)]
    result, machine, seconds = going_down(vms, 300.0, {"vm3": call})
    assert seconds < 300.0
    assert [machine.named(name)["state"] for name in ("vm3", "vm2", "vm1")] == [state, "shutoff", "shutoff"]
    assert result["failed"] == (state == "running")
    rows = {row["name"]: row for row in result["vms"]}
    assert rows["vm3"]["fell_back"] or rows["vm3"]["reason"] == "effect_failed"
    assert all(effect.split()[1] != "power_off" for effect in machine.effects if effect.endswith(("vm1", "vm2")))


@pytest.mark.parametrize("budget", [60.0, 90.0, 300.0])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_chain_that_is_too_long(budget: float, deaf: bool) -> None:
    """Everybody is asked, in order as long as there is time for that, and everybody is off in time."""
    vms = [vm(number, obeys_after=None if deaf else 3.0) for number in range(1, 25)]
    result, machine, seconds = going_down(vms, budget)
    assert seconds < budget
    assert all(domain["state"] == "shutoff" for domain in machine.state["domains"])
    asked = [effect.split()[2] for effect in machine.effects if effect.split()[1] == "request_shutdown"]
    assert set(asked) == {f"vm{number}" for number in range(1, 25)}
    assert asked[:3] == ["vm24", "vm23", "vm22"] or deaf
    assert result["warnings"] or budget > 90.0 * 10


@pytest.mark.parametrize("how", ["shutdown", "save-state", "destroy"])
def test_a_daemon_that_is_restarted(how: str) -> None:
    """It comes back, and the VM goes down the way that was declared, or the next one."""
    result, machine, seconds = going_down(
        [vm(1, how, obeys_after=8.0)], 300.0, away=(0.0 if how != "shutdown" else 2.0, 5.0)
    )
    assert machine.named("vm1")["state"] == "shutoff"
    assert not result["failed"] and seconds < 30.0
    assert not any("power_off" in effect for effect in machine.effects) or how == "destroy"


@pytest.mark.parametrize("deaf", [False, True])
def test_a_store_that_is_locked(deaf: bool) -> None:
    """The time that it takes is not the VMs', and nobody waits for it at the end."""
    vms = [vm(number, obeys_after=None if deaf else 3.0) for number in range(1, 4)]
    _result, machine, seconds = going_down(vms, 90.0, slow=30.0)
    assert seconds < 90.0
    assert all(domain["state"] == "shutoff" for domain in machine.state["domains"])


class Saving(FakeHypervisor):
    """Somebody saves the memory of a VM, which takes so many seconds; until then its monitor answers nobody."""

    seconds = 30.0

    def domain(self, uuid: str) -> Domain | None:
        found = self._get(uuid)
        if self._machine.clock["boottime"] - 5000.0 >= self.seconds and found.pop("passing", False):
            self._machine.stop(found)
            found["saved"] = True
        return super().domain(uuid)

    def _require_answer(self, uuid: str) -> None:
        if self._get(uuid).get("passing"):
            raise EffectError("effect_failed", "the monitor of its process did not answer in 10.0 s")

    def request_shutdown(self, uuid: str) -> None:
        self._require_answer(uuid)
        super().request_shutdown(uuid)

    def save_memory(self, uuid: str, seconds: float) -> None:
        self._require_answer(uuid)
        super().save_memory(uuid, seconds)


@pytest.mark.parametrize(("seconds", "saved"), [(30.0, True), (FOR_EVER, False)])
@pytest.mark.parametrize("how", ["shutdown", "save-state"])
def test_a_vm_that_is_being_saved(how: str, seconds: float, saved: bool) -> None:
    """It is waited for as long as its guest would be; a save that does not end keeps no host up."""
    declared = {"policy": {"on_host_shutdown": how, "host_shutdown_timeout_seconds": 60}}
    machine = Machine(build({"domains": [{"name": "a", "declared": declared}], "features": ["boot"]}))
    machine.named("a")["passing"] = True
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    hypervisor = Saving(machine, turns)
    hypervisor.seconds = seconds
    result = run(shutdown.TASK, {"now": True}, World(hypervisor, MemoryStore(machine), FakeHost(machine, turns)))
    assert (machine.named("a")["state"], machine.named("a")["saved"]) == ("shutoff", saved), result
    assert any(line.split()[1] == "power_off" for line in machine.effects) is not saved
