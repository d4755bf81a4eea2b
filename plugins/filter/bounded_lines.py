# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as lines for people, never more of them than a page of AWX shows well."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Mapping, Sequence

#: What people look for first; of the others the last ones are left out first.
_ORDER = ("failed", "removed", "restored", "rolled_back", "waiting", "kept")
#: Disks of one VM that are shown.
_DISKS = 8


def bounded_lines(lines: Sequence[str], limit: int = 200) -> List[str]:
    """The first lines, and how many more there are."""
    kept = [str(line) for line in lines[:limit]]
    return kept + ([f"... and {len(lines) - limit} more"] if len(lines) > limit else [])


def sweep_lines(sweep: Mapping[str, Any], limit: int = 200) -> List[str]:
    """A result of vm_cleanup: a line for each VM and, below it, for its disks; what stays is left out first when there are too many."""
    words = {"removed": "would be removed"} if sweep["dry_run"] else {}
    rows = [(_rank(vm), place, _vm_lines(vm, words)) for place, vm in enumerate(sweep["vms"])]
    shown, used = [], 0
    for _rank_of, place, lines in sorted(rows, key=lambda row: row[:2]):
        if used + len(lines) > limit:
            break
        shown.append((place, lines))
        used += len(lines)
    result = [line for _place, lines in sorted(shown) for line in lines]
    places = {place for place, _lines in shown}
    rest = Counter(vm["decision"] for place, vm in enumerate(sweep["vms"]) if place not in places)
    if rest:
        result.append(
            "... and " + ", ".join(f"{number} more {words.get(word, word)}" for word, number in sorted(rest.items()))
        )
    left = sweep.get("truncated")
    if left:
        where = f", all of them in {left['file']}" if left["file"] else ""
        result.append(f"{left['shown']} of {left['of']} VMs are shown{where}")
    return result + ([f"plan {sweep['plan_id']}"] if sweep["plan_id"] else [])


def _rank(vm: Mapping[str, Any]) -> int:
    return _ORDER.index(vm["decision"]) if vm["decision"] in _ORDER else len(_ORDER)


def _vm_lines(vm: Mapping[str, Any], words: Mapping[str, str]) -> List[str]:
    lines = [f"{words.get(vm['decision'], vm['decision'])}: {vm['message']} [{vm['reason']}]"]
    for disk in vm["volumes"][:_DISKS]:
        place = f"{disk['pool']}/{disk['name']}" if disk["pool"] else disk["path"]
        users = f", used by {', '.join(disk['used_by'])}" if disk["used_by"] else ""
        lines.append(f"  {words.get(disk['decision'], disk['decision'])} {place} [{disk['reason']}{users}]")
    more = len(vm["volumes"]) - _DISKS
    return lines + ([f"  ... and {more} more disks"] if more > 0 else [])


def status_lines(host: Mapping[str, Any], limit: int = 200) -> List[str]:
    """A result of vm_lifecycle_info: a line for each plan that waits, for each VM, and for each that can be brought back."""
    lines = [f"plan {plan['plan_id']} of {plan['created_at']} waits: {_names(plan['vms'])}" for plan in host["plans"]]
    lines += [_vm_line(vm) for vm in host["vms"]]
    lines += [
        f"{vm['name']}: removed {vm['removed_at']}, can be brought back until {vm['undo_until']}" for vm in host["undo"]
    ]
    return bounded_lines(lines or ["no VM matches"], limit)


def _names(vms: Sequence[Mapping[str, Any]]) -> str:
    names = [vm["name"] for vm in vms[:_DISKS]]
    return ", ".join(names) + (f" and {len(vms) - _DISKS} more" if len(vms) > _DISKS else "")


def _vm_line(vm: Mapping[str, Any]) -> str:
    """Rows of VMs that the host does not have say so by themselves."""
    if "power_state" not in vm:
        return str(vm["message"])
    persistence = vm.get("persistence")
    parts = [vm["power_state"], persistence["mode"] if persistence else "not managed"]
    if vm.get("scheduled_cleanup_at"):
        parts.append(f"expires {vm['scheduled_cleanup_at']}, removed from {vm['effective_cleanup_at'] or '-'}")
    if vm.get("hold"):
        parts.append(f"held from {vm['hold']['scope']}: {vm['hold']['reason']}")
    if vm.get("metadata_problem"):
        parts.append(f"{vm['metadata_problem']['message']} [{vm['metadata_problem']['reason']}]")
    return f"{vm['name']}: {', '.join(parts)}"


def named(name: str) -> Dict[str, str]:
    """An item of the option vms."""
    return {"name": name}


class FilterModule:
    def filters(self) -> Dict[str, Any]:
        return {
            "bounded_lines": bounded_lines,
            "named": named,
            "status_lines": status_lines,
            "sweep_lines": sweep_lines,
        }
