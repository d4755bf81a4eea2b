# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What domains use: one call to libvirt for all of them, their definitions for cards and disks, and the machine for the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, List, Mapping, NamedTuple, Optional, Tuple
from xml.etree import ElementTree

from ...errors import DomainGone, EffectError
from ...snapshots import Statistics
from ..processes import Process, of_guest
from .calls import STATES, Asked, translated

if TYPE_CHECKING:
    from .reaching import Addresses

try:
    import libvirt
except ImportError:
    libvirt = None

#: Seconds that the processes of all domains have together to answer, and how often they are asked. A process that does not
#: answer holds up one call: the next one passes it over, since libvirt is still busy with it.
LIMIT, TRIES = 5.0, 3
#: Per state that libvirt tells a reason of: number of the reason -> our word, for those that count.
REASONS: Mapping[str, Mapping[int, str]] = {
    "paused": {5: "io_error", 10: "crashed", 11: "starting"},
    "shutoff": {3: "crashed", 6: "failed"},
}
KIB = 1024
Figures = Dict[str, Any]


class Definition(NamedTuple):
    """What counts of a running definition, or of the inactive one when it is off."""

    macs: Tuple[str, ...]
    #: Targets of its disks, without media that can be changed.
    disks: Tuple[str, ...]
    root: ElementTree.Element


def statistics(
    connection: Any, lookup: Callable[[str], Any], addresses: Addresses, uuids: Collection[str]
) -> List[Statistics]:
    """Of these domains, in the order in which libvirt tells them. lookup: handles by UUID. Raises libvirtError and EffectError."""
    if not uuids:
        return []
    uri, wanted = connection.getURI(), frozenset(uuids)
    seen = [
        (handle, figures, definition)
        for handle, figures in _measure(uri)
        for definition in ([_definition(lookup, handle.UUIDString())] if handle.UUIDString() in wanted else [])
        if definition is not None
    ]
    running = {handle.UUIDString(): definition.root for handle, _figures, definition in seen if handle.ID() >= 0}
    reached = addresses.of_all(connection, running)
    return [
        _statistics(handle, figures, uri, definition, reached.get(handle.UUIDString(), []))
        for handle, figures, definition in seen
    ]


def _measure(uri: str) -> List[Tuple[Any, Figures]]:
    """Every domain with its figures, by one call; by some more when a process does not answer, and in the end without asking any."""
    needless = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    asking = (
        needless | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK
    )
    patient = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    for _try in range(TRIES):
        asked = Asked(uri, "", lambda own: own.getAllDomainStats(asking, patient))
        if asked.ended(LIMIT):
            answer: List[Tuple[Any, Figures]] = asked.answer()
            return answer
    asked = Asked(uri, "", lambda own: own.getAllDomainStats(needless, patient))
    if not asked.ended(LIMIT):
        raise EffectError("effect_failed", f"libvirt did not tell what its domains use within {LIMIT:.0f} s")
    without: List[Tuple[Any, Figures]] = asked.answer()
    return without


def _definition(lookup: Callable[[str], Any], uuid: str) -> Optional[Definition]:
    """None for a domain that is gone."""
    try:
        with translated(uuid):
            root = ElementTree.fromstring(lookup(uuid).XMLDesc())
    except DomainGone:
        return None
    macs = [mac.get("address", "").lower() for mac in root.findall("devices/interface/mac")]
    fixed = [disk for disk in root.findall("devices/disk") if disk.get("device", "disk") in ("disk", "lun")]
    targets = [target.get("dev", "") for disk in fixed for target in disk.findall("target")]
    return Definition(tuple(dict.fromkeys(macs)), tuple(targets), root)


def _statistics(handle: Any, figures: Figures, uri: str, definition: Definition, addresses: List[str]) -> Statistics:
    state, run = STATES[figures["state.state"]], int(handle.ID())
    process = of_guest(uri, handle.name(), handle.UUIDString()) if run >= 0 else Process()
    resident = figures.get("balloon.rss")
    return Statistics(
        uuid=handle.UUIDString(),
        state=state,
        reason=REASONS.get(state, {}).get(figures.get("state.reason", 0), ""),
        run=run,
        uptime=process.uptime,
        cpu_ns=figures.get("cpu.time") if run >= 0 else None,  # of one that is off, libvirt may tell the daemon's own
        processors=int(figures.get("vcpu.current", 1)),
        resident=int(resident) * KIB if resident is not None else process.resident,
        guest_used=_guest_used(figures),
        told_unix=int(figures.get("balloon.last-update", 0)),
        disks=sum(_allocated(figures, number, run >= 0) for number in _blocks(figures, definition.disks)),
        macs=definition.macs,
        addresses=tuple(addresses),
    )


def _guest_used(figures: Figures) -> Optional[int]:
    """Bytes that the guest could not give back: all that it has, less what it says it could, or less what it does not use at all."""
    whole = figures.get("balloon.available")
    left = figures.get("balloon.usable", figures.get("balloon.unused"))
    return None if whole is None or left is None else (int(whole) - int(left)) * KIB


def _blocks(figures: Figures, targets: Tuple[str, ...]) -> List[int]:
    """Numbers of the domain's own disks among its block devices."""
    return [number for number in range(figures.get("block.count", 0)) if figures.get(f"block.{number}.name") in targets]


def _allocated(figures: Figures, number: int, active: bool) -> int:
    """Bytes that a disk takes on the host.

    libvirt's words mean one thing while a domain runs and another while it is off: `physical` is what QEMU says of the file, its
    allocated blocks, and then the file's length; `allocation` is how far the guest has written, and then the allocated blocks.
    """
    told = figures.get(f"block.{number}.{'physical' if active else 'allocation'}")
    if told is not None:
        return int(told)
    try:
        return os.stat(figures.get(f"block.{number}.path", "")).st_blocks * 512
    except (OSError, ValueError):
        return 0
