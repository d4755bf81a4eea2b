"""Every finding of doctor, each shown by a host that differs from a healthy one in that alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Tuple

import pytest
from vm_lifecycle.agent import text
from vm_lifecycle.boots import StartRecord
from vm_lifecycle.errors import Problem
from vm_lifecycle.examination import BOOT, GUESTS, HOST, PACEMAKER, SUPERVISOR, Examination, Unit
from vm_lifecycle.findings import FINDINGS, SEVERITIES
from vm_lifecycle.limits import Controllers
from vm_lifecycle.model import Domain
from vm_lifecycle.policy.doctor import Finding, Habits, Seen, examine, guests_acts, habits
from vm_lifecycle.restarts import RestartRecord

GUESTS_COMMANDS = "{ path=/usr/lib/libvirt/libvirt-guests.sh ; argv[]=/usr/lib/libvirt/libvirt-guests.sh stop }"
UNITS = {
    BOOT: Unit(BOOT, "active", True),
    HOST: Unit(HOST, "active", True, 300.0),
    SUPERVISOR: Unit(SUPERVISOR, "active", True, 15.0),
    GUESTS: Unit(GUESTS, "active", True, commands="{ path=/bin/true }"),
    "libvirtd.service": Unit("libvirtd.service", "active", True),
}
HEALTHY = Examination(UNITS)
DB = Domain("u1", "db1", "running")
LEGACY = Domain("u2", "legacy", "running")
SEEN = Seen(managed=(DB,), habits={"u1": Habits()}, features=frozenset({"boot", "supervisor"}), worst_case=250.0)
FAILED = StartRecord("u1", "db1", "b", "failed", "ssh_silent", "no SSH banner")
GIVEN_UP = RestartRecord("u1", "db1", "gave_up", 7, 5, message="its process died")


def with_unit(name: str, **changes: Any) -> Examination:
    """A host one of whose units is otherwise."""
    return replace(HEALTHY, units={**UNITS, name: replace(UNITS.get(name, Unit(name)), **changes)})


def without(name: str) -> Examination:
    """A host that lacks a unit."""
    return replace(HEALTHY, units={other: unit for other, unit in UNITS.items() if other != name})


def ordered(code: str) -> Seen:
    """A host whose order has a problem."""
    return replace(SEEN, order=(Problem(code, "words", "db1", "depends_on"),))


CASES: Dict[str, Tuple[Examination, Seen, str]] = {
    "invalid_configuration": (
        HEALTHY, replace(SEEN, configuration=(Problem("invalid_configuration", "/etc/vm-lifecycle/boot.json.x: no"),)),
        "/etc/vm-lifecycle/boot.json.x",
    ),
    "store_unusable": (HEALTHY, replace(SEEN, store_problem="disk I/O error"), "/var/lib/vm-lifecycle"),
    "unknown_dependency": (HEALTHY, ordered("unknown_dependency"), "db1"),
    "cyclic_dependency": (HEALTHY, ordered("cyclic_dependency"), "db1"),
    "dependency_order": (HEALTHY, ordered("dependency_order"), "db1"),
    "never_started": (HEALTHY, ordered("never_started"), "db1"),
    "start_failed": (HEALTHY, replace(SEEN, starts={"u1": FAILED}), "db1"),
    "restart_given_up": (HEALTHY, replace(SEEN, restarts={"u1": GIVEN_UP}, managed=(replace(DB, power_state="shutoff"),)), "db1"),
    "unit_failed": (with_unit(SUPERVISOR, state="failed"), SEEN, SUPERVISOR),
    "host_unit_inactive": (with_unit(HOST, state="inactive"), SEEN, HOST),
    "unit_inactive": (with_unit(SUPERVISOR, state="inactive"), SEEN, SUPERVISOR),
    "removal_given_up": (HEALTHY, replace(SEEN, given_up=(("ci-1", "5 attempts"),)), "ci-1"),
    "other_manager_libvirt_guests": (with_unit(GUESTS, commands=GUESTS_COMMANDS), SEEN, GUESTS),
    "libvirt_auto_shutdown": (
        replace(HEALTHY, auto_shutdown={"auto_shutdown_poweroff": "all", "auto_shutdown_wait": "60"}), SEEN,
        "/etc/libvirt/qemu.conf",
    ),
    "pacemaker": (with_unit(PACEMAKER, enabled=True), SEEN, PACEMAKER),
    "autostart_flag": (HEALTHY, replace(SEEN, managed=(replace(DB, autostart=True),)), "db1"),
    "unmanaged_running": (HEALTHY, replace(SEEN, strangers=(LEGACY,)), "legacy"),
    "stop_budget_short": (HEALTHY, replace(SEEN, worst_case=301.0), HOST),
    "boot_unit_without_supervisor": (HEALTHY, replace(SEEN, features=frozenset({"boot"})), BOOT),
    "daemon_not_enabled": (with_unit("libvirtd.service", enabled=False), SEEN, "libvirt"),
    "on_crash_restart": (HEALTHY, replace(SEEN, habits={"u1": Habits(on_crash="restart")}), "db1"),
    "on_poweroff_restart": (HEALTHY, replace(SEEN, habits={"u1": Habits(on_poweroff="restart")}), "db1"),
    "limit_keeps_down": (
        HEALTHY, replace(SEEN, habits={"u1": Habits(limits=frozenset({"cpu"}))}, controllers=Controllers(cpu="no cpu")), "db1"
    ),
    "limits_not_applicable": (
        HEALTHY, replace(SEEN, limited={"cpu": ("db1",)}, controllers=Controllers(cpu="no cpu")), "cpu limits"
    ),
    "metadata_problem": (HEALTHY, replace(SEEN, distrusted=(("db2", "metadata_reverted", "older"),)), "db2"),
    "insane_clock": (HEALTHY, replace(SEEN, clock_problem="it jumped"), "this host"),
    "store_damage": (HEALTHY, replace(SEEN, damage=("undo/u.json can't be understood",)), "/var/lib/vm-lifecycle"),
    "not_examined": (replace(HEALTHY, problems=("qemu.conf: Permission denied",)), SEEN, "this host"),
    "disk_errors_unseen": (
        HEALTHY, replace(SEEN, habits={"u1": Habits(silent_disks=("vda",))}, disk_full=frozenset({"u1"})), "db1"
    ),
    "no_panic_device": (HEALTHY, replace(SEEN, habits={"u1": Habits(panic_device=False)}), "db1"),
}  # fmt: skip


def codes(facts: Examination, seen: Seen) -> List[str]:
    """What is found."""
    return [finding.code for finding in examine(facts, seen)]


def test_a_healthy_host_has_no_findings() -> None:
    """A doctor that always finds something is not listened to."""
    assert examine(HEALTHY, SEEN) == []
    assert examine(Examination(), Seen()) == []


@pytest.mark.parametrize("code", FINDINGS)
def test_each_finding(code: str) -> None:
    """It is found, nothing else is, and it says of what."""
    facts, seen, subject = CASES[code]
    found = examine(facts, seen)
    assert [(finding.code, finding.subject) for finding in found] == [(code, subject)]
    assert found[0].message and found[0].remedy == FINDINGS[code].remedy


def test_every_finding_is_shown() -> None:
    """No case is left over, and texts say what to do."""
    assert set(CASES) == set(FINDINGS)
    assert all(ailment.severity in SEVERITIES and ailment.meaning and ailment.remedy for ailment in FINDINGS.values())


NO_BOOT = replace(SEEN, features=frozenset({"cleanup"}))


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        # Without our units, whoever starts and stops VMs does it rightly.
        (with_unit(GUESTS, commands=GUESTS_COMMANDS), NO_BOOT),
        (replace(HEALTHY, auto_shutdown={"auto_shutdown_poweroff": "all"}), NO_BOOT),
        (HEALTHY, replace(NO_BOOT, managed=(replace(DB, autostart=True),))),
        (HEALTHY, replace(NO_BOOT, strangers=(LEGACY,))),
        (with_unit(HOST, state="inactive"), NO_BOOT),
        # Settings that stop nothing, units that do nothing, and VMs that do not run.
        (replace(HEALTHY, auto_shutdown={"auto_shutdown_try_save": "none", "auto_shutdown_restore": "1"}), SEEN),
        (with_unit(GUESTS, state="inactive", enabled=False, commands=GUESTS_COMMANDS), SEEN),
        (with_unit(PACEMAKER, state="inactive"), SEEN),
        (HEALTHY, replace(SEEN, strangers=(replace(LEGACY, power_state="shutoff"),))),
        (HEALTHY, replace(SEEN, starts={"u1": replace(FAILED, outcome="ready"), "gone": FAILED})),
        (HEALTHY, replace(SEEN, worst_case=300.0)),
        (with_unit(SUPERVISOR, state="activating"), SEEN),
        (with_unit(SUPERVISOR, state="inactive", enabled=False), SEEN),
        (with_unit("vm-lifecycle-cleanup.service", state="inactive", enabled=True), SEEN),
        (HEALTHY, replace(NO_BOOT, held=(DB,))),
        (HEALTHY, replace(SEEN, held=(replace(DB, power_state="shutoff"),))),
        (HEALTHY, replace(SEEN, habits={})),
        # Limits that nobody has or wants, or that the host can apply.
        (HEALTHY, replace(SEEN, controllers=Controllers("no memory", "no cpu", 0.0))),
        (HEALTHY, replace(SEEN, limited={"cpu": ("db1",), "memory": ("db1",)}, controllers=Controllers())),
        (
            HEALTHY,
            replace(
                SEEN,
                habits={"u1": Habits(limits=frozenset({"memory"}), memory_kib=4096)},
                controllers=Controllers(lockable_kib=8192.0),
            ),
        ),
    ],
)
def test_what_is_well_is_not_found(facts: Examination, seen: Seen) -> None:
    """Near misses."""
    assert codes(facts, seen) == []


def test_a_configuration_without_a_place() -> None:
    """Is said of the directory."""
    found = examine(HEALTHY, replace(SEEN, configuration=(Problem("invalid_configuration", "words: more"),)))
    assert [(finding.subject, finding.message) for finding in found] == [("/etc/vm-lifecycle", "words: more")]


def test_an_unmanaged_vm_is_safe_with_libvirt_guests() -> None:
    """It shuts down whoever runs."""
    facts = with_unit(GUESTS, commands=GUESTS_COMMANDS)
    assert codes(facts, replace(SEEN, strangers=(LEGACY,))) == ["other_manager_libvirt_guests"]
    assert guests_acts(facts) and not guests_acts(HEALTHY) and not guests_acts(Examination())


def test_a_host_without_systemd() -> None:
    """Nothing is said of units of which nothing is known."""
    facts = Examination(problems=("systemd does not answer",))
    assert codes(facts, replace(SEEN, strangers=(LEGACY,), worst_case=9000.0)) == ["not_examined"]


def test_a_boot_that_failed_because_of_its_vms() -> None:
    """Is told by them, and not a second time."""
    facts = with_unit(BOOT, state="failed")
    assert codes(facts, replace(SEEN, starts={"u1": FAILED})) == ["start_failed"]
    assert codes(facts, SEEN) == ["unit_failed"]


def test_a_host_unit_that_is_missing() -> None:
    """Nobody stops VMs in order."""
    assert [finding.message for finding in examine(without(HOST), SEEN)] == [
        f"it is not there, while {BOOT} is enabled"
    ]


def test_the_worst_comes_first() -> None:
    """Then the order of the table, then names."""
    seen = replace(
        SEEN, habits={"u1": Habits(on_crash="restart", panic_device=False)}, starts={"u1": FAILED}, worst_case=400.0
    )
    assert codes(HEALTHY, seen) == ["start_failed", "stop_budget_short", "on_crash_restart", "no_panic_device"]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", Habits(panic_device=False)),
        ("<devices><panic model='isa'/></devices>", Habits()),
        ("<on_crash>restart</on_crash><devices><panic/></devices>", Habits(on_crash="restart")),
        ("<on_poweroff>restart</on_poweroff><on_crash>preserve</on_crash>", Habits("preserve", "restart", False)),
    ],
)
def test_habits(inside: str, expected: Habits) -> None:
    """As a definition has them; what it leaves out is libvirt's default."""
    assert habits(f"<domain type='kvm'><name>a</name>{inside}</domain>") == expected


@pytest.mark.parametrize(
    ("inside", "limits", "memory"),
    [
        ("<memtune><hard_limit unit='KiB'>4096</hard_limit></memtune>", ["memory"], 4096),
        ("<memtune><soft_limit unit='KiB'>4096</soft_limit></memtune>", ["memory"], 0),
        ("<cputune><global_period>100000</global_period></cputune>", ["cpu"], 0),
        ("<cputune><shares>10</shares></cputune><memtune><hard_limit>1</hard_limit></memtune>", ["cpu", "memory"], 1),
        ("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>", [], 0),
    ],
)
def test_limits_of_a_definition(inside: str, limits: List[str], memory: int) -> None:
    """Those that take a control group at each start."""
    found = habits(f"<domain type='kvm'><name>a</name>{inside}</domain>")
    assert (sorted(found.limits), found.memory_kib) == (limits, memory)


def test_memory_that_may_not_be_locked() -> None:
    """A limit in a definition keeps that VM down; without it the host is told of once."""
    little = Controllers(lockable_kib=8192.0)
    limited = replace(SEEN, habits={"u1": Habits(limits=frozenset({"memory"}), memory_kib=16384)}, controllers=little)
    assert codes(HEALTHY, limited) == ["limit_keeps_down"]
    assert codes(HEALTHY, replace(SEEN, limited={"memory": ("db1",)}, controllers=little)) == ["limits_not_applicable"]


def result(*findings: Finding) -> Dict[str, Any]:
    """A result of the task."""
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    return {"findings": [vars(finding) for finding in findings], "counts": counts}


def test_findings_as_text() -> None:
    """A kind has its remedy once; notes of a kind share a line; names act nowhere."""
    error = Finding("start_failed", "error", "db\x1b[31m", "no SSH banner (ssh_silent)", "See to it.")
    notes = [Finding("no_panic_device", "info", f"vm{number}", "no <panic>", "Add one.") for number in range(12)]
    assert text.doctor(result(error, replace(error, subject="web1"), *notes)).split("\n") == [
        "error: db\\x1b[31m: no SSH banner (ssh_silent) [start_failed]",
        "error: web1: no SSH banner (ssh_silent) [start_failed]",
        "  See to it.",
        "info: vm0, vm1, vm2, vm3, vm4, vm5, vm6, vm7, vm8, vm9 and 2 more: no <panic> [no_panic_device]",
        "  Add one.",
        "2 errors, 0 warnings, 12 notes",
    ]
    assert text.doctor(result()) == "nothing is in the way of boots and shutdowns of this host"
    assert text.doctor(result(notes[0])).split("\n")[-1].startswith("nothing is in the way")
