# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gives way when a host is short of memory or space, in which order, and when that is taken back.

One VM at a time, with time between two of them for the first to show; and only long after the shortage is over it is taken back, so
that a host at the edge does not swing.
"""

from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

from ..model import Document, Domain
from ..pressures import DISK, MEMORY, DiskRoom, MemoryRoom, Pressed, Step, Thresholds, Victim, Watched
from .host_boot import place, policy_of

#: Seconds after which something that was done shows in what the kernel tells of the last ten.
SETTLE = 10.0
#: Below this share of what counts as waiting, and above this multiple of what counts as little room, it is calm.
EASE, ROOMY = 0.5, 2.0
#: A cause -> what a policy calls it.
OPTIONS = {MEMORY: "on_memory_pressure", DISK: "on_disk_full"}
#: Words of a level: short of it, at the edge, or well.
SHORT, EDGE, CALM = "short", "edge", "calm"


def deed(document: Document, cause: str) -> str:
    """suspend or kill, "" for none. A VM that is held from everything is left alone."""
    if (document.get("hold") or {}).get("scope") == "everything":
        return ""
    declared = str(policy_of(document)[OPTIONS[cause]])
    return "" if declared == "none" else declared


def victim(domain: Domain, document: Document, cause: str, where: str = "") -> Victim:
    """A VM whose policy speaks of the cause, as what it can be for it."""
    persistence = document["persistence"]
    return Victim(
        domain.uuid, domain.name, deed(document, cause), persistence["mode"] == "temporary",
        place(domain, document).order, float(persistence["created_at_unix"]), where,
    )  # fmt: skip


def ordered(victims: Sequence[Victim]) -> List[Victim]:
    """Who gives way first comes first: temporary ones, then the highest start_order, then the youngest."""
    return sorted(victims, key=lambda each: (not each.temporary, -each.order, -each.created_unix, each.uuid))


def memory_level(room: MemoryRoom, bounds: Thresholds) -> Tuple[str, str]:
    """(level, what there is to say of it) of a host's memory."""
    waited = room.waited if room.waited is not None else 0.0
    said = f"{room.available:.1f} % of memory is available"
    if room.waited is not None:
        said = f"processes waited for memory in {waited:.1f} % of the last ten seconds, and {said}"
    if waited >= bounds.memory_waiting_percent or room.available < bounds.memory_available_percent:
        return SHORT, said
    eased = waited < bounds.memory_waiting_percent * EASE
    roomy = room.available >= min(bounds.memory_available_percent * ROOMY, 100.0)
    return (CALM if eased and roomy else EDGE), said


def disk_level(rooms: Sequence[DiskRoom], bounds: Thresholds) -> Tuple[str, str]:
    """The same of a place, as the VMs that have disks there see it.

    Where nobody can tell what is left, as with thin volumes, it counts as calm: who was refused space is given another try.
    """
    free = min((room.free_mib for room in rooms), default=math.inf)
    if not math.isfinite(free):
        return CALM, "nobody can tell how much space is left"
    said = f"{free:.0f} MiB are left on {rooms[0].place}"
    if free < bounds.disk_free_mib:
        return SHORT, said
    return (CALM if free >= bounds.disk_free_mib * ROOMY else EDGE), said


def next_step(
    level: str, watched: Watched, victims: Sequence[Victim], pressed: Sequence[Victim], bounds: Thresholds, now: float
) -> Tuple[Watched, Step]:
    """What is done now, and what is known afterwards. victims: who may give way; pressed: who has. now: seconds of the boot."""
    if level != CALM:
        watched = Watched(None, watched.acted)
        if level == SHORT and victims and now - watched.acted >= SETTLE:
            return Watched(None, now), Step("press", ordered(victims)[0].uuid)
        return watched, Step()
    since = now if watched.calm_since is None else watched.calm_since
    watched = Watched(since, watched.acted)
    if pressed and now - since >= bounds.calm_seconds and now - watched.acted >= min(SETTLE, bounds.calm_seconds):
        return Watched(since, now), Step("relieve", ordered(pressed)[-1].uuid)
    return watched, Step()


def stale(record: Pressed, domain: Optional[Domain], boot_id: str, boot_over: bool) -> bool:
    """Whether what was done to a VM is not in force any more: somebody else did something to it since, or it is gone.

    One of an earlier boot tells this boot's start what the VM was; after that it tells nobody anything.
    """
    if domain is None:
        return True
    if record.boot_id != boot_id:
        return boot_over or domain.active
    # libvirt's word for one that was suspended while a snapshot of it was taken is that of a pause in passing
    return domain.active if record.deed == "kill" else domain.power_state != "paused" and not domain.passing


def in_force(record: Optional[Pressed], boot_id: str) -> bool:
    """Whether a VM is kept from running by what was done to it in this boot."""
    return record is not None and record.boot_id == boot_id
