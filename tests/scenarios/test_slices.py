"""A look at a host goes through its VMs some at a time: what it finds hangs neither on how many, nor on what happens in between."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from vm_lifecycle import slices as slicing
from vm_lifecycle.errors import EffectError
from vm_lifecycle.model import Domain
from vm_lifecycle.ports import Jobs, World
from vm_lifecycle.recorder import Recorder
from vm_lifecycle.restarting import Restarts

from tests.fakes.build import build, uuid_of
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.store import MemoryStore
from tests.fakes.world import CRASHED, Machine, ports

VMS = 7
SIZES = [1, 2, 3, VMS, 50]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """VMs that are read of at once."""
    monkeypatch.setattr(slicing, "SLICE", request.param)
    return int(request.param)


def machine() -> Machine:
    """VMs that run and are restarted, one that is not ours, and one that is declared and not there."""
    declared = {"mode": "permanent", "restart_policy": "always"}
    vms = [{"name": f"vm-{number}", "declared": declared, "state": "running", "last": {}} for number in range(VMS)]
    host = Machine(build({"domains": [*vms, {"name": "stranger", "state": "running"}], "features": ["supervisor"]}))
    host.store["records"][uuid_of(99)] = {**host.store["records"][uuid_of(1)], "uuid": uuid_of(99), "name": "away"}
    return host


class NoJobs:
    """Nothing is started here."""

    def submit(self, key: str, job: object) -> None:
        raise AssertionError(key)

    def wait(self, seconds: float | None) -> list[tuple[str, Any]]:
        return []


def supervised(world: World) -> tuple[Recorder, Restarts]:
    jobs: Jobs = NoJobs()
    restarts = Restarts(world, jobs)
    return Recorder(world, restarts=restarts), restarts


def test_it_hangs_on_no_number(size: int) -> None:
    """Stops, restarts that follow, definitions and what is missing: all of them, from the first VM to the last."""
    host = machine()
    recorder, restarts = supervised(ports(host))
    assert recorder.look() == VMS
    stopped = [0, 2, 3, VMS - 1]
    for number in stopped:
        host.stop(host.named(f"vm-{number}"), *CRASHED)
    assert recorder.look() == len(stopped)
    states = {state["name"]: state["state"] for state in host.store["states"].values()}
    assert states == {f"vm-{n}": "shutoff" if n in stopped else "running" for n in range(VMS)}
    waiting = {each["name"] for each in host.store["restarts"].values() if each["phase"] == "waiting"}
    assert waiting == {f"vm-{n}" for n in stopped}
    assert recorder.missing == {uuid_of(99)}
    assert len(host.store["recoveries"]) == len(recorder.marks) == VMS
    assert restarts.wait() < 1
    assert (recorder.look(), recorder.catch_up()) == (0, 0)


def test_what_is_due_of_other_vms_stays_due(size: int) -> None:
    """A slice that has no restart to wait for is no reason to forget one of another slice."""
    host = machine()
    recorder, restarts = supervised(ports(host))
    recorder.look()
    host.stop(host.named("vm-0"), *CRASHED)
    recorder.look()
    due = restarts.wait()
    recorder.look()
    assert restarts.wait() == due < 1


def test_a_vm_that_was_removed_is_known_to_be(size: int) -> None:
    """Also what is remembered of its definition goes, as soon as nothing is kept of it."""
    host = machine()
    recorder, _restarts = supervised(ports(host))
    recorder.look()
    host.state["domains"].remove(host.named("vm-3"))
    recorder.look()
    uuid = uuid_of(4)
    assert {each["uuid"] for each in host.store["recoveries"].values() if each["removed"]} == {uuid}
    assert recorder.missing == {uuid, uuid_of(99)} and uuid not in recorder.marks
    for table in ("records", "recoveries", "states"):
        del host.store[table][uuid_of(5)]
    recorder.look()
    assert uuid_of(5) not in recorder.marks


class FillingStore(MemoryStore):
    """Has space for so many saves."""

    space = 3

    def save(self, changes: Any) -> None:
        if not self.space:
            raise EffectError("store_unusable", "no space left on device")
        self.space -= 1
        super().save(changes)


def test_a_disk_that_is_full_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written holds, each stop with its restart; the next look finds the others, and nothing twice."""
    monkeypatch.setattr(slicing, "SLICE", 1)
    host = machine()
    store = FillingStore(host)
    recorder, restarts = supervised(replace(ports(host), store=store))
    store.space = VMS
    recorder.look()
    for number in range(VMS):
        host.stop(host.named(f"vm-{number}"), *CRASHED)
    store.space = 3
    with pytest.raises(EffectError):
        recorder.look()
    off = {uuid for uuid, state in host.store["states"].items() if state["state"] == "shutoff"}
    assert len(off) == 3
    assert off == {uuid for uuid, each in host.store["restarts"].items() if each["phase"] == "waiting"}
    store.space = VMS
    assert recorder.look() == VMS - 3
    assert {each["phase"] for each in host.store["restarts"].values()} == {"waiting"}
    assert len(host.store["restarts"]) == VMS and restarts.wait() < 1


class Meddling(FakeHypervisor):
    """Another run starts a VM, and writes that down, while a look goes on: when libvirt is asked for the number-th time.

    late: when it has answered.
    """

    def __init__(self, host: Machine, name: str, number: int, late: bool) -> None:
        super().__init__(host)
        self.host, self.name, self.left, self.late = host, name, number, late

    def power_states(self, uuids: Collection[str]) -> list[Domain]:
        before = super().power_states(uuids)
        if not self.left:
            vm = self.host.named(self.name)
            vm["state"] = "running"
            self.host.store["states"][vm["uuid"]].update(state="running", reason="")
        self.left -= 1
        return before if self.late else super().power_states(uuids)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("number", range(VMS))
def test_a_vm_that_another_run_starts_meanwhile(number: int, late: bool, size: int) -> None:
    """It does not look as one that stopped, at whatever moment of the look that happens."""
    host = machine()
    recorder, _restarts = supervised(ports(host))
    recorder.look()
    name = "vm-3"
    host.stop(host.named(name))
    host.store["states"][uuid_of(4)].update(state="shutoff", reason="asked")
    assert recorder.look() == 0
    recorder, _restarts = supervised(replace(ports(host), hypervisor=Meddling(host, name, number, late)))
    recorder.look()
    meddled = number < -(-(VMS + 1) // size)
    assert host.named(name)["state"] == ("running" if meddled else "shutoff")
    assert host.store["states"][uuid_of(4)]["reason"] == ("" if meddled else "asked")
    assert "waiting" not in {each["phase"] for each in host.store["restarts"].values()}
