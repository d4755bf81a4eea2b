# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left where a domain's own disks grow, and a domain that goes on after it was paused."""

from __future__ import annotations

import math
import os
from typing import Any, Iterator, Tuple
from xml.etree import ElementTree

from ...pressures import DiskRoom
from .disk_usage import own_disks

try:
    import libvirt
except ImportError:
    libvirt = None

MIB = 1 << 20
#: virDomainPausedReason and virDomainDiskErrorCode: QEMU stopped the guest for an error of a disk, which was refused space.
BY_IO_ERROR, NO_SPACE = 5, 2


def disk_room(handle: Any) -> DiskRoom:
    """By the files that it has for itself and writes to. What can't be looked at is left out. Raises libvirtError."""
    running = bool(handle.isActive())
    flags = 0 if running else libvirt.VIR_DOMAIN_XML_INACTIVE
    rooms = list(_rooms(handle.connect(), ElementTree.fromstring(handle.XMLDesc(flags))))
    place, free = min(rooms, key=lambda room: room[1], default=("", math.inf))
    return DiskRoom(place, free, running and _is_full(handle))


def _is_full(handle: Any) -> bool:
    state, reason = handle.state()
    if state != libvirt.VIR_DOMAIN_PAUSED or reason != BY_IO_ERROR:
        return False
    return NO_SPACE in handle.diskErrors().values()


def _rooms(connection: Any, root: ElementTree.Element) -> Iterator[Tuple[str, float]]:
    """(file system, MiB that are free on it) of each disk that is a file."""
    for disk in own_disks(root):
        path = _path(connection, disk)
        if not path:
            continue
        try:
            directory = os.path.dirname(os.path.realpath(path))
            seen = os.statvfs(directory)
        except OSError:
            continue
        yield _mount(directory), seen.f_bavail * seen.f_frsize / MIB


def _path(connection: Any, disk: ElementTree.Element) -> str:
    """Of a file; "" for what is none, such as a logical volume, which has its space already."""
    source = disk.find("source")
    if source is None:
        return ""
    if disk.get("type") != "volume":
        return source.get("file", "")
    try:
        pool = connection.storagePoolLookupByName(source.get("pool", ""))
        path: str = pool.storageVolLookupByName(source.get("volume", "")).path()
    except libvirt.libvirtError:
        return ""
    return path if os.path.isfile(path) else ""


def _mount(directory: str) -> str:
    """Where the file system is mounted that a directory is on."""
    while not os.path.ismount(directory):
        directory = os.path.dirname(directory)
    return directory


def resume(handle: Any) -> None:
    """Running already, or off, is success. Raises libvirtError."""
    try:
        handle.resume()
    except libvirt.libvirtError:
        if handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            raise
