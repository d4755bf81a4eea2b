"""vm_lifecycle_info with what is on record of VMs: the same as vm_recovery tells, or a refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from vm_lifecycle.errors import LifecycleError
from vm_lifecycle.ports import World
from vm_lifecycle.recorder import Recorder
from vm_lifecycle.recoveries import MemoryFacts
from vm_lifecycle.run import run
from vm_lifecycle.tasks import info, recovery

from tests.fakes.build import build, uuid_of
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.world import Machine, ports

ASKED: dict[str, Any] = {"include": ["recovery"]}


@pytest.fixture
def machine() -> Machine:
    """A host whose VMs are on record."""
    vms: list[dict[str, Any]] = [
        {"name": "runs", "declared": {}, "files": ["/pool/a"]},
        {"name": "saved", "declared": {}, "state": "shutoff", "saved": True},
        {"name": "stranger"},
    ]
    made = Machine(build({"domains": vms}))
    Recorder(ports(made)).look()
    return made


def told(world: World, wish: dict[str, Any]) -> dict[str, Any]:
    """What is reported as on record, by VM."""
    return {row["name"]: row["recovery"] for row in run(info.TASK, wish, world)["vms"]}


def test_the_same_as_vm_recovery_tells(machine: Machine) -> None:
    """With its whole definition; and what is given to vm_recovery elsewhere is that."""
    found = told(ports(machine), ASKED)
    expected = run(recovery.TASK, {"state": "captured"}, ports(machine), dry_run=True)["vms"]
    assert found == {**{row["name"]: row["recovery"] for row in expected}, "stranger": None}
    assert found["saved"]["memory_snapshot"] == "/save/saved.save"
    elsewhere = ports(Machine(build({"files": {"/pool/a": {}}})))
    made = run(recovery.TASK, {"state": "restored", "name": "runs", "recovery": found["runs"]}, elsewhere)["vms"]
    assert [row["decision"] for row in made] == ["restored"]


def test_only_when_it_is_asked_for(machine: Machine) -> None:
    """Nobody else waits for it."""
    machine.state["refuse"]["memory_facts"] = "nobody has to ask"
    assert not any("recovery" in row for row in run(info.TASK, {}, ports(machine))["vms"])
    assert told(ports(machine), {**ASKED, "name": "stranger"}) == {"stranger": None}


class Vanishing(FakeHypervisor):
    """A VM goes away right before it is asked about."""

    def memory_facts(self, uuid: str, path: str = "") -> MemoryFacts:
        self._machine.state["domains"] = [each for each in self._machine.state["domains"] if each["uuid"] != uuid_of(1)]
        return super().memory_facts(uuid, path)


def test_a_vm_that_goes_away_meanwhile(machine: Machine) -> None:
    """That is no reason to tell nothing of the others."""
    found = told(replace(ports(machine), hypervisor=Vanishing(machine)), ASKED)
    assert (found["runs"], found["saved"]["vm_name"]) == (None, "saved")


@pytest.mark.parametrize(
    ("wish", "code"), [(ASKED, "effect_failed"), ({"include": ["recovery", "weather"]}, "invalid_option")]
)
def test_refusals(machine: Machine, wish: dict[str, Any], code: str) -> None:
    """What can't be read is not said to be nothing."""
    machine.state["refuse"]["memory_facts"] = "libvirt says no"
    with pytest.raises(LifecycleError) as caught:
        run(info.TASK, wish, ports(machine))
    assert [problem.code for problem in caught.value.problems] == [code]
