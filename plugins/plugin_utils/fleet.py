# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as it was collected: hosts, their VMs, and what was done to them. Pure.

An answer comes from a host, and what it says of VMs from whoever made them. A host whose answer is not of the expected shape becomes one
that needs a person; the others count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .vms import mode, moment, problems


@dataclass(frozen=True)
class Disk:
    """A disk of a VM, and what becomes of it: removed, kept, gone or waiting, with a code and its users."""

    label: str
    decision: str
    reason: str
    used_by: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Use:
    """What a VM uses: per cent of its processors, MiB, GiB, seconds."""

    cpu: float
    memory: int
    disk: int
    uptime: int


@dataclass(frozen=True)
class Vm:
    """A VM of a host. decision, reason, message: what a sweep would do now; "" where nobody asked."""

    name: str
    uuid: str
    power_state: str
    mode: str
    deadline: Optional[datetime] = None
    removed_from: Optional[datetime] = None
    hold: str = ""
    hold_reason: str = ""
    problems: Tuple[str, ...] = ()
    #: Code of each problem, or of its metadata's -> what was said about it.
    told: Mapping[str, str] = field(default_factory=dict)
    decision: str = ""
    reason: str = ""
    message: str = ""
    disks: Tuple[Disk, ...] = ()
    use: Optional[Use] = None
    addresses: Tuple[str, ...] = ()
    restarts: int = 0
    restart_state: str = ""
    unenforced: Tuple[str, ...] = ()
    #: What was done to it since its host is short of something; "" while that is not so.
    pressure: str = ""


@dataclass(frozen=True)
class Start:
    """How a VM's start went at the last boot, in seconds since that began. outcome: ready, failed, skipped or later."""

    name: str
    outcome: str
    turn: float
    begun: float
    started: float
    ended: float
    after: str = ""
    message: str = ""
    critical: bool = False


@dataclass(frozen=True)
class Boot:
    """The last boot in order."""

    began: datetime
    seconds: float
    over: bool
    starts: Tuple[Start, ...]


@dataclass(frozen=True)
class Operation:
    """What was done to a VM, or failed."""

    at: datetime
    name: str
    operation: str
    outcome: str
    message: str


@dataclass(frozen=True)
class Sweep:
    """The last sweep of the timer."""

    ended: datetime
    outcome: str
    message: str
    removed: int
    failed: int


@dataclass(frozen=True)
class Removed:
    """A VM that can be brought back."""

    name: str
    at: datetime
    until: datetime


@dataclass(frozen=True)
class PlanWaiting:
    """A plan that can be confirmed, with its VMs that nobody confirmed yet."""

    plan_id: str
    created: datetime
    vms: Tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """A host of the fleet. problem: unreachable or failed, with a message; both empty when its answer is whole.

    answered: whether there is something to tell of it at all. skew: seconds that its clock is ahead.
    """

    name: str
    problem: str = ""
    message: str = ""
    answered: bool = False
    asked: Optional[datetime] = None
    clock_problem: str = ""
    skew: float = 0.0
    features: Tuple[str, ...] = ()
    #: Minutes between two sweeps of its timer; 0: no sweep is to be expected.
    interval: int = 0
    vms: Tuple[Vm, ...] = ()
    sweep: Optional[Sweep] = None
    boot: Optional[Boot] = None
    operations: Tuple[Operation, ...] = ()
    undo: Tuple[Removed, ...] = ()
    plans: Tuple[PlanWaiting, ...] = ()
    interrupted: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()


def hosts(collected: Sequence[Mapping[str, Any]]) -> List[Host]:
    """The fleet, from the documents of plugin_utils.collected, in their order."""
    return [_host(kept) for kept in collected]


def _host(kept: Mapping[str, Any]) -> Host:
    said = kept["problem"] or {"kind": "", "message": ""}
    if kept["info"] is None:
        return Host(kept["host"], said["kind"], said["message"])
    try:
        return _answered(kept, said)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return Host(kept["host"], "failed", f"its answer can't be understood: {type(error).__name__}: {error}")


def _answered(kept: Mapping[str, Any], said: Mapping[str, str]) -> Host:
    info, asked = kept["info"], moment(kept["asked_at"])
    history = info.get("history") or {}
    there = moment(history.get("now"))
    cleanup = history.get("cleanup") or {}
    swept = "cleanup" in info["features"] and cleanup.get("cleanup_enabled")
    plan = {row["uuid"]: row for row in (kept["cleanup"] or {}).get("vms", [])}
    return Host(
        name=kept["host"],
        problem=said["kind"],
        message=said["message"],
        answered=True,
        asked=asked,
        clock_problem="" if info["clock"]["sane"] else str(info["clock"]["problem"]),
        skew=(there - asked).total_seconds() if there and asked else 0.0,
        features=tuple(map(str, info["features"])),
        interval=int(cleanup["check_interval_minutes"]) if swept else 0,
        vms=tuple(_vm(row, plan.get(row["uuid"], {})) for row in info["vms"]),
        sweep=_sweep(history.get("sweep")),
        boot=_boot(history.get("boot") or {}),
        operations=tuple(_operation(line) for line in history.get("operations", [])),
        undo=tuple(Removed(str(one["name"]), _at(one["removed_at"]), _at(one["undo_until"])) for one in info["undo"]),
        plans=tuple(_plan(one) for one in info["plans"]),
        interrupted=tuple(map(str, info["interrupted"])),
        warnings=tuple(map(str, history.get("warnings", []))),
    )


def _at(text: Any) -> datetime:
    """A time that must be there."""
    found = moment(text)
    if found is None:
        raise ValueError("a time is missing")
    return found


def _vm(row: Mapping[str, Any], planned: Mapping[str, Any]) -> Vm:
    hold, restart, snapshot = row["hold"] or {}, row["restart"] or {}, row.get("snapshot") or {}
    return Vm(
        name=str(row["name"]),
        uuid=str(row["uuid"]),
        power_state=str(row["power_state"]),
        mode=mode(row),
        deadline=moment(row["scheduled_cleanup_at"]),
        removed_from=moment(row["effective_cleanup_at"]),
        hold=str(hold.get("hold") or ("deletion" if hold else "")),
        hold_reason=str(hold.get("reason") or ""),
        problems=tuple(problems(row)),
        told=_told(row),
        decision=str(planned.get("decision") or ""),
        reason=str(planned.get("reason") or ""),
        message=str(planned.get("message") or ""),
        disks=tuple(_disk(disk) for disk in planned.get("volumes") or []),
        use=_use(snapshot) if snapshot else None,
        addresses=tuple(map(str, snapshot.get("ip_addresses") or [])),
        restarts=int(restart.get("restart_count") or 0),
        restart_state=str(restart.get("state") or ""),
        unenforced=tuple(str(one["field"]) for one in row["unenforced"]),
        pressure=str((row["pressure"] or {}).get("message") or ""),
    )


def _told(row: Mapping[str, Any]) -> Dict[str, str]:
    """What was said about each thing that is wrong with a VM."""
    schedule, start, restart = row["schedule"] or {}, row["start"] or {}, row["restart"] or {}
    said = {
        "failed": schedule.get("cleanup_error"),
        "start_failed": start.get("message") or start.get("reason"),
        "gave_up": restart.get("message") or restart.get("reason"),
    }
    if row["metadata_problem"]:
        said[row["metadata_problem"]["reason"]] = row["metadata_problem"]["message"]
    return {str(word): str(text) for word, text in said.items() if text}


def _disk(disk: Mapping[str, Any]) -> Disk:
    label = f"{disk['pool']}/{disk['name']}" if disk["pool"] else disk["path"]
    return Disk(str(label), str(disk["decision"]), str(disk["reason"]), tuple(map(str, disk["used_by"])))


def _use(snapshot: Mapping[str, Any]) -> Use:
    return Use(
        float(snapshot["cpu_usage_percent"]),
        int(snapshot["memory_usage_mb"]),
        int(snapshot["disk_usage_gb"]),
        int(snapshot["uptime_seconds"]),
    )


def _sweep(last: Optional[Mapping[str, Any]]) -> Optional[Sweep]:
    if last is None:
        return None
    numbers = int(last["removed"]), int(last["failed"])
    return Sweep(_at(last["ended_at"]), str(last["outcome"]), str(last["message"]), *numbers)


def _operation(line: Mapping[str, Any]) -> Operation:
    words = (str(line[word]) for word in ("name", "operation", "outcome", "message"))
    return Operation(_at(line["at"]), *words)


def _plan(plan: Mapping[str, Any]) -> PlanWaiting:
    waiting = tuple(str(vm["name"]) for vm in plan["vms"] if not vm["confirmed"])
    return PlanWaiting(str(plan["plan_id"]), _at(plan["created_at"]), waiting)


def _boot(last: Mapping[str, Any]) -> Optional[Boot]:
    if not last.get("boot"):
        return None
    critical = set(last["critical_path"])
    starts = tuple(_start(row, row["name"] in critical) for row in last["vms"])
    return Boot(_at(last["boot"]["began_at"]), float(last["boot"]["seconds"]), bool(last["boot"]["over"]), starts)


def _start(row: Mapping[str, Any], critical: bool) -> Start:
    start = row["start"]
    times = {word: float(start[f"{word}_seconds"]) for word in ("turn", "begun", "started", "ended")}
    return Start(
        name=str(row["name"]),
        outcome=str(start["outcome"]),
        **times,
        after=str(start["waited_for"] or ""),
        message=str(row["message"]) if row["reason"] else "",
        critical=critical,
    )
