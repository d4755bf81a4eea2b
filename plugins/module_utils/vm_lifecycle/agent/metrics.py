# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a host's VMs as metrics, in the text format of Prometheus. Nothing but text comes of it."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Tuple

from ..times import unix
from ..version import VERSION

Result = Mapping[str, Any]
#: Labels with their values, and the value.
Series = Tuple[Mapping[str, str], float]
#: Name -> type and what it tells.
METRICS: Mapping[str, Tuple[str, str]] = {
    "build_info": ("gauge", "Version of the software that wrote this, as a label; always 1."),
    "snapshot_timestamp_seconds": ("gauge", "When this was measured, in seconds since the epoch."),
    "clock_sane": ("gauge", "Whether the host's clock is believed; nothing is removed while it is not."),
    "vms": ("gauge", "VMs of the host by what is declared about them; one VM may count in several states."),
    "last_sweep_timestamp_seconds": ("gauge", "When the timer's last sweep ended, in seconds since the epoch."),
    "last_sweep_success": ("gauge", "Whether that sweep could do all that it wanted to."),
    "last_sweep_vms": ("gauge", "VMs of that sweep by what it decided."),
    "vm_info": ("gauge", "A managed VM and how it is declared; always 1."),
    "vm_state": ("gauge", "Power state of a managed VM: 1 for the one that it is in, 0 for the others."),
    "vm_cpu_usage_ratio": ("gauge", "Use of all its virtual processors since the snapshot before, from 0 to 1."),
    "vm_memory_usage_bytes": ("gauge", "Memory in use, as the guest tells it, else what its process holds."),
    "vm_disk_usage_bytes": ("gauge", "Space that its disks take on the host."),
    "vm_uptime_seconds": ("gauge", "Seconds since it was last started; 0 when it is off."),
    "vm_seconds_until_cleanup": (
        "gauge",
        "Seconds until its deadline, negative when that has passed; none without one.",
    ),
    "vm_restarts_total": ("counter", "Restarts by the supervisor since it was declared."),
}
#: Values of vm_state, as VmStateSnapshot has them.
STATES = ("stopped", "starting", "running", "stopping", "paused", "error")


def metrics(result: Result) -> str:
    """The text of a file for the node exporter. result: as the task `snapshot` reports it, of all managed VMs."""
    found: Dict[str, List[Series]] = {name: [] for name in METRICS}
    for name, labels, value in (*_host(result), *_vms(result["vms"])):
        found[name].append((labels, value))
    lines: List[str] = []
    for name, (kind, text) in METRICS.items():
        if found[name]:
            lines += [f"# HELP vm_lifecycle_{name} {text}", f"# TYPE vm_lifecycle_{name} {kind}"]
            lines += [f"vm_lifecycle_{name}{_labels(labels)} {_number(value)}" for labels, value in found[name]]
    return "\n".join(lines) + "\n"


def _host(result: Result) -> Iterator[Tuple[str, Mapping[str, str], float]]:
    yield "build_info", {"version": VERSION}, 1
    yield "snapshot_timestamp_seconds", {}, unix(result["taken_at"])
    yield "clock_sane", {}, int(result["clock"]["sane"])
    for state, count in result["counts"].items():
        yield "vms", {"state": state}, count
    sweep = result["last_sweep"]
    if sweep is not None:
        yield "last_sweep_timestamp_seconds", {}, unix(sweep["at"])
        yield "last_sweep_success", {}, int(sweep["outcome"] == "done")
        for decision, count in sweep["counts"].items():
            yield "last_sweep_vms", {"decision": decision}, count


def _vms(rows: List[Result]) -> Iterator[Tuple[str, Mapping[str, str], float]]:
    for row in rows:
        of, snapshot = {"vm": row["name"], "uuid": row["uuid"]}, row["snapshot"]
        yield "vm_info", {**of, "mode": row["mode"], "hold": row["hold"]}, 1
        for state in STATES:
            yield "vm_state", {**of, "state": state}, int(snapshot["vm_state"] == state)
        yield "vm_cpu_usage_ratio", of, round(snapshot["cpu_usage_percent"] / 100, 6)
        yield "vm_memory_usage_bytes", of, row["memory_bytes"]
        yield "vm_disk_usage_bytes", of, row["disk_bytes"]
        yield "vm_uptime_seconds", of, snapshot["uptime_seconds"]
        if row["seconds_until_cleanup"] is not None:
            yield "vm_seconds_until_cleanup", of, row["seconds_until_cleanup"]
        yield "vm_restarts_total", of, snapshot["restart_count"]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """A label's value: the format knows three escapes and takes any other character, but for what is none in UTF-8."""
    plain = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
