# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of its storage a VM's disks may take, and what happens when they do."""

from __future__ import annotations

from typing import Optional

from ..limits import DiskUsage
from ..model import Document

GIB = 1 << 30
#: Shares of the limit, in per cent, from which on there is a warning.
NEAR = 90
#: Parts of their capacity that images may take for their own books, on top of it.
BOOKS = 64


def ceiling(policy: Document, usage: DiskUsage) -> int:
    """Bytes that the disks may take together: disk_limit_gb, else what they can hold, which only snapshots get beyond."""
    declared = int(policy.get("disk_limit_gb") or 0)
    return declared * GIB if declared else usage.capacity + usage.capacity // BOOKS + 1


def verdict(policy: Document, usage: DiskUsage) -> str:
    """limit_enforced while there is room, disk_limit_near, or disk_limit_reached."""
    most = ceiling(policy, usage)
    if usage.allocated >= most:
        return "disk_limit_reached"
    return "disk_limit_near" if usage.allocated * 100 >= most * NEAR else "limit_enforced"


def words(policy: Document, usage: DiskUsage) -> str:
    """How much of how much."""
    most = ceiling(policy, usage)
    return f"its disks take {usage.allocated / GIB:.1f} of {most / GIB:.1f} GiB, {usage.allocated * 100 // most} %"


def row(policy: Optional[Document], usage: Optional[DiskUsage]) -> Optional[Document]:
    """How it stands, as results show it; None for a VM that is off, or whose disks nobody limits."""
    if usage is None or not (policy or {}).get("enforce_disk_limit"):
        return None
    declared = policy or {}
    reason = verdict(declared, usage)
    return {
        "reason": reason,
        "message": "" if reason == "limit_enforced" else words(declared, usage),
        "used_gib": round(usage.allocated / GIB, 2),
        "limit_gib": round(ceiling(declared, usage) / GIB, 2),
    }
