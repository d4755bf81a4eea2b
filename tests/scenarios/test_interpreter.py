"""Races that no timeline can tell: two runs whose looks and deeds overlap."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from vm_lifecycle import actions as do
from vm_lifecycle.apply import apply
from vm_lifecycle.chain import Chain, Run
from vm_lifecycle.disks import FileIdentity, Storage, VolumeVerdict
from vm_lifecycle.errors import EffectError
from vm_lifecycle.looks import storage
from vm_lifecycle.model import ClockMemory
from vm_lifecycle.plans import Entry
from vm_lifecycle.removal import REMOVAL
from vm_lifecycle.removals import Intent
from vm_lifecycle.run import run
from vm_lifecycle.tasks.cleanup import TASK
from vm_lifecycle.tasks.persistence import TASK as PERSISTENCE

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine, ports

from .player import call, interrupted

SWEEP: dict[str, Any] = {"task": "vm_cleanup"}
DUE = {"name": "ci-1", "declared": {"mode": "temporary", "ttl_hours": 4}, "files": ["/pool/a"], "state": "shutoff"}


def planned(machine: Machine) -> do.Plan:
    """A plan as it was made a moment ago."""
    request = TASK.decode({}, ports(machine))
    return TASK.plan(request, TASK.observe(request, ports(machine)))


def carried_out(plan: do.Plan, machine: Machine) -> list[Chain]:
    """The plan, carried out now."""
    return apply(plan, ports(machine), ClockMemory(), REMOVAL)


def test_roll_back_that_came_too_late() -> None:
    """Another sweep undefined the VM and died after this one had looked: its intent is all that knows of the disk."""
    machine = Machine(build({"domains": [DUE]}))
    interrupted(machine, SWEEP, 3, "kill")
    plan = planned(machine)
    assert [entry.decision for entry in plan.entries] == ["rolled_back", "removed"]
    interrupted(machine, SWEEP, 6, "kill")
    assert machine.find(uuid_of(1)) is None
    chains = carried_out(plan, machine)
    assert [chain.error and chain.error.code for chain in chains] == ["changed_meanwhile", "changed_meanwhile"]
    assert machine.store["intents"]
    call(machine, SWEEP)
    assert not machine.store["intents"]
    assert "/pool/a" not in machine.state["files"]


def test_resumption_that_came_too_late() -> None:
    """Another sweep finished the removal after this one had looked."""
    machine = Machine(build({"domains": [DUE]}))
    interrupted(machine, SWEEP, 5, "kill")
    plan = planned(machine)
    assert [entry.reason for entry in plan.entries] == ["resumed"]
    call(machine, SWEEP)
    before = len(machine.effects)
    chains = carried_out(plan, machine)
    assert [chain.error and chain.error.code for chain in chains] == ["changed_meanwhile"]
    assert not [effect for effect in machine.effects[before:] if "delete_volume" in effect or "undefine" in effect]


def test_the_uuid_is_back_before_the_disks_are_deleted() -> None:
    """Somebody restored the VM after the plan to finish its removal was made: its old disks may be wanted again."""
    machine = Machine(build({"domains": [DUE]}))
    interrupted(machine, SWEEP, 5, "kill")
    plan = planned(machine)
    act(machine, {"do": "define", "name": "restored", "uuid": 1, "state": "shutoff"})
    chains = carried_out(plan, machine)
    assert [chain.error and chain.error.code for chain in chains] == ["changed_meanwhile"]
    assert "/pool/a" in machine.state["files"]
    assert not machine.store["intents"]


def half_deleted() -> Machine:
    """A removal that deleted one of two disks: the pool of the other one was away for a moment."""
    disks = ["/pool/a", {"path": "/p2/b", "target": "vdb"}]
    machine = Machine(build({"domains": [{**DUE, "files": disks}], "pools": [{}, {"name": "p2", "path": "/p2"}]}))

    def watch(at: Machine, _number: int) -> None:
        at.state["pools"][1]["active"] &= "undefine" not in at.effects[-1]

    machine.after_effect = watch
    assert call(machine, SWEEP)["failed"]
    machine.after_effect = None
    machine.state["pools"][1]["active"] = True
    assert (set(machine.state["files"]), len(machine.store["intents"])) == ({"/p2/b"}, 1)
    return machine


def test_another_vm_has_the_uuid_when_a_disk_is_left() -> None:
    """The disk stays, and is no secret: nothing says that nothing was deleted."""
    machine = half_deleted()
    act(machine, {"do": "define", "name": "ci-1", "uuid": 1, "state": "shutoff", "files": ["/pool/c"]})
    (row,) = call(machine, SWEEP)["vms"]
    assert (row["decision"], "p2/b" in row["message"], "before" in row["message"]) == (
        "rolled_back",
        True,
        False,
    )
    (line,) = [line for line in machine.store["operations"] if "rolled back" in line["message"]]
    assert (line["outcome"], "p2/b" in line["message"]) == ("failed", True)
    assert (set(machine.state["files"]), machine.store["intents"]) == ({"/p2/b", "/pool/c"}, {})


def test_the_same_vm_still_has_the_uuid() -> None:
    """Killed before it was undefined: no disk was deleted, and nobody has to look."""
    machine = Machine(build({"domains": [DUE]}))
    interrupted(machine, SWEEP, 4, "kill")
    assert [kept["armed"] for kept in machine.store["intents"].values()] == [True]
    assert [row["decision"] for row in call(machine, SWEEP)["vms"]] == ["rolled_back", "removed"]
    assert [line for line in machine.store["operations"] if line["outcome"] == "failed"] == []


def test_a_plan_is_carried_out_once() -> None:
    """The same plan again finds no VM any more."""
    machine = Machine(build({"domains": [DUE]}))
    plan = planned(machine)
    assert [chain.error for chain in carried_out(plan, machine)] == [None]
    assert [chain.error and chain.error.code for chain in carried_out(plan, machine)] == ["changed_meanwhile"]


@pytest.mark.parametrize(
    "action", [do.Arm(do.Guard(uuid_of(1), "x")), do.DeleteVolumes(uuid_of(1)), do.Finish(uuid_of(1))]
)
def test_no_step_without_its_intent(action: do.Action) -> None:
    """What was never begun is neither armed, nor deleted, nor finished."""
    machine = Machine(build({"domains": [DUE]}))
    run, chain = Run(ports(machine), ClockMemory(), now=0.0), Chain(Entry(uuid_of(1), "ci-1", "removed", "expired", ""))
    with pytest.raises(EffectError, match="its record of the removal is gone"):
        REMOVAL[type(action)](run, chain, action)
    assert machine.effects == []


@pytest.mark.parametrize("unread", [(), ("VM ci-1: timed out",)])
def test_a_disk_that_the_last_look_does_not_see(unread: tuple[str, ...]) -> None:
    """It stays, and the log names it. unread: what libvirt could not tell of the VM at that moment, which stays, too."""
    machine = Machine(build({"domains": [DUE]}))
    plan, world = planned(machine), ports(machine)
    seen = replace(world.hypervisor.storage(), attachments=(), problems=unread)
    with patch.object(world.hypervisor, "storage", lambda *_: seen):
        (chain,) = apply(plan, world, ClockMemory(), REMOVAL)
    assert "/pool/a" in machine.state["files"]
    if unread:
        assert chain.error is not None and chain.error.code == "storage_unreadable" and machine.state["domains"]
    else:
        assert chain.error is None and not machine.state["domains"]
        assert "default/a [identity_changed]" in machine.store["operations"][-1]["message"]


def test_a_raw_disk_of_a_removal_that_begins_during_a_look() -> None:
    """Whoever looks anew knows of it: no definition may say so any more by then."""
    machine = Machine(build({"domains": [DUE]}))
    world = ports(machine)
    disk = VolumeVerdict("/pool/gone", True, "only_user", "default", "gone", identity=FileIdentity(1, 99), raw=True)
    asked: list[list[VolumeVerdict]] = []

    def view(_removed: Any, leaving: Any) -> Any:
        asked.append(list(leaving))
        began = {1: replace(disk, identity=FileIdentity(1, 98)), 2: disk}.get(len(asked))
        if began is not None:  # judged at first while its guest writes, and once more when it is off
            intent = Intent(uuid_of(9), "gone", "", "", (began, replace(disk, raw=False)), armed=began == disk)
            world.store.write_intent(intent)
        return Storage()

    with patch.object(world.hypervisor, "storage", view):
        storage(world)
    assert asked == [[], [replace(disk, identity=FileIdentity(1, 98))], [disk]]


def test_progress_is_told() -> None:
    """Whoever watches sees whose turn it is, and for what the run waits."""
    machine = Machine(
        build({"domains": [{**DUE, "state": "running"}, {"name": "db1", "declared": {"mode": "permanent"}}]})
    )
    call(machine, SWEEP)
    assert len(machine.messages) == 3
    assert machine.messages[0].startswith("ci-1: expired")
    assert "waiting up to 60 s" in machine.messages[1]
    assert machine.messages[2] == "ci-1: removed"


def test_only_books_need_no_claim() -> None:
    """A VM that another run holds, and of which there is only something to note, is no news."""
    machine = Machine(build({"domains": [{"name": "a", "declared": {"mode": "permanent"}, "recorded": False}]}))
    machine.state["claims"].append(uuid_of(1))
    outcome = call(machine, SWEEP)
    assert [(row["decision"], row["reason"]) for row in outcome["vms"]] == [("kept", "permanent")]
    assert machine.store["records"] == {}


def test_an_older_look_does_not_overwrite_a_newer_declaration() -> None:
    """A sweep that noted a VM before another run declared it anew must not take the store back."""
    machine = Machine(build({"domains": [{"name": "a", "declared": {"mode": "permanent"}, "recorded": False}]}))
    plan = planned(machine)
    call(machine, {"task": "vm_persistence", "arguments": {"name": "a", "state": "held"}})
    carried_out(plan, machine)
    assert machine.store["records"][uuid_of(1)]["revision"] == 2


def swept(machine: Machine, *odd: str) -> dict[str, Any]:
    """A sweep on a host that can't take some locks."""
    world = ports(machine)
    claim = world.host.claim

    def refused(uuid: str) -> AbstractContextManager[bool]:
        if uuid in odd:
            raise EffectError("effect_failed", f"a lock can't be taken, see to that path: {uuid}")
        return claim(uuid)

    world.host.claim = refused  # type: ignore[method-assign]
    return run(TASK, {}, world)


@pytest.mark.parametrize(("odd", "left"), [(("removal-0",), set()), ((uuid_of(1),), {"a"})])
def test_a_lock_that_can_not_be_taken(odd: tuple[str, ...], left: set[str]) -> None:
    """A place without one is no place; a VM without one fails alone."""
    machine = Machine(build({"domains": [{**DUE, "name": name, "files": [f"/pool/{name}"]} for name in "abc"]}))
    result = swept(machine, *odd)
    assert {row["name"] for row in result["vms"] if row["decision"] == "failed"} == left
    assert {domain["name"] for domain in machine.state["domains"]} == left


def test_no_lock_of_a_place_can_be_taken() -> None:
    """Nobody waits for one, and the message names it."""
    machine = Machine(build({"domains": [DUE]}))
    places = [f"removal-{number}" for number in range(10)]
    began = machine.clock["now"]
    (row,) = swept(machine, *places)["vms"]
    assert (row["decision"], row["reason"]) == ("failed", "effect_failed")
    assert ("removal-0" in row["message"], machine.clock["now"]) == (True, began)
    assert machine.find(uuid_of(1)) is not None


@pytest.mark.parametrize(("count", "writers"), [(31, 1), (32, 4)])
def test_many_declarations(count: int, writers: int) -> None:
    """Several at once, from a number on at which it pays; one that fails is its own failure, and nothing is written twice."""
    numbers = range(1, count + 1)
    machine = Machine(build({"domains": [{"name": f"vm-{number:02}", "state": "shutoff"} for number in numbers]}))
    world, at_once = ports(machine), [1]
    parallel, write = world.host.parallel, world.hypervisor.write_metadata

    def watched(jobs: Any, workers: int) -> None:
        at_once.append(
            workers if len(jobs) == count else 1
        )  # the look at the host asks for several things at once, too
        parallel(jobs, workers)

    def refused(uuid: str, text: str | None) -> None:
        if uuid == uuid_of(7):
            raise EffectError("effect_failed", "no room")
        write(uuid, text)

    document = {"mode": "permanent", "vms": [{"name": f"vm-{number:02}"} for number in numbers]}
    with patch.object(world.host, "parallel", watched), patch.object(world.hypervisor, "write_metadata", refused):
        result = run(PERSISTENCE, document, world)
    assert max(at_once) == writers
    assert [row["name"] for row in result["vms"]] == [f"vm-{number:02}" for number in numbers]
    assert [row["name"] for row in result["vms"] if not row["changed"]] == ["vm-07"]
    assert len([line for line in machine.store["operations"] if line["outcome"] == "done"]) == count - 1
    again = run(PERSISTENCE, document, ports(machine))
    assert [row["name"] for row in again["vms"] if row["changed"]] == ["vm-07"]
