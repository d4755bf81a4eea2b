"""Undo records while others act on them: purges that were planned, restorations of several VMs, and records that are damaged."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine

from .player import call, interrupted

HOUR = 3600
SHARED = {"path": "/pool/shared.qcow2", "target": "vdb"}


def vm(name: str, *files: Any, **more: Any) -> dict[str, Any]:
    """A VM whose time is over, with a disk of its own."""
    declared = {"mode": "temporary", "ttl_hours": 4}
    return {"name": name, "state": "shutoff", "declared": declared, "files": [f"/pool/{name}.qcow2", *files], **more}


def host(*vms: dict[str, Any], **policy: Any) -> Machine:
    """They can be brought back for 20 hours."""
    cleanup = {"cleanup_in_window_only": False, "undo_hours": 20, **policy}
    return Machine(build({"domains": list(vms), "configuration": {"cleanup": cleanup}}))


def clean_up(machine: Machine, **arguments: Any) -> dict[str, Any]:
    """A call of vm_cleanup, a second later."""
    machine.advance(1)
    return call(machine, {"task": "vm_cleanup", "arguments": arguments})


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What became of each VM."""
    return [(row["name"], row["decision"], row["reason"]) for row in result["vms"]]


def existing(machine: Machine) -> list[str]:
    """Names of the VMs that are defined."""
    return sorted(domain["name"] for domain in machine.state["domains"])


def test_a_purge_leaves_a_record_alone_that_is_newer_than_its_plan() -> None:
    """The VM came back and was removed again after the purge was planned: it has its whole time for an undo once more."""
    machine = host(vm("ci"))
    clean_up(machine)
    machine.advance(21 * HOUR)

    def again(at: Machine, _number: int) -> None:
        at.after_effect = None
        clean_up(at, name="ci", state="restored")
        call(at, {"task": "vm_persistence", "arguments": {"name": "ci", "state": "released"}})
        assert rows(clean_up(at, name="ci", ignore=["expiry"])) == [("ci", "removed", "expired")]

    machine.after_effect = again
    result = clean_up(machine)
    assert rows(result) == [("ci", "waiting", "changed_meanwhile")]
    assert machine.store["undo"][uuid_of(1)]["until_unix"] > machine.clock["now"] + 19 * HOUR
    assert not machine.store["intents"]
    assert rows(clean_up(machine, name="ci", state="restored")) == [("ci", "restored", "restored")]


@pytest.mark.parametrize("order", [["b", "a"], ["a", "b"], ["a+b"]])
def test_vms_that_shared_a_disk_come_back_in_any_order(order: list[str]) -> None:
    """One after the other, or in one call."""
    machine = host(vm("a", SHARED), vm("b", SHARED))
    clean_up(machine)
    machine.advance(HOUR)
    clean_up(machine)
    assert existing(machine) == []
    for names in order:
        result = clean_up(machine, state="restored", vms=[{"name": name} for name in names.split("+")])
        assert "refused" not in result
    assert existing(machine) == ["a", "b"]
    machine.advance(30 * HOUR)
    clean_up(machine)
    assert sorted(machine.state["files"]) == ["/pool/a.qcow2", "/pool/b.qcow2", "/pool/shared.qcow2"]


def test_two_removed_vms_that_never_shared_do_not_come_back_to_one_disk() -> None:
    """A person gave the disk of the first to the second after that was removed."""
    machine = host(vm("first"))
    clean_up(machine)
    act(machine, {"do": "define", **vm("second", "/pool/first.qcow2", uuid=7)})
    clean_up(machine)
    assert existing(machine) == []
    both = clean_up(machine, state="restored", vms=[{"name": "first"}, {"name": "second"}])
    assert both["refused"] == ["first: /pool/first.qcow2 is used by second now [disk_changed]"]
    assert rows(clean_up(machine, name="second", state="restored")) == [("second", "restored", "restored")]
    assert clean_up(machine, name="first", state="restored")["codes"] == ["disk_changed"]


def test_a_shared_disk_that_is_another_file_by_now() -> None:
    """Others may have written to it; it has to be the file that it was."""
    machine = host(vm("a", SHARED), vm("b", SHARED))
    clean_up(machine)
    clean_up(machine)
    act(machine, {"do": "replace_file", "path": "/pool/shared.qcow2"})
    refused = clean_up(machine, name="b", state="restored")["refused"]
    assert refused == ["b: /pool/shared.qcow2 is not the file any more that it was [disk_changed]"]


def test_a_disk_stays_whose_other_user_came_back_and_was_undefined() -> None:
    """The person who undefined that VM keeps its disks, though this host had removed it before."""
    machine = host(vm("a", SHARED), vm("b", SHARED, "/pool/b-only.qcow2"))
    clean_up(machine, name="a")
    clean_up(machine, name="a", state="restored")
    act(machine, {"do": "undefine", "vm": "a"})
    record = copy.deepcopy(machine.state)
    act(machine, {"do": "define", **vm("a", SHARED, uuid=1)})
    machine.store["records"][uuid_of(1)] = record["store"]["records"][uuid_of(1)]
    clean_up(machine, name="b")
    act(machine, {"do": "undefine", "vm": "a"})
    machine.advance(21 * HOUR)
    clean_up(machine)
    assert "/pool/shared.qcow2" in machine.state["files"]
    assert "/pool/b.qcow2" not in machine.state["files"]


def test_a_removal_that_would_replace_another_record_does_not_begin() -> None:
    """Nor does one that fails take it along: the disks of the VM that had the UUID before stay on record."""
    machine = host(vm("ci"))
    clean_up(machine)
    act(machine, {"do": "define", **vm("new", uuid=1, declared={"mode": "temporary", "ttl_hours": 4, "revision": 2})})
    record = copy.deepcopy(machine.store["undo"])
    machine.state["refuse"]["undefine"] = "libvirt says no"
    result = clean_up(machine, name="new")
    assert rows(result) == [("new", "waiting", "superseded")]
    assert "vm-lifecycle cleanup" in result["vms"][0]["message"]
    assert machine.store["undo"] == record
    assert existing(machine) == ["new"]


def test_another_vm_under_the_uuid_is_not_taken_for_the_one_that_was_brought_back() -> None:
    """It was declared, and so has the next revision; it is no restoration that was interrupted."""
    machine = host(vm("ci"))
    clean_up(machine)
    act(machine, {"do": "define", **vm("new", uuid=1, declared={"mode": "permanent", "revision": 2})})
    assert clean_up(machine, uuid=uuid_of(1), state="restored")["codes"] == ["uuid_taken"]
    assert ("ci", "kept", "superseded") in rows(clean_up(machine))


def test_an_interrupted_restoration_waits_while_nothing_may_be_done() -> None:
    """dry_run_mode: the record stays, which alone knows the snapshots."""
    machine = host(vm("ci"))
    clean_up(machine)
    machine.state["refuse"]["write_metadata"] = "libvirt says no"
    clean_up(machine, name="ci", state="restored")
    del machine.state["refuse"]["write_metadata"]
    machine.state["configuration"]["cleanup"]["dry_run_mode"] = True
    assert ("ci", "waiting", "dry_run_mode") in rows(clean_up(machine))
    assert machine.store["undo"]
    machine.state["configuration"]["cleanup"]["dry_run_mode"] = False
    assert ("ci", "restored", "restored") in rows(clean_up(machine))
    assert not machine.store["undo"]


INTACT = object()


@pytest.mark.parametrize("sharers", [INTACT, None, [], "x", {SHARED["path"]: None}, {SHARED["path"]: [None]}])
def test_a_disk_that_was_kept_for_others_goes_with_the_last_of_them(sharers: Any) -> None:
    """It stays where the records don't say who that is in a way that is understood."""
    machine = host(vm("a", SHARED), vm("b", SHARED))
    clean_up(machine, name="a")
    clean_up(machine, name="b", policy={"undo_hours": 1})
    for record in machine.store["undo"].values():
        assert not any(volume["remove"] for volume in record["volumes"] if volume["path"] == SHARED["path"])
        record["sharers"] = record["sharers"] if sharers is INTACT else sharers
    machine.advance(21 * HOUR)
    for _sweep in range(3):
        clean_up(machine)
    assert sorted(machine.state["files"]) == ([] if sharers is INTACT else [SHARED["path"]])
    assert not machine.store["undo"]


def test_a_vm_that_came_back_from_a_purge_keeps_its_disks() -> None:
    """The purge had failed and would go on; when a person undefines the VM later, its disks are theirs."""
    machine = host(vm("ci"))
    clean_up(machine)
    machine.advance(21 * HOUR)
    machine.state["refuse"]["delete_volume"] = "busy"
    assert rows(clean_up(machine)) == [("ci", "failed", "effect_failed")]
    del machine.state["refuse"]["delete_volume"]
    machine.effects.clear()
    assert rows(clean_up(machine, name="ci", state="restored")) == [("ci", "restored", "restored")]
    done = [effect.split(" ", 1)[1] for effect in machine.effects]
    assert done.index("drop_intent ci") < done.index("define ci")
    assert not machine.store["intents"]
    act(machine, {"do": "undefine", "vm": "ci"})
    for _sweep in range(2):
        assert rows(clean_up(machine)) == []
    assert "/pool/ci.qcow2" in machine.state["files"]


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_restoration_from_a_purge_that_is_killed_loses_nothing(after: int) -> None:
    """Before the definition the record is there and the purge begins anew; after it the VM is."""
    machine = host(vm("ci"))
    clean_up(machine)
    machine.advance(21 * HOUR)
    machine.state["refuse"]["delete_volume"] = "busy"
    clean_up(machine)
    del machine.state["refuse"]["delete_volume"]
    interrupted(machine, {"task": "vm_cleanup", "arguments": {"name": "ci", "state": "restored"}}, after, "power")
    assert "/pool/ci.qcow2" in machine.state["files"]
    assert rows(clean_up(machine, name="ci", state="restored")) == [("ci", "restored", "restored")]
    assert existing(machine) == ["ci"]
    assert not machine.store["intents"]
    assert not machine.store["undo"]


def test_a_disk_stays_whose_other_user_had_the_name_of_a_removed_vm() -> None:
    """A person's own VM, undefined by that person, is not the one of that name that this host removed before."""
    machine = host(vm("ci-2", uuid=3))
    clean_up(machine, policy={"undo_hours": 0})
    act(machine, {"do": "define", "name": "ci-2", "uuid": 4, "state": "shutoff", "files": [SHARED]})
    act(machine, {"do": "define", **vm("a", SHARED, uuid=1)})
    assert ("a", "removed", "expired") in rows(clean_up(machine))
    act(machine, {"do": "undefine", "vm": "ci-2"})
    machine.advance(21 * HOUR)
    assert rows(clean_up(machine)) == [("a", "removed", "undo_over")]
    assert sorted(machine.state["files"]) == [SHARED["path"]]


def test_a_vm_with_the_uuid_of_a_removed_one_goes_after_the_record() -> None:
    """A call that names it waits; a sweep of the whole host says that it drops the record; then it goes, with a record of its own."""
    machine = host(vm("ci"))
    clean_up(machine)
    act(machine, {"do": "define", **vm("new", uuid=1, declared={"mode": "temporary", "ttl_hours": 4, "revision": 2})})
    assert rows(clean_up(machine, name="new")) == [("new", "waiting", "superseded")]
    assert rows(clean_up(machine)) == [("ci", "kept", "superseded"), ("new", "waiting", "superseded")]
    assert not machine.store["undo"]
    assert rows(clean_up(machine, name="new")) == [("new", "removed", "expired")]
    assert machine.store["undo"][uuid_of(1)]["name"] == "new"
    assert sorted(machine.state["files"]) == ["/pool/ci.qcow2", "/pool/new.qcow2"]


def left(machine: Machine) -> Machine:
    """What an interrupted sweep leaves: an intent and an undo record of a VM that is not there."""
    for after in range(1, 20):
        cut = Machine(copy.deepcopy(machine.state))
        interrupted(cut, {"task": "vm_cleanup", "arguments": {}}, after, "kill")
        if not existing(cut) and cut.store["intents"] and cut.store["undo"]:
            return cut
    raise AssertionError("no sweep left that")


def test_another_vm_takes_the_uuid_before_a_removal_is_finished() -> None:
    """Its record is dropped with the undo record, and all that knows of the disk is the log."""
    machine = left(host(vm("ci")))
    act(machine, {"do": "define", **vm("other", uuid=1)})
    clean_up(machine)
    said = [line["message"] for line in machine.store["operations"] if line["outcome"] == "failed"]
    assert len(said) == 1 and "default/ci.qcow2" in said[0] and "delete by hand" in said[0]
    assert "/pool/ci.qcow2" in machine.state["files"]


def test_another_vm_takes_the_uuid_before_a_purge_is_finished() -> None:
    """A named removal of that VM waits for the record of the other one to go."""
    machine = host(vm("ci", "/pool/more.qcow2"))
    clean_up(machine)
    machine.advance(21 * HOUR)
    machine = left(machine)
    act(machine, {"do": "define", **vm("other", uuid=1)})
    assert ("other", "waiting", "superseded") in rows(clean_up(machine, name="other", ignore=["expiry"]))
    assert existing(machine) == ["other"]


def test_a_vm_that_is_renamed_before_its_turn_goes_under_its_new_name() -> None:
    """By that name it is asked back."""
    machine = host(vm("a"), vm("b"))

    def renamed(at: Machine, _number: int) -> None:
        at.after_effect = None
        act(at, {"do": "rename", "vm": "b", "to": "c"})

    machine.after_effect = renamed
    assert rows(clean_up(machine)) == [("a", "removed", "expired"), ("b", "waiting", "changed_meanwhile")]
    assert rows(clean_up(machine)) == [("c", "removed", "expired")]
    assert rows(clean_up(machine, name="c", state="restored")) == [("c", "restored", "restored")]
    assert existing(machine) == ["c"]
