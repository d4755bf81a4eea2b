# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the way of a host's boots and shutdowns, and who else may start, stop or lose its VMs."""

from __future__ import annotations

import math
from dataclasses import field
from typing import FrozenSet, Iterator, List, Mapping, Sequence, Tuple
from xml.etree import ElementTree

from ..boots import StartRecord
from ..errors import Problem
from ..examination import BOOT, DAEMONS, GUESTS, HOST, OWN, PACEMAKER, STEADY, Examination
from ..findings import FINDINGS, SEVERITIES
from ..frozen import dataclass
from ..limits import CPU, KINDS, MEMORY, Controllers
from ..model import Domain
from ..restarts import RestartRecord
from .habits import RESTARTING

#: Values of libvirt's auto_shutdown_* by which it stops nothing.
IDLE = ("none", "0", "")
#: Those that only say how, not whether.
MANNERS = ("auto_shutdown_wait", "auto_shutdown_restore", "auto_save_bypass_cache")
#: error_policy of a disk by which a guest that was refused space goes on.
SILENT = ("report", "ignore")
#: Limit -> elements of a definition that need its control group at each start.
LIMITING = {
    MEMORY: ("memtune/hard_limit", "memtune/soft_limit", "memtune/swap_hard_limit"),
    CPU: tuple(f"cputune/{name}" for name in ("shares", "quota", "period", "global_quota", "global_period",
                                              "emulator_quota", "emulator_period")),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """code: of FINDINGS. subject: name of a VM, a unit or a file. message: what was seen, in words."""

    code: str
    severity: str
    subject: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Habits:
    """What a domain's definition tells libvirt to do by itself."""

    on_crash: str = "destroy"
    on_poweroff: str = "destroy"
    panic_device: bool = True
    #: Limits that it has, whoever set them, and KiB of the one of memory.
    limits: FrozenSet[str] = frozenset()
    memory_kib: int = 0
    #: Targets of disks whose errors go to the guest, so that QEMU does not stop it for want of space.
    silent_disks: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What was observed of a host besides its own settings."""

    #: VMs whose declaration may be acted on, and what their definitions say, by UUID.
    managed: Tuple[Domain, ...] = ()
    habits: Mapping[str, Habits] = field(default_factory=dict)
    #: VMs that were never declared.
    strangers: Tuple[Domain, ...] = ()
    #: Managed VMs that are held from everything.
    held: Tuple[Domain, ...] = ()
    #: (VM, what was tried and why it failed) of those whose removal was given up.
    given_up: Tuple[Tuple[str, str], ...] = ()
    #: (VM, code, what is wrong) of declarations that can't be relied on.
    distrusted: Tuple[Tuple[str, str, str], ...] = ()
    order: Tuple[Problem, ...] = ()
    starts: Mapping[str, StartRecord] = field(default_factory=dict)
    restarts: Mapping[str, RestartRecord] = field(default_factory=dict)
    features: FrozenSet[str] = frozenset()
    #: Seconds that a shutdown of all that runs may take.
    worst_case: float = 0.0
    clock_problem: str = ""
    damage: Tuple[str, ...] = ()
    store_problem: str = ""
    configuration: Tuple[Problem, ...] = ()
    controllers: Controllers = field(default_factory=Controllers)
    #: Limit -> VMs whose policy asks for it.
    limited: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)
    #: UUIDs of VMs whose policy says what happens when their disks are full.
    disk_full: FrozenSet[str] = frozenset()


def habits(xml: str) -> Habits:
    """What an inactive definition says. Raises ElementTree.ParseError."""
    root = ElementTree.fromstring(xml)
    return Habits(
        root.findtext("on_crash", "destroy"),
        root.findtext("on_poweroff", "destroy"),
        root.find("devices/panic") is not None,
        frozenset(kind for kind, paths in LIMITING.items() if any(root.findtext(path, "0") != "0" for path in paths)),
        int(root.findtext("memtune/hard_limit", "0")),
        tuple(
            target.get("dev", "")
            for disk in root.findall("devices/disk")
            for driver in disk.findall("driver")
            if driver.get("error_policy") in SILENT
            for target in disk.findall("target")
        ),
    )


def examine(facts: Examination, seen: Seen) -> List[Finding]:
    """All findings, the worst first; [] for a host that is well."""
    found = [
        *(("invalid_configuration", *_placed(problem.message)) for problem in seen.configuration),
        *([("store_unusable", "/var/lib/vm-lifecycle", seen.store_problem)] if seen.store_problem else []),
        *((problem.code, problem.vm, problem.message) for problem in seen.order),
        *_starts(seen),
        *_units(facts, seen),
        *(_managers(facts) if "boot" in seen.features else ()),
        *_others(facts, seen),
        *_definitions(seen),
        *(("removal_given_up", name, said) for name, said in seen.given_up),
        *_limits(seen),
        *(("metadata_problem", name, f"{detail} ({code})") for name, code, detail in seen.distrusted),
        *([("insane_clock", "this host", seen.clock_problem)] if seen.clock_problem else []),
        *(("store_damage", "/var/lib/vm-lifecycle", said) for said in seen.damage),
        *(("not_examined", "this host", said) for said in facts.problems),
    ]
    findings = [
        Finding(code, FINDINGS[code].severity, subject, said, FINDINGS[code].remedy) for code, subject, said in found
    ]
    return sorted(
        findings,
        key=lambda finding: (SEVERITIES.index(finding.severity), list(FINDINGS).index(finding.code), finding.subject),
    )


def _placed(message: str) -> Tuple[str, str]:
    """The file that a message about a configuration begins with, and the rest of it."""
    place, _colon, said = message.partition(": ")
    return (place, said) if said and place.startswith("/") else ("/etc/vm-lifecycle", message)


#: (code, subject, message)
Raw = Tuple[str, str, str]


def _starts(seen: Seen) -> Iterator[Raw]:
    """Starts that failed, and restarts that were given up, of VMs that the host still has."""
    for domain in seen.managed:
        start = seen.starts.get(domain.uuid)
        if start is not None and start.outcome != "ready":
            yield "start_failed", domain.name, f"{start.message} ({start.reason})"
        restart = seen.restarts.get(domain.uuid)
        if restart is not None and restart.phase == "gave_up" and not domain.active:
            tries = f"after {restart.in_row} starts in a row" if restart.in_row else "before the host booted"
            yield "restart_given_up", domain.name, f"given up {tries}: {restart.message}"


def _units(facts: Examination, seen: Seen) -> Iterator[Raw]:
    """Units of this software, and of libvirt. A boot that failed because of VMs is told by those."""
    told = (BOOT,) if any(code == "start_failed" for code, _name, _said in _starts(seen)) else ()
    for name in OWN:
        unit = facts.units.get(name)
        if unit is not None and unit.state == "failed" and name not in told:
            yield "unit_failed", name, "it has failed"
        elif unit is not None and name in STEADY and unit.enabled and unit.state == "inactive":
            yield "unit_inactive", name, "it is enabled, and not active"
    if "boot" not in seen.features or not facts.units:
        return
    host = facts.units.get(HOST)
    if host is None or host.state not in ("active", "activating"):
        yield "host_unit_inactive", HOST, f"it is {host.state if host else 'not there'}, while {BOOT} is enabled"
    elif host.stop_seconds < seen.worst_case:
        said = f"its TimeoutStopSec is {host.stop_seconds:.0f} s, and the VMs that run may take {seen.worst_case:.0f} s"
        yield "stop_budget_short", HOST, said
    if "supervisor" not in seen.features:
        yield "boot_unit_without_supervisor", BOOT, "it is enabled without vm-lifecycle-supervisor.service"
    daemons = [facts.units[name] for name in DAEMONS if name in facts.units]
    if daemons and not any(unit.enabled for unit in daemons):
        yield "daemon_not_enabled", "libvirt", f"none of {', '.join(unit.name for unit in daemons)} is enabled"


def guests_acts(facts: Examination) -> bool:
    """Whether libvirt-guests starts or stops VMs: it is on, and no drop-in has taken its commands away."""
    unit = facts.units.get(GUESTS)
    return unit is not None and (unit.enabled or unit.state == "active") and "libvirt-guests" in unit.commands


def _managers(facts: Examination) -> Iterator[Raw]:
    """Others that act when the host boots and goes down."""
    if guests_acts(facts):
        unit = facts.units[GUESTS]
        state = " and ".join(
            word for word, true in (("enabled", unit.enabled), (unit.state, unit.state == "active")) if true
        )
        yield "other_manager_libvirt_guests", GUESTS, f"it is {state}, and stops VMs when the host goes down"
    acting = [
        f"{name} = {value}"
        for name, value in sorted(facts.auto_shutdown.items())
        if name not in MANNERS and value not in IDLE
    ]
    if acting:
        yield "libvirt_auto_shutdown", "/etc/libvirt/qemu.conf", ", ".join(acting)


def _others(facts: Examination, seen: Seen) -> Iterator[Raw]:
    """Who else has VMs of this host, and VMs that nobody has."""
    cluster = facts.units.get(PACEMAKER)
    if cluster is not None and (cluster.enabled or cluster.state == "active"):
        yield "pacemaker", PACEMAKER, f"it is {'enabled' if cluster.enabled else cluster.state}"
    if "boot" not in seen.features:
        return
    for domain in seen.managed:
        if domain.autostart:
            yield "autostart_flag", domain.name, "its autostart flag is on"
    if facts.units and not guests_acts(facts):
        for domain in (*seen.strangers, *seen.held):
            if domain.active:
                why = "is held from everything" if domain in seen.held else "was not declared"
                said = f"it runs and {why}, so nobody shuts it down when the host goes down"
                yield "unmanaged_running", domain.name, said


def _definitions(seen: Seen) -> Iterator[Raw]:
    """What libvirt does with a VM by itself, or can't see."""
    for domain in seen.managed:
        own = seen.habits.get(domain.uuid)
        if own is None:
            continue
        if own.on_crash in RESTARTING:
            yield "on_crash_restart", domain.name, f"its on_crash is {own.on_crash}"
        if own.on_poweroff in RESTARTING:
            yield "on_poweroff_restart", domain.name, f"its on_poweroff is {own.on_poweroff}"
        if not own.panic_device:
            yield "no_panic_device", domain.name, "its definition has no <panic> device"
        if own.silent_disks and domain.uuid in seen.disk_full:
            yield (
                "disk_errors_unseen",
                domain.name,
                f"the error_policy of {_some(own.silent_disks)} gives errors to the guest",
            )


def _limits(seen: Seen) -> Iterator[Raw]:
    """Limits that this host can't apply: those that keep VMs from starting, and those that are not set for that reason."""
    host = seen.controllers
    for domain in seen.managed:
        own = seen.habits.get(domain.uuid, Habits())
        problems = [host.problem(kind) for kind in KINDS if kind in own.limits and host.problem(kind)]
        if MEMORY in own.limits and not host.memory and host.lockable_kib < own.memory_kib:
            problems.append("libvirt may not let a process lock as much memory as its limit is")
        if problems:
            yield "limit_keeps_down", domain.name, "; ".join(problems)
    for kind in KINDS:
        names = seen.limited.get(kind, ())
        if names and host.problem(kind):
            yield "limits_not_applicable", f"{kind} limits", f"{host.problem(kind)}; {_some(names)} ask for it"
    if seen.limited.get(MEMORY) and not host.memory and host.lockable_kib != math.inf:
        said = "libvirt may not raise how much memory a process may lock, so no definition gets a memory limit"
        yield "limits_not_applicable", "memory limits", said


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
