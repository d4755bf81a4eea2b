# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving a domain's memory: what that takes, and how it is given up when it takes too long."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, List, Tuple
from xml.etree import ElementTree

from ...boots import MemoryCost
from ...errors import DomainGone, EffectError
from ..memory_files import image_problem, is_unfinished, sync_file
from .calls import Asked
from .places import saves

try:
    import libvirt
except ImportError:
    libvirt = None

#: What an image takes besides the guest's memory, in MiB: firmware, video memory, the state of devices, the definition.
OVERHEAD_MIB = 48
#: Seconds that libvirt has to stop saving, and to let a guest go on; it takes a fraction of one.
GIVE_UP_LIMIT = 5.0

#: What libvirt is known to save no domain with: where its definition says so, and in words. What else it refuses, it says itself.
OBSTACLES: List[Tuple[str, str]] = [
    ("devices/hostdev[@mode='capabilities']", "a device of the host is passed through"),
    ("devices/interface[@type='hostdev']", "a network card of the host is passed through"),
    ("devices/interface[@type='vdpa']", "its network card is a vDPA device of the host"),
    ("devices/filesystem/driver[@type='virtiofs']", "a directory of the host is shared with it by virtiofs"),
    ("devices/shmem", "it shares memory with others"),
    ("devices/disk[@type='vhostuser']", "a disk of it is served by another process"),
    ("launchSecurity", "its memory is encrypted"),
]


def memory_cost(handle: Any, uri: str) -> MemoryCost:
    """What saving a running domain takes, and where that must be free. Raises libvirtError."""
    obstacle = _obstacle(ElementTree.fromstring(handle.XMLDesc()))
    mib = handle.info()[2] // 1024  # by the balloon: what the guest gave back is not saved
    return MemoryCost(mib + OVERHEAD_MIB, _free_mib(saves(uri)), obstacle)


def _obstacle(root: ElementTree.Element) -> str:
    """Why a domain can't be saved, "" when nothing is known that speaks against it."""
    for device in root.findall("devices/hostdev[@mode='subsystem']"):
        if device.get("type") != "usb":  # libvirt takes a USB device away and gives it back
            return f"a {(device.get('type') or 'device').upper()} device of the host is passed through"
    return next((words for where, words in OBSTACLES if root.find(where) is not None), "")


def _free_mib(directory: Path) -> int:
    """What is free at a directory, which libvirt makes when it needs it. Raises EffectError."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        found = os.statvfs(directory)
    except OSError as error:
        raise EffectError("effect_failed", str(error)) from error
    return found.f_bavail * found.f_frsize // 2**20


def save_memory(handle: Any, uri: str, seconds: float) -> None:
    """Save a domain within so many seconds; otherwise it runs on. Raises EffectError save_failed, and DomainGone."""
    _save(handle, uri, seconds, _managed_save, lambda: bool(handle.hasManagedSaveImage()))


def _managed_save(own: Any) -> None:
    """Half an image some versions of libvirt leave, and would take the VM for saved after the next boot."""
    try:
        own.managedSave()
    except libvirt.libvirtError:
        with suppress(libvirt.libvirtError):
            if own.isActive() and not own.jobInfo()[0]:  # else it is somebody else who saves it, and that is his image
                own.managedSaveRemove()
        raise


def save_memory_to(handle: Any, uri: str, path: str, seconds: float) -> None:
    """Likewise, into a new file, which is durable then, and gone when saving failed. Raises EffectError, and DomainGone."""
    if not os.path.isabs(path):
        raise EffectError("save_failed", f"{path} is no absolute path")
    if os.path.lexists(path):
        raise EffectError("save_failed", f"{path} is there already, and would be lost")

    def call(own: Any) -> None:  # ends long after it was given up, if need be
        try:
            own.saveFlags(path, None, 0)
        except libvirt.libvirtError:
            if is_unfinished(path):  # libvirt removes it itself, unless it was killed
                os.unlink(path)
            raise

    _save(handle, uri, seconds, call, lambda: not image_problem(path))
    with suppress(OSError):  # the VM is saved; where we may not look, it is as durable as libvirt makes it
        sync_file(path)


def _save(handle: Any, uri: str, seconds: float, call: Callable[[Any], Any], is_saved: Callable[[], bool]) -> None:
    uuid, ran = handle.UUIDString(), handle.state()[0] != libvirt.VIR_DOMAIN_PAUSED
    saving = Asked(uri, uuid, call)
    problem = "" if saving.ended(seconds) else _give_up(saving, uri, uuid, seconds)
    try:
        if not problem:
            saving.answer()
            return
    except DomainGone:
        raise
    except EffectError as error:
        problem = error.message
    if not handle.isActive() and is_saved():
        return  # at the very end
    if ran:
        _let_go_on(handle, uri, uuid)
    raise EffectError("save_failed", problem)


def _give_up(saving: Asked, uri: str, uuid: str, seconds: float) -> str:
    """Why the domain was not saved, "" when saving ended while it was being given up: then it tells itself."""
    Asked(uri, uuid, lambda own: own.abortJob()).ended(GIVE_UP_LIMIT)
    if not saving.ended(GIVE_UP_LIMIT):
        return f"saving took more than {seconds:.0f} s, and libvirt does not stop it"
    try:
        saving.answer()
    except DomainGone:
        raise
    except EffectError as error:
        return f"saving took more than {seconds:.0f} s: {error.message}"
    return ""


def _let_go_on(handle: Any, uri: str, uuid: str) -> None:
    """libvirt resumes a guest that it could not save; one that it left paused would hear no request to shut down."""
    state, reason = handle.state()
    if state == libvirt.VIR_DOMAIN_PAUSED and reason != libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        Asked(uri, uuid, lambda own: own.resume()).ended(GIVE_UP_LIMIT)
