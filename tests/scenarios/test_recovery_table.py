"""What becomes of a VM: each state that it may be in, and each thing that may happen to its host or to itself."""

from __future__ import annotations

from typing import Any

import pytest
from vm_lifecycle.recorder import Recorder

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine, ports

from .player import call

VM = uuid_of(1)
BOOT: dict[str, Any] = {"task": "boot"}
DOWN: dict[str, Any] = {"task": "shutdown"}


def host(state: str, **policy: str) -> Machine:
    """A host whose supervisor has seen its VM in this state."""
    vm = {
        "name": "vm", "state": "running", "files": ["/pool/vm.qcow2"],
        "declared": {"mode": "permanent", "policy": {"on_host_shutdown": "save-state", **policy}},
    }  # fmt: skip
    machine = Machine(build({"domains": [vm], "features": ["boot", "supervisor"]}))
    recorder = Recorder(ports(machine))
    recorder.look()
    domain = machine.named("vm")
    if state == "saved":
        machine.stop(domain)
        domain.update(saved=True, image={"size": 4096, "modified_ns": int(2e18), "problem": ""})
        machine.store["states"][VM].update(state="shutoff", reason="saved")
    elif state == "stopped":
        machine.stop(domain)
        machine.store["states"][VM].update(state="shutoff", reason="guest")
    else:
        domain["state"] = state
        recorder.look()
    machine.advance(60)
    return machine


def reboot(machine: Machine) -> None:
    """systemctl reboot, up to where the next boot begins; the supervisor comes first."""
    machine.state["going_down"] = True
    call(machine, DOWN)
    machine.power_cut()
    Recorder(ports(machine)).look()


def power_cut(machine: Machine) -> None:
    """The power fails; the boot comes before the supervisor."""
    machine.power_cut()


def daemon_restart(machine: Machine) -> None:
    """libvirtd is restarted: the supervisor looks again, VMs go on."""
    Recorder(ports(machine)).look()


def definition_lost(machine: Machine) -> None:
    """The directory of the definitions did not survive the power cut."""
    machine.power_cut()
    machine.state["domains"].clear()


def image_unloadable(machine: Machine) -> None:
    """libvirt can't load the memory that was saved."""
    reboot(machine)
    machine.named("vm")["unloadable"] = "internal error: unable to read the image"


def disk_changed(machine: Machine) -> None:
    """Somebody wrote to the disk after the memory was saved."""
    reboot(machine)
    act(machine, {"do": "write_file", "path": "/pool/vm.qcow2"})
    machine.state["files"]["/pool/vm.qcow2"]["changed_ns"] = int(3e18)


def name_taken(machine: Machine) -> None:
    """Another VM was defined under its name, after its definition was lost."""
    definition_lost(machine)
    act(machine, {"do": "define", "name": "vm", "uuid": 9, "state": "shutoff"})


EVENTS = (reboot, power_cut, daemon_restart, definition_lost, image_unloadable, disk_changed, name_taken)
#: State before -> event -> (state afterwards, reason or code). A VM that is not there is "gone".
TABLE: dict[str, dict[Any, tuple[str, str]]] = {
    "running": {
        reboot: ("running", "was_running"),
        power_cut: ("running", "was_running"),
        daemon_restart: ("running", ""),
        definition_lost: ("running", "was_running"),
        image_unloadable: ("shutoff", "restore_failed"),
        disk_changed: ("shutoff", "memory_mismatch"),
        name_taken: ("gone", "name_taken"),
    },
    "paused": {
        reboot: ("paused", "was_running"),
        power_cut: ("paused", "was_running"),
        daemon_restart: ("paused", ""),
        definition_lost: ("paused", "was_running"),
        image_unloadable: ("shutoff", "restore_failed"),
        disk_changed: ("shutoff", "memory_mismatch"),
        name_taken: ("gone", "name_taken"),
    },
    "saved": {
        reboot: ("running", "was_running"),
        power_cut: ("running", "was_running"),
        daemon_restart: ("shutoff", ""),
        definition_lost: ("running", "was_running"),
        image_unloadable: ("shutoff", "restore_failed"),
        disk_changed: ("shutoff", "memory_mismatch"),
        name_taken: ("gone", "name_taken"),
    },
    "stopped": {
        reboot: ("shutoff", "was_stopped"),
        power_cut: ("shutoff", "was_stopped"),
        daemon_restart: ("shutoff", ""),
        definition_lost: ("shutoff", "was_stopped"),
        image_unloadable: ("shutoff", "was_stopped"),
        disk_changed: ("shutoff", "was_stopped"),
        name_taken: ("gone", "name_taken"),
    },
    "crashed": {
        reboot: ("shutoff", "was_stopped"),
        power_cut: ("shutoff", "was_stopped"),
        daemon_restart: ("crashed", ""),
        definition_lost: ("shutoff", "was_stopped"),
        image_unloadable: ("shutoff", "was_stopped"),
        disk_changed: ("shutoff", "was_stopped"),
        name_taken: ("gone", "name_taken"),
    },
}
ROWS = [(state, event) for state, events in TABLE.items() for event in events]


@pytest.mark.parametrize(("state", "event"), ROWS, ids=lambda each: getattr(each, "__name__", each))
def test_row(state: str, event: Any) -> None:
    """The expected state and reason; a memory image that was there is loaded, or is still there."""
    machine = host(state)
    event(machine)
    before = machine.find(VM)
    image = before["image"] if before is not None and before["saved"] else None
    reason = ""
    if event is not daemon_restart:
        rows = {row["uuid"]: row for row in call(machine, BOOT)["vms"]}
        reason = rows[VM]["reason"]
    after = machine.find(VM)
    assert (after["state"] if after is not None else "gone", reason) == TABLE[state][event]
    if image is not None and after is not None:
        loaded = after["state"] in ("running", "paused") and any(" from its memory" in each for each in machine.effects)
        assert loaded != (after["image"] == image)


def test_the_power_fails_while_memory_is_saved() -> None:
    """Half an image is no memory: the VM comes back without it, whatever it declares, and says so."""
    machine = host("running")
    machine.power_cut()
    machine.named("vm").update(
        saved=True, image={"size": 10, "modified_ns": 1, "problem": "incomplete", "interrupted": True}
    )
    outcome = call(machine, BOOT)
    assert (outcome["vms"][0]["reason"], machine.named("vm")["state"]) == ("was_running", "running")
    assert "the power failed" in machine.store["starts"][VM]["message"]


def test_an_image_that_was_whole() -> None:
    """It is empty now, which is damage: nobody drops it, and the VM does not start without its memory."""
    machine = host("saved")
    machine.power_cut()
    image = machine.named("vm")["image"]
    image.update(size=0, problem="it ends within its header", interrupted=True)
    machine.store["manifests"][VM] = {
        "uuid": VM, "name": "vm", "made_unix": 1, "machine": {}, "disks": [],
        "memory": {"path": "/save/vm.save", "size": 4096, "modified_ns": 1, "managed": True},
    }  # fmt: skip
    outcome = call(machine, BOOT)
    assert (outcome["vms"][0]["reason"], machine.named("vm")["state"]) == ("memory_mismatch", "shutoff")
    assert machine.named("vm")["saved"]


@pytest.mark.parametrize("event", [image_unloadable, disk_changed])
def test_start_cold(event: Any) -> None:
    """With start-cold the memory is kept aside, and a lasting note says where."""
    machine = host("running", on_restore_failure="start-cold")
    event(machine)
    image = machine.named("vm")["image"]
    assert image is not None
    outcome = call(machine, BOOT)
    assert machine.named("vm")["state"] == "running"
    assert list(machine.state["images"].values()) == [image]
    assert outcome["vms"][0]["start"]["outcome"] == "ready"
    assert "which is kept in /state/memory/" in machine.store["starts"][VM]["message"]


def test_the_table_is_complete() -> None:
    """Every state with every event."""
    assert all(set(events) == set(EVENTS) for events in TABLE.values())
    assert len(ROWS) == 35
