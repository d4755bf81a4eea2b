"""What a boot deletes is named by no person: what others lost and what was given up counts for it."""

from __future__ import annotations

from typing import Any

from tests.fakes.build import build, uuid_of
from tests.fakes.world import Machine

from .player import call, interrupted

DECLARED = {"mode": "temporary", "ttl_hours": 4, "created": 1, "policy": {"on_host_reboot": "destroy"}}
AT_BOOT: dict[str, Any] = {
    "task": "vm_cleanup",
    "arguments": {"vms": [{"uuid": uuid_of(1)}], "ignore": ["expiry", "window"], "at_boot": True, "missing": "skip"},
}


def host(path: str, **more: Any) -> Machine:
    """A host that booted, with one VM that is to be deleted then."""
    return Machine(
        build({"domains": [{"name": "ci", "state": "shutoff", "declared": DECLARED, "files": [path]}], **more})
    )


def reason(machine: Machine) -> str:
    """What becomes of the VM at this boot; what an earlier one left is told before it."""
    return str(call(machine, AT_BOOT)["vms"][-1]["reason"])


def test_a_pool_that_is_missing_at_boot() -> None:
    """Its VM waits: deleted now, the disk would be nobody's."""
    known = {"pools": {"default": 0, "fast": 0}}
    machine = host("/fast/ci.qcow2", files={"/fast/ci.qcow2": {}}, store=known)
    assert reason(machine) == "pools_lost"
    assert machine.find(uuid_of(1)) is not None


def test_a_deletion_that_takes_the_host_down() -> None:
    """It ends after max_cleanup_attempts, until a person names the VM."""
    machine = host("/pool/ci.qcow2")
    for attempt in range(1, 6):
        interrupted(machine, AT_BOOT, 3, "power")
        assert machine.store["schedules"][uuid_of(1)]["cleanup_attempts"] == attempt
    assert reason(machine) == "gave_up"
    assert machine.find(uuid_of(1)) is not None
    by_hand = {"task": "vm_cleanup", "arguments": {"name": "ci", "ignore": ["expiry", "window"]}}
    assert call(machine, by_hand)["vms"][-1]["decision"] == "removed"


def test_a_deletion_that_failed_a_moment_ago() -> None:
    """It backs off as any other."""
    machine = host("/pool/ci.qcow2")
    machine.state["refuse"]["undefine"] = "busy"
    call(machine, AT_BOOT)
    del machine.state["refuse"]["undefine"]
    assert reason(machine) == "backing_off"
