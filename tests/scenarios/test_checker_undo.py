"""The checker itself, on undo, confirmations, caps and removals at once: each misdeed that it is there for is seen."""

from __future__ import annotations

from typing import Any

import pytest
from vm_lifecycle.changes import RememberPlan
from vm_lifecycle.disks import VolumeVerdict
from vm_lifecycle.removals import Intent, SeenVm, SweepPlan, UndoRecord

from tests.fakes.build import build, uuid_of
from tests.fakes.hypervisor import FakeHypervisor, identity
from tests.fakes.manager import act
from tests.fakes.store import MemoryStore
from tests.fakes.world import Machine

from .checker import Auditor

TEMPORARY = {"mode": "temporary", "ttl_hours": 4}
ONE = uuid_of(1)


class Host:
    """A watched host on which the test does what an engine should not do."""

    def __init__(self, *names: str, files: dict[str, Any] | None = None, **policy: Any) -> None:
        domains = [
            {"name": name, "state": "shutoff", "declared": TEMPORARY, "files": [f"/pool/{name}"]} for name in names
        ]
        self.machine = Machine(build({"domains": domains, "configuration": {"cleanup": policy}, "files": files or {}}))
        self.auditor = Auditor()
        self.machine.before_effect = self.auditor
        self.hypervisor, self.store = FakeHypervisor(self.machine), MemoryStore(self.machine)
        self.before = Machine(self.machine.state).state
        self.call()

    def call(self, **arguments: Any) -> None:
        """The next call of vm_cleanup begins."""
        self.auditor.begin({"task": "vm_cleanup", "arguments": arguments})

    def remember(self, uuid: str) -> None:
        """An undo record, durable."""
        saved = self.hypervisor.saved(uuid)
        self.store.write_undo(UndoRecord(uuid, self.name(uuid), 0, 0, saved, document={"revision": 1}))

    def name(self, uuid: str) -> str:
        """A VM's name."""
        return str((self.machine.find(uuid) or {}).get("name"))

    def plan(self, *uuids: str) -> None:
        """A plan is stored."""
        vms = tuple(SeenVm(uuid, self.name(uuid), "") for uuid in uuids)
        now = int(self.machine.clock["now"])
        self.store.save([RememberPlan(SweepPlan("job-17", "", now, vms))])

    def delete(self, name: str) -> None:
        """Delete a volume as it is now."""
        path = f"/pool/{name}"
        file = identity(self.machine.state, path)
        self.hypervisor.delete_volume(VolumeVerdict(path, True, "only_user", "default", name, identity=file))

    def begin(self, uuid: str) -> None:
        """A removal begins: claimed, and its intent written."""
        self.machine.held.add(uuid)
        self.store.write_intent(Intent(uuid, self.name(uuid), "", ""))

    @property
    def violations(self) -> list[str]:
        """What was seen so far."""
        return self.auditor.violations

    def settle(self) -> list[str]:
        """The verdict at the end, but for books that this test never kept."""
        found = self.auditor.settle(self.before, self.machine.state)
        return [text for text in found if "in the log" not in text]


def kept_host(**policy: Any) -> Host:
    """A host with one VM that was removed with an undo of a day."""
    host = Host("a", undo_hours=24, **policy)
    host.remember(ONE)
    host.hypervisor.undefine(ONE, True)
    return host


def test_a_removal_with_undo_is_fine() -> None:
    """Nothing to see while the disk is there."""
    host = kept_host()
    assert (host.violations, host.settle()) == ([], [])


def test_sees_a_removal_without_its_record() -> None:
    """Gone, and nothing to bring it back with."""
    host = Host("a", undo_hours=24)
    host.hypervisor.undefine(ONE, True)
    assert host.violations == ["undefine of a without an undo record"]


def test_sees_a_record_that_is_dropped_too_early() -> None:
    """An hour is no day."""
    host = kept_host()
    host.machine.advance(3600)
    host.call()
    host.store.drop_undo(ONE)
    assert host.violations == ["the undo record of a was dropped before its time"]


def test_sees_a_record_that_is_lost() -> None:
    """Whoever lost it."""
    host = kept_host()
    del host.machine.store["undo"][ONE]
    assert host.settle() == ["a can't be brought back"]


@pytest.mark.parametrize(("seconds", "early"), [(86399, True), (86400, False)])
def test_sees_a_disk_that_goes_too_early(seconds: int, early: bool) -> None:
    """A second before its time is over."""
    host = kept_host()
    host.machine.advance(seconds)
    host.call()
    host.delete("a")
    assert host.violations == (["/pool/a was deleted and is in use"] if early else [])


def test_a_purge_that_was_asked_for_is_fine() -> None:
    """For the VM that was named, not for another one."""
    host = Host("a", "b", undo_hours=24)
    for uuid in (ONE, uuid_of(2)):
        host.remember(uuid)
        host.hypervisor.undefine(uuid, True)
    host.call(state="purged", name="a")
    host.delete("a")
    assert host.violations == []
    host.delete("b")
    assert host.violations == ["/pool/b was deleted and is in use"]


def test_sees_a_disk_that_is_lost_during_an_undo() -> None:
    """By no volume's deletion."""
    host = kept_host()
    act(host.machine, {"do": "delete_file", "path": "/pool/a"})
    assert host.settle() == ["/pool/a of a is lost"]


def test_sees_a_disk_that_is_left_after_a_purge() -> None:
    """The record is gone, the file is not."""
    host = kept_host()
    host.machine.advance(86400)
    host.call()
    host.store.drop_undo(ONE)
    assert host.settle() == ["/pool/a leaked"]


def test_sees_a_common_disk_that_is_left() -> None:
    """Two VMs had it, and both are gone."""
    host = Host("a", "b")
    for name in ("a", "b"):
        host.machine.named(name)["files"] = [
            {"path": "/pool/a", "role": "disk", "target": "vda", "kind": "file", "read_only": False, "shareable": False}
        ]
    for uuid in (ONE, uuid_of(2)):
        host.hypervisor.undefine(uuid, True)
    assert "/pool/a leaked" in host.settle()


def test_sees_a_vm_that_comes_back_unasked_or_unheld_or_without_its_disk() -> None:
    """What bringing back promises."""
    host = kept_host()
    saved = host.store.undo_records()[0].saved
    host.call()
    host.hypervisor.define(saved)
    assert host.violations == ["a was defined, and nobody asked for it"]
    host = kept_host()
    act(host.machine, {"do": "replace_file", "path": "/pool/a"})
    host.call(state="restored", name="a")
    host.hypervisor.define(saved)
    assert host.violations == ["a came back without its disk /pool/a"]
    host = kept_host()
    host.call(state="restored", name="a")
    host.hypervisor.define(saved)
    assert host.settle() == ["a was restored and is not held"]


@pytest.mark.parametrize("state", ["planned", "restored"])
def test_sees_harm_by_a_call_that_removes_nothing(state: str) -> None:
    """Plans only look."""
    host = Host("a")
    host.call(state=state)
    host.hypervisor.undefine(ONE, True)
    assert "undefine by a call that may remove nothing" in host.violations


def test_sees_harm_under_dry_run() -> None:
    """The host's own dry_run_mode beats the policy of a call."""
    host = Host("a", dry_run_mode=True)
    host.call(policy={})
    host.hypervisor.undefine(ONE, True)
    assert "undefine by a call that may remove nothing" in host.violations


def test_sees_a_removal_that_nobody_confirmed() -> None:
    """No plan, another plan's VM, another deadline, a plan that is over."""
    host = Host("a", "b", require_confirmation=True)
    host.plan(ONE)
    host.call(state="confirmed", plan_id="job-17")
    host.hypervisor.undefine(ONE, True)
    assert host.violations == []
    host.hypervisor.undefine(uuid_of(2), True)
    assert host.violations == ["b was removed, and nobody confirmed it as it is"]


@pytest.mark.parametrize("changed", ["deadline", "named", "late"])
def test_sees_a_removal_of_what_changed_since(changed: str) -> None:
    """Confirmed was the VM as it was seen, by name, within a day."""
    host = Host("a", "b", require_confirmation=True)
    host.plan(ONE, uuid_of(2))
    if changed == "deadline":
        act(host.machine, {"do": "edit", "vm": "a", "scheduled_cleanup": 1})
    host.machine.advance(86400 if changed == "late" else 60)
    host.call(state="confirmed", plan_id="job-17", **({"name": "b"} if changed == "named" else {}))
    host.hypervisor.undefine(ONE, True)
    assert host.violations == ["a was removed, and nobody confirmed it as it is"]


def test_sees_a_disk_that_nobody_confirmed() -> None:
    """It came after the plan."""
    host = Host("a", require_confirmation=True, files={"/pool/more": {}})
    host.plan(ONE)
    act(host.machine, {"do": "attach", "vm": "a", "path": "/pool/more"})
    host.call(state="confirmed", plan_id="job-17")
    host.hypervisor.undefine(ONE, True)
    host.delete("a")
    assert host.violations == []
    host.delete("more")
    assert host.violations == ["/pool/more was deleted and not confirmed"]


@pytest.mark.parametrize(
    ("policy", "files", "allowed"),
    [
        ({"max_removals": 2}, {}, 2),
        ({"max_removal_percent": 30}, {}, 3),
        ({"max_removal_gib": 1}, {"/pool/vm1": {"size": 2**30}}, 1),
    ],
)
def test_sees_removals_above_a_cap(policy: dict[str, Any], files: dict[str, Any], allowed: int) -> None:
    """The first one too many."""
    host = Host(*(f"vm{number}" for number in range(10)), files=files, **policy)
    for number in range(allowed):
        host.hypervisor.undefine(uuid_of(number + 1), True)
    assert host.violations == []
    host.hypervisor.undefine(uuid_of(allowed + 1), True)
    assert host.violations == [f"vm{allowed} was removed above a cap, and nobody confirmed it"]


def test_each_call_has_the_whole_cap() -> None:
    """And what was confirmed does not count."""
    host = Host("a", "b", "c", max_removals=1)
    host.plan(uuid_of(3))
    host.call(state="confirmed", plan_id="job-17")
    host.hypervisor.undefine(uuid_of(3), True)
    for uuid in (ONE, uuid_of(2)):
        host.call()
        host.hypervisor.undefine(uuid, True)
    assert host.violations == []


def test_sees_too_many_removals_at_once() -> None:
    """Between the beginning and the end of each, by their claims."""
    host = Host("a", "b", "c", max_concurrent_cleanups=2)
    for uuid in (ONE, uuid_of(2)):
        host.begin(uuid)
    assert host.violations == []
    host.begin(uuid_of(3))
    assert host.violations == ["3 removals at once, and 2 are allowed"]
    host.machine.held.clear()
    host.begin(ONE)
    assert len(host.violations) == 1
