"""doctor on whole hosts: it sees what boots and shutdowns of the same host act on, and changes nothing."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from vm_lifecycle.agent import text
from vm_lifecycle.errors import LifecycleError
from vm_lifecycle.findings import FINDINGS
from vm_lifecycle.run import run
from vm_lifecycle.tasks import boot, cleanup, doctor

from tests.fakes.build import build
from tests.fakes.world import Machine, ports

UNITS = {
    "vm-lifecycle-host.service": {"state": "active", "enabled": True, "stop_seconds": 200.0},
    "vm-lifecycle-boot.service": {"state": "active", "enabled": True},
    "libvirtd.service": {"state": "active", "enabled": True},
}


def vm(name: str, order: int | None = None, **more: Any) -> dict[str, Any]:
    """A permanent VM that starts at boot and has a panic device."""
    declared = {"auto_start": True, **more.pop("declared", {})}
    if order is not None:
        declared["autostart"] = {"vm_name": name, "start_order": order, **more.pop("place", {})}
    return {"name": name, "state": "shutoff", "habits": "<devices><panic/></devices>", "declared": declared, **more}


def host(*domains: dict[str, Any], **more: Any) -> Machine:
    """A host with all features and these VMs."""
    whole = {"features": ["boot", "supervisor"], "examination": {"units": UNITS}, "domains": list(domains), **more}
    return Machine(build(whole))


def found(machine: Machine) -> list[tuple[str, str]]:
    """(code, subject) of the findings."""
    before, effects = copy.deepcopy(machine.state), len(machine.effects)
    result = run(doctor.TASK, {}, ports(machine))
    assert machine.state == before and len(machine.effects) == effects
    assert result["failed"] is any(finding["severity"] != "info" for finding in result["findings"])
    json.dumps(result)
    assert text.doctor(result)
    return [(finding["code"], finding["subject"]) for finding in result["findings"]]


def test_a_healthy_host() -> None:
    """Nothing is found."""
    assert found(host(vm("db1", 10), vm("web1", 20, place={"depends_on": ["db1"]}))) == []


def test_a_start_that_failed_is_found_until_it_went_well() -> None:
    """The lasting warning of status is a finding, too."""
    machine = host(vm("db1", 10, place={"ssh_timeout_seconds": 5, "on_start_failure": "stop"}, ssh_after=None))
    world = ports(machine)
    run(boot.TASK, {}, world)
    boot.finish(world)
    assert found(machine) == [("start_failed", "db1")]
    machine.named("db1")["ssh_after"] = 1.0
    run(boot.TASK, {"again": True}, world)
    assert found(machine) == []


def test_a_rename_breaks_an_order() -> None:
    """As boots see it."""
    machine = host(vm("db1", 10), vm("web1", 20, place={"depends_on": ["db1"]}))
    machine.named("db1")["name"] = "db2"
    assert found(machine) == [("unknown_dependency", "web1")]


def test_definitions_and_flags() -> None:
    """What libvirt would do by itself."""
    crashing = vm("a", habits="<on_crash>restart</on_crash><on_poweroff>restart</on_poweroff>", autostart=True)
    expected = ["autostart_flag", "on_crash_restart", "on_poweroff_restart", "no_panic_device"]
    assert [code for code, _subject in found(host(crashing))] == expected


def test_disks_whose_errors_nobody_sees() -> None:
    """That matters where something is to happen when they are full."""
    disks = "".join(
        f"<devices><disk><driver error_policy='{policy}'/><target dev='{target}'/></disk></devices>"
        for target, policy in (("vda", "stop"), ("vdb", "report"))
    )
    for value, expected in (("none", []), ("suspend", ["disk_errors_unseen"])):
        machine = host(vm("a", habits=disks, declared={"policy": {"on_disk_full": value}}, panic=True))
        assert [code for code, _subject in found(machine)] == expected


def test_vms_that_nobody_shuts_down() -> None:
    """Those that run."""
    assert found(host({"name": "legacy"}, {"name": "off", "state": "shutoff"})) == [("unmanaged_running", "legacy")]


def test_a_vm_that_is_held_from_everything() -> None:
    """Shutdowns leave it alone, as they do with one that was not declared; libvirt-guests would have it."""
    held, kept = (vm(name, state="running", declared={"hold": name}) for name in ("everything", "deletion"))
    machine = host(held, kept)
    machine.state["examination"]["units"]["vm-lifecycle-host.service"]["stop_seconds"] = 1000.0
    assert found(machine) == [("unmanaged_running", "everything")]


def test_a_removal_that_was_given_up() -> None:
    """Until somebody has it tried by name, and it goes well."""
    machine = host(
        {"name": "ci-1", "state": "shutoff", "files": ["/pool/ci-1"], "habits": "<devices><panic/></devices>",
         "declared": {"mode": "temporary", "ttl_hours": 4}},
        configuration={"cleanup": {"max_cleanup_attempts": 1}}, refuse={"undefine": "no"},
    )  # fmt: skip
    run(cleanup.TASK, {}, ports(machine))
    assert found(machine) == [("removal_given_up", "ci-1")]
    machine.state["refuse"] = {}
    run(cleanup.TASK, {"name": "ci-1"}, ports(machine))
    assert found(machine) == []


def test_too_little_time() -> None:
    """By what runs and by what was declared for it."""
    running = [vm(name, order, state="running") for order, name in enumerate(("a", "b"))]
    assert found(host(*running)) == [("stop_budget_short", "vm-lifecycle-host.service")]
    assert found(host(running[0])) == []


def test_configuration_clock_state_and_metadata() -> None:
    """Each is a finding, and stops no other from being found."""
    machine = host(
        vm("a", recorded=False),
        vm("b", metadata_error="libvirt says no"),
        configuration={
            "boot": {"max_concurrent_starts": 0},
            "cleanup": {"retention_days": -1},
            "snapshots": {"interval_minutes": 0},
        },
    )
    machine.store["clock"] = {"high_water": 1e10, "boottime": 1.0, "boot_id": "old", "suspect_since": None}
    machine.clock["synchronised"] = False
    machine.store["intents"]["x"] = {"damaged": True}
    assert [code for code, _subject in found(machine)] == [
        "invalid_configuration", "invalid_configuration", "invalid_configuration", "metadata_problem", "insane_clock",
        "store_damage",
    ]  # fmt: skip


def test_a_store_that_can_not_be_read() -> None:
    """Is found, and what does not need it is found as well."""
    machine = host(vm("a", autostart=True))
    machine.store["problem"] = "disk I/O error"
    assert found(machine) == [("store_unusable", "/var/lib/vm-lifecycle"), ("autostart_flag", "a")]


def test_every_finding_with_a_remedy_names_a_way() -> None:
    """Short sentences that end."""
    assert [code for code, ailment in FINDINGS.items() if not ailment.meaning.endswith(".")] == []


def test_a_host_that_can_not_be_read_is_refused() -> None:
    """As by any other verb."""
    machine = host(vm("a"))
    machine.state["refuse"]["domains"] = "libvirt says no"
    with pytest.raises(LifecycleError):
        run(doctor.TASK, {}, ports(machine))
