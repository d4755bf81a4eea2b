# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running domain's own disks take on their storage; and a domain that is paused."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Optional, Set
from xml.etree import ElementTree

from ...limits import DiskUsage
from .definitions import snapshot_files

try:
    import libvirt
except ImportError:
    libvirt = None


def disk_usage(handle: Any) -> Optional[DiskUsage]:
    """Images that it writes to, and lower ones that its own snapshots name: other ones are templates, and nobody's growth.

    Images of which libvirt can't tell are left out. Raises libvirtError.
    """
    if not handle.isActive():
        return None
    own = {path for snapshot in handle.listAllSnapshots() for path in _named(snapshot.getXMLDesc())}
    written = _written(ElementTree.fromstring(handle.XMLDesc(0)))
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
    told = handle.connect().domainListGetStats([handle], libvirt.VIR_DOMAIN_STATS_BLOCK, flags)
    allocated = capacity = 0
    seen: Set[str] = set()
    for image in (image for _domain, stats in told for image in _images(stats)):
        name = str(image.get("name"))
        top = name not in seen  # the image that is written to comes first, its lower ones follow
        seen.add(name)
        if name in written and (top or image.get("path") in own):
            # what libvirt calls the allocation of a running VM's image is how far QEMU has written since it was started
            allocated += int(image.get("physical", 0))
            capacity += int(image.get("capacity", 0)) if top else 0
    return DiskUsage(allocated, capacity)


def _images(stats: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
    """libvirt's block.0.name, block.0.path ... as a dictionary an image; layers of a disk share its name."""
    for number in range(int(stats.get("block.count", 0))):
        start = f"block.{number}."
        yield {key[len(start) :]: value for key, value in stats.items() if key.startswith(start)}


def own_disks(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Disks that the domain has for itself and writes to."""
    for disk in root.findall("devices/disk"):
        if (
            disk.get("device", "disk") in ("disk", "lun")
            and disk.find("readonly") is None
            and disk.find("shareable") is None
        ):
            yield disk


def _written(root: ElementTree.Element) -> Set[str]:
    """Targets of disks that the domain has for itself and writes to."""
    return {target.get("dev", "") for disk in own_disks(root) for target in disk.findall("target")}


def _named(xml: str) -> Set[str]:
    """Images that a snapshot kept, or made."""
    return {file.path for file in snapshot_files(xml, lambda _pool, _volume: None) if file.target}


def pause(handle: Any) -> None:
    """Paused already, or off, is success. Raises libvirtError."""
    try:
        handle.suspend()
    except libvirt.libvirtError:
        if handle.isActive() and handle.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
            raise
