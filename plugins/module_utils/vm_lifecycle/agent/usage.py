# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMs do and use, as lines for a terminal."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ..adapters.linux_host import printable
from .columns import table
from .words import counted, duration

Result = Mapping[str, Any]


def snapshot(result: Result) -> str:
    """What each VM uses, and what became of that."""
    lines = usage(result["vms"]) if result["vms"] else ["no VM of this host is managed"]
    if result["vms"] and not result["dry_run"]:
        place = f", metrics in {result['metrics_file']}" if result["metrics_file"] else ""
        lines.append(f"{counted(len(result['vms']), 'snapshot', 'snapshots')} put on record{place}")
    return "\n".join(printable(line) for line in lines)


def usage(rows: Sequence[Result]) -> List[str]:
    """A table of what VMs use, of rows with snapshots; those without one are left out."""
    lines: List[Sequence[str]] = [("VM", "STATE", "CPU", "MEMORY", "DISK", "UP FOR", "ADDRESSES")]
    for row in rows:
        taken = row["snapshot"]
        if taken is None:
            continue
        up = duration(taken["uptime_seconds"]) if taken["uptime_seconds"] else "-"
        share = f"{taken['cpu_usage_percent']:.1f} %"
        memory, disk = f"{taken['memory_usage_mb']} MiB", f"{taken['disk_usage_gb']} GiB"
        addresses = " ".join(taken["ip_addresses"]) or "-"
        lines.append((row["name"], taken["vm_state"], share, memory, disk, up, addresses))
    return table(lines)
