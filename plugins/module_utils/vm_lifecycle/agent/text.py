# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as lines for a terminal or a journal. Names are made printable: a VM may be called anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Sequence

from ..adapters.linux_host import printable
from ..times import iso
from .columns import table
from .notes import note
from .trees import left_why, plan_tree, stop_tree
from .usage import snapshot, usage
from .words import advice, counted, remedies, why

if TYPE_CHECKING:
    from ..host_changes import LogOperation

Result = Mapping[str, Any]


def status(result: Result) -> str:
    """A table of all VMs, and what is wrong with the host, if anything."""
    rows: List[Sequence[str]] = [("VM", "STATE", "LIFECYCLE", "EXPIRES", "REMOVED FROM", "NOTE")]
    for vm in result["vms"]:
        persistence = vm["persistence"] or {}
        rows.append(
            (
                vm["name"],
                vm["power_state"],
                persistence.get("mode") or "not managed",
                vm["scheduled_cleanup_at"] or "-",
                vm["effective_cleanup_at"] or "-",
                note(vm),
            )
        )
    lines = table(rows)
    if any("snapshot" in vm for vm in result["vms"]):
        lines += ["", *usage(result["vms"])]
    if not result["clock"]["sane"]:
        lines.append(f"The clock is not believed, nothing is removed: {result['clock']['problem']}")
    lines += [
        f"Removal of {name} is going on, or was interrupted and is finished by the next sweep"
        for name in result["interrupted"]
    ]
    lines += [f"Plan {plan['plan_id']} of {plan['created_at']}: {_plan(plan)}" for plan in result["plans"]]
    lines += [
        f"{gone['name']} was removed {gone['removed_at']}; undo until {gone['undo_until']}" for gone in result["undo"]
    ]
    return "\n".join(printable(line) for line in lines)


def _plan(plan: Mapping[str, Any]) -> str:
    waiting = [vm["name"] for vm in plan["vms"] if not vm["confirmed"]]
    agreed = len(plan["vms"]) - len(waiting)
    told = [f"{agreed} confirmed"] if agreed else []
    return ", ".join(
        [*told, f"{len(waiting)} wait for a confirmation" + (f" ({', '.join(waiting[:10])})" if waiting else "")]
    )


def sweep(result: Result) -> str:
    """A line for each VM, its disks below it, what to do, and the counts."""
    return _sweep(result, result["vms"])


#: Reasons of VMs that are as they should be.
ORDINARY = ("permanent", "held", "not_expired", "outside_window")


def scheduled(result: Result) -> str:
    """The same for a journal, which a line for each VM with each sweep would fill: no VM that is as it should be, but the counts."""
    return _sweep(result, [vm for vm in result["vms"] if vm["reason"] not in ORDINARY])


def _sweep(result: Result, told: Sequence[Mapping[str, Any]]) -> str:
    would = "would be " if result["dry_run"] else ""
    lines = [line for vm in told for line in _swept(vm, would)] + advice(told)
    if result["plan_id"] is not None:
        lines.append(f"plan {result['plan_id']}")
    lines.append(
        ", ".join(f"{count} {would if word == 'removed' else ''}{word}" for word, count in result["counts"].items())
    )
    return "\n".join(printable(line) for line in lines)


def _swept(vm: Mapping[str, Any], would: str) -> List[str]:
    decision = f"{would}removed" if vm["decision"] == "removed" else vm["decision"]
    lines = [f"{decision}: {vm['message']} [{vm['reason']}]"]
    for volume in vm["volumes"]:
        place = f"{volume['pool']}/{volume['name']}" if volume["pool"] else volume["path"]
        users = f", used by {', '.join(volume['used_by'])}" if volume["used_by"] else ""
        fate = f"{would}removed" if volume["decision"] == "removed" else volume["decision"]
        lines.append(f"  {fate} {place} [{volume['reason']}{users}]")
    return lines


def boot(result: Result) -> str:
    """A line for each VM, what to do about those that failed, and the counts; a dry run is a tree."""
    if result["marked"]:
        return f"{'would be ' if result['dry_run'] else ''}noted: the VMs of this boot count as started"
    if not result["vms"] and result["already_done"] and not result["dry_run"]:
        return BOOT_OVER
    if result["dry_run"] or not result["vms"]:
        return plan_tree(result)
    lines: List[str] = []
    for vm in result["vms"]:
        if "volumes" in vm:  # the clean-up had it
            lines += _swept(vm, "")
            continue
        word = {"kept": "not started"}.get(vm["decision"], vm["decision"])
        word = "runs" if vm["reason"] == "already_running" else word
        lines.append(f"{word}: {vm['name']}: {why(vm)} [{vm['reason']}]")
    lines += remedies(result["vms"])
    decisions = ["runs" if vm["reason"] == "already_running" else vm["decision"] for vm in result["vms"]]
    counts = [
        f"{decisions.count(word)} {said}"
        for word, said in COUNTED.items()
        if word in decisions or word not in ("removed", "runs")
    ]
    lines.append(", ".join(counts))
    return "\n".join(printable(line) for line in lines)


#: Decision -> how the VMs that it was made for are counted after a boot.
COUNTED = {"started": "started", "runs": "ran already", "failed": "failed", "kept": "not started", "removed": "removed"}
BOOT_OVER = (
    "This boot's VMs were started already. vm-lifecycle boot --again starts what should run and does not, "
    "vm-lifecycle boot --timeline shows how it went."
)


def shutdown(result: Result) -> str:
    """A line for each VM that ran; a dry run tells the order and the times."""
    if not result["vms"]:
        return "no VM runs" if result["going_down"] or result["asked"] else NOT_GOING_DOWN
    if result["dry_run"]:
        return stop_tree(result)
    lines = []
    for vm in result["vms"]:
        if vm["decision"] == "kept":
            lines.append(f"left to the host: {vm['name']}: {left_why(vm)}")
        else:
            lines.append(f"{vm['decision']}: {vm['name']}: {why(vm)} [{vm['reason']}]")
    lines += remedies(result["vms"])
    decisions = [vm["decision"] for vm in result["vms"]]
    said = (("stopped", "stopped"), ("kept", "left to the host"), ("failed", "failed"))
    lines.append(", ".join(f"{decisions.count(word)} {words}" for word, words in said))
    return "\n".join(printable(line) for line in lines)


NOT_GOING_DOWN = (
    "This host is not going down, so its VMs go on. vm-lifecycle shutdown --now stops them, --plan shows how."
)


def flags(result: Result) -> str:
    """A line for each VM of which libvirt did something by itself that it should not, or the other way round."""
    would = "would be " if result["dry_run"] else ""
    lines = [
        f"failed: {vm['name']}: {why(vm)} [{vm['reason']}]" if vm.get("failed") else f"{would}set: {vm['message']}"
        for vm in result["vms"]
    ]
    return "\n".join(printable(line) for line in lines) or "libvirt does by itself what it should"


def limits(result: Result) -> str:
    """A line for each running VM that was limited or paused, or comes near to what it may take."""
    would = "would be " if result["dry_run"] else ""
    lines = [
        f"failed: {vm['name']}: {why(vm)} [{vm['reason']}]"
        if vm.get("failed")
        else f"{would if vm['changed'] else ''}{vm['decision']}: {vm['message']} [{vm['reason']}]"
        for vm in result["vms"]
    ]
    return "\n".join(printable(line) for line in lines) or "running VMs are within their limits"


def doctor(result: Result) -> str:
    """A line for each finding, what to do below those of a kind, and the counts."""
    lines: List[str] = []
    kinds: Dict[str, List[Mapping[str, Any]]] = {}
    for found in result["findings"]:
        kinds.setdefault(found["code"], []).append(found)
    for code, alike in kinds.items():
        if alike[0]["severity"] == "info" and len(alike) > 1:  # one line for all: there may be hundreds
            names = ", ".join(found["subject"] for found in alike[:NAMED])
            more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
            lines.append(f"info: {names}{more}: {alike[0]['message']} [{code}]")
        else:
            lines += [f"{found['severity']}: {found['subject']}: {found['message']} [{code}]" for found in alike]
        lines.append(f"  {alike[0]['remedy']}")
    counts = result["counts"]
    if counts["error"] + counts["warning"]:
        told = (("error", "error"), ("warning", "warning"), ("info", "note"))
        lines.append(", ".join(counted(counts[severity], word, f"{word}s") for severity, word in told))
    else:
        lines.append("nothing is in the way of boots and shutdowns of this host")
    return "\n".join(printable(line) for line in lines)


#: Names that one line of doctor tells.
NAMED = 10


def declared(result: Result) -> str:
    """A line for each VM that was held, released or renewed."""
    lines = []
    for vm in result["vms"]:
        until = f", expires {vm['scheduled_cleanup_at']}" if vm.get("scheduled_cleanup_at") else ""
        failed = f" [{vm['reason']}]" if vm.get("failed") else ""
        lines.append(f"{vm['message']}{until}{failed}")
    return "\n".join(printable(line) for line in lines)


def operations(lines: Sequence[LogOperation]) -> str:
    """A line for each operation."""
    told = [
        f"{iso(line.at_unix)} {line.name} {line.operation} {line.outcome} {line.message}".rstrip() for line in lines
    ]
    return "\n".join(printable(line) for line in told) or "nothing was done"


def notices(told: Sequence[Result]) -> str:
    """A line for each notice that was tried."""
    lines = [
        f"{'not delivered' if one['error'] else 'delivered'}: {one['message']} {one['error']}".rstrip() for one in told
    ]
    return "\n".join(printable(line) for line in lines) or "no notice waits"


NO_HOOK = "no hook is configured, so nobody is told anything: give alert_command or alert_webhook in vm_lifecycle_cleanup_policy"


def recover(result: Result) -> str:
    """A line for each VM."""
    would = "would be " if result["dry_run"] else ""
    lines = [
        f"{would if vm['changed'] else ''}{vm['decision']}: {vm['message']} [{vm['reason']}]" for vm in result["vms"]
    ] + remedies(result["vms"])
    return "\n".join(printable(line) for line in lines) or "nothing is on record"


SHAPES: Dict[str, Callable[[Result], str]] = {
    "status": status,
    **dict.fromkeys(("cleanup", "confirm", "undo", "purge"), sweep),
    "boot": boot,
    "shutdown": shutdown,
    "flags": flags,
    "limits": limits,
    "doctor": doctor,
    "recover": recover,
    "snapshot": snapshot,
}
