"""The checker itself: each misdeed that it is there for is seen."""

from __future__ import annotations

from typing import Any

import pytest
from vm_lifecycle.disks import VolumeVerdict
from vm_lifecycle.errors import EffectError

from tests.fakes.build import build, uuid_of
from tests.fakes.hypervisor import FakeHypervisor, identity
from tests.fakes.manager import act
from tests.fakes.world import Machine

from .checker import Auditor, own_files, protected

TEMPORARY = {"mode": "temporary", "ttl_hours": 4}
SWEEP = {"task": "vm_cleanup"}


def machine_with(*domains: dict[str, Any], **more: Any) -> tuple[Machine, Auditor, FakeHypervisor]:
    """A watched host."""
    machine, auditor = Machine(build({"domains": list(domains), **more})), Auditor()
    machine.before_effect = auditor
    auditor.begin(SWEEP)
    return machine, auditor, FakeHypervisor(machine)


def delete(machine: Machine, hypervisor: FakeHypervisor, name: str) -> None:
    """Delete a volume as it is now."""
    path = f"/pool/{name}"
    hypervisor.delete_volume(
        VolumeVerdict(path, True, "only_user", "default", name, identity=identity(machine.state, path))
    )


@pytest.mark.parametrize(
    ("declared", "name", "safe"),
    [
        (TEMPORARY, "over", False),
        ({**TEMPORARY, "ttl_hours": 72}, "not over", True),
        ({"mode": "permanent"}, "permanent", True),
        ({**TEMPORARY, "hold": "deletion"}, "held", True),
        ({**TEMPORARY, "auto_cleanup": False}, "auto_cleanup off", True),
        ({**TEMPORARY, "vm_id": uuid_of(9)}, "clone", True),
        ({**TEMPORARY, "revision": 0}, "revision 0", True),
    ],
)
def test_protected(declared: dict[str, Any], name: str, safe: bool) -> None:
    """Who may be removed at all."""
    machine, _auditor, _hypervisor = machine_with({"name": name, "declared": declared})
    assert protected(machine.state["domains"][0], machine.clock["now"], False) is safe


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"version": 1}'])
def test_unreadable_is_protected(text: str | None) -> None:
    """Anything else is."""
    machine, _auditor, _hypervisor = machine_with({"name": "a", "metadata": text})
    assert protected(machine.state["domains"][0], machine.clock["now"], True)


def test_sees_harm_to_a_protected_vm() -> None:
    """Stopping and undefining."""
    _machine, auditor, hypervisor = machine_with({"name": "db1", "declared": {"mode": "permanent"}, "state": "running"})
    hypervisor.request_shutdown(uuid_of(1))
    hypervisor.power_off(uuid_of(1))
    hypervisor.undefine(uuid_of(1), False)
    assert len(auditor.violations) == 3


def test_sees_undefining_a_running_vm() -> None:
    """It would go on as a transient one."""
    machine, auditor, hypervisor = machine_with({"name": "a", "declared": TEMPORARY})
    with pytest.raises(EffectError):
        hypervisor.undefine(uuid_of(1), False)
    assert auditor.violations == ["undefine of the running VM a"]
    assert machine.find(uuid_of(1)) is not None


def test_sees_deletion_of_a_disk_in_use() -> None:
    """Of a VM, and below another file."""
    over = {"name": "a", "declared": TEMPORARY, "state": "shutoff", "files": ["/pool/a", "/pool/b", "/pool/c"]}
    user = {"name": "db1", "declared": {"mode": "permanent"}, "files": ["/pool/a"]}
    files = {"/pool/b": {}, "/pool/x": {"backing": "/pool/b"}}
    machine, auditor, hypervisor = machine_with(over, user, files=files)
    hypervisor.undefine(uuid_of(1), False)
    for name in ("a", "b", "c"):
        delete(machine, hypervisor, name)
    assert auditor.violations == ["/pool/a was deleted and is in use", "/pool/b was deleted and is in use"]


def test_sees_deletion_of_somebody_elses_disk() -> None:
    """A file of no VM that the engine undefined."""
    machine, auditor, hypervisor = machine_with(files={"/pool/a": {}})
    delete(machine, hypervisor, "a")
    assert auditor.violations == ["/pool/a was deleted and belongs to no VM that was undefined"]


def test_sees_leaks_and_open_books() -> None:
    """Undefined, and then nothing."""
    over = {"name": "a", "declared": TEMPORARY, "state": "shutoff", "files": ["/pool/a"]}
    machine, auditor, hypervisor = machine_with(over)
    before = Machine(machine.state).state
    hypervisor.undefine(uuid_of(1), False)
    machine.store["intents"]["x"] = {"name": "a"}
    assert auditor.settle(before, machine.state) == [
        "/pool/a leaked",
        "a: 0 removals of 1 in the log, schedule None",
        "intent of a left",
    ]


def test_sees_a_lost_vm_and_a_lost_disk() -> None:
    """Whoever did it."""
    machine, auditor, _hypervisor = machine_with(
        {"name": "a", "files": ["/pool/a"], "state": "shutoff"}, {"name": "b", "files": ["/pool/b"]}
    )
    before = Machine(machine.state).state
    act(machine, {"do": "undefine", "vm": "a"})
    act(machine, {"do": "delete_file", "path": "/pool/b"})
    assert auditor.settle(before, machine.state) == ["a is gone", "/pool/b of b is lost"]


def test_own_files() -> None:
    """A VM's own are only plain volumes that nothing else reaches."""
    files = {
        "/pool/base": {},
        "/pool/own": {"backing": "/pool/base"},
        "/pool/hard": {},
        "/x": {"hard_link_of": "/pool/hard"},
    }
    uses: list[Any] = ["/pool/own", "/pool/base", "/pool/hard", "/elsewhere/a", {"path": "/pool/cd", "role": "cdrom"}]
    machine, _auditor, _hypervisor = machine_with({"name": "a", "files": uses}, files=files)
    assert list(own_files(machine.state, machine.state["domains"][0])) == ["/pool/own"]
