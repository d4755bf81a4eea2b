# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting one disk: only the very file or device that was judged, and only while nothing on this machine has it open."""

from __future__ import annotations

import os
import stat
from typing import Any, FrozenSet, Optional, Tuple
from xml.etree import ElementTree

from ...disks import FileIdentity, VolumeVerdict
from ...errors import EffectError
from ...policy.disk_rules import BLOCK, DIRECTORIES, LOGICAL
from ..images import Images, identity
from ..open_files import has_locks, has_snapshots, is_claimed, is_locked, is_logical_volume

try:
    import libvirt
except ImportError:
    libvirt = None

File = Tuple[int, int]
#: libvirt's own directory, which root may have put elsewhere and linked; no link below it is followed.
LIBRARY = "/var/lib/libvirt"


def delete(connection: Any, volume: VolumeVerdict, raw: FrozenSet[File]) -> None:
    """Delete a volume through its pool, or a file of no pool. Already gone is success. Raises EffectError, libvirtError.

    raw: files that are known to be raw disks, whose content is a guest's and no header.
    """
    try:
        if volume.pool:
            _delete_volume(connection.storagePoolLookupByName(volume.pool), volume)
        else:
            _delete_file(volume, raw)
    except OSError as error:
        raise EffectError("effect_failed", str(error)) from error


def _delete_volume(pool: Any, volume: VolumeVerdict) -> None:
    if not pool.isActive():
        raise EffectError("effect_failed", f"pool {volume.pool} is not active")
    root = ElementTree.fromstring(pool.XMLDesc())
    directory = root.findtext("target/path") or ""
    path = os.path.join(directory, volume.name)
    kind = root.get("type")
    if kind not in (*DIRECTORIES, LOGICAL) or os.path.basename(path) != volume.name:
        raise _changed(f"{volume.pool}/{volume.name}")
    if not os.path.lexists(path):
        return
    if kind == LOGICAL:
        found = _logical(pool, path, volume)
    else:
        _require_file(path, volume)
        found = _volume(pool, volume.name)
    found.delete(0)


def _require_file(path: str, volume: VolumeVerdict) -> None:
    now = identity(path)
    if os.path.islink(path) or not _is_same(now, volume) or (now is not None and now.device == BLOCK):
        raise _changed(path)
    if is_locked(path):
        raise _is_open(path)


def _logical(pool: Any, path: str, volume: VolumeVerdict) -> Any:
    """The kernel's word on a device counts; the pool's is as old as its last refresh, and one that fails stops the pool."""
    found = pool.storageVolLookupByName(volume.name)
    now, judged = identity(path), volume.identity
    if now is None or judged is None or now.device != BLOCK or not judged.serial or found.key() != judged.serial:
        raise _changed(path)
    if os.path.realpath(found.path()) != os.path.realpath(path) or not is_logical_volume(path, judged.serial):
        raise _changed(path)
    if has_snapshots(path):
        raise EffectError("changed_meanwhile", f"{path} has snapshots, which would go with it")
    if is_claimed(path) or is_locked(path):
        raise _is_open(path)
    return found


def _volume(pool: Any, name: str) -> Any:
    """A volume that the pool may not know yet, because its file was made behind the pool's back."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError:
        pool.refresh()
        return pool.storageVolLookupByName(name)


def _delete_file(volume: VolumeVerdict, raw: FrozenSet[File]) -> None:
    """Unlink a file that lies in no pool, by its name in the very directory that was looked at."""
    directory, name = os.path.split(volume.path)
    if directory.startswith(LIBRARY + os.sep):
        directory = os.path.join(os.path.realpath(LIBRARY), os.path.relpath(directory, LIBRARY))
    if not os.path.isabs(directory) or not name or os.path.realpath(directory) != directory:
        raise _changed(volume.path)
    try:
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _require_mounted(directory, volume)
        return
    try:
        _unlink(place, name, volume, raw)
    finally:
        os.close(place)


def _unlink(place: int, name: str, volume: VolumeVerdict, raw: FrozenSet[File]) -> None:
    try:
        found = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        _require_mounted(os.path.dirname(volume.path), volume)
        return
    if not stat.S_ISREG(found.st_mode):
        raise _changed(volume.path)
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    try:
        found = os.fstat(opened)
        now = FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_nlink)
        if not stat.S_ISREG(found.st_mode) or not _is_same(now, volume):
            raise _changed(volume.path)
        if has_locks(opened):
            raise _is_open(volume.path)
        _require_nothing_built_on(volume.path, now, raw)
        at_last = os.stat(name, dir_fd=place, follow_symlinks=False)
        if (at_last.st_dev, at_last.st_ino) != now.file:
            raise _changed(volume.path)
        os.unlink(name, dir_fd=place)
    finally:
        os.close(opened)


def _require_nothing_built_on(path: str, mark: FileIdentity, raw: FrozenSet[File]) -> None:
    """No pool shows what lies beside the file, and no VM may name it."""
    try:
        beside = Images().beside(path)
    except OSError as error:
        raise EffectError("changed_meanwhile", f"what lies beside {path} can't be looked at: {error}") from error
    for image in beside:
        if image.identity is not None and image.identity.file in raw:
            continue
        if image.chain_error or any(lower is not None and lower.file == mark.file for _path, lower in image.chain):
            raise EffectError("changed_meanwhile", f"{image.path} may be built on {path}")


def _require_mounted(directory: str, volume: VolumeVerdict) -> None:
    """A file is gone when the file system that it lay on is there: an unmounted one leaves an empty directory.

    It is there when the directory holds something, or still lies on the device that the file lay on.
    """
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    same = volume.identity is not None and os.stat(directory).st_dev == volume.identity.device
    if not same and not os.listdir(directory):
        raise EffectError("effect_failed", f"nothing is in {directory}: is its file system mounted?")


def _is_same(now: Optional[FileIdentity], volume: VolumeVerdict) -> bool:
    """Device numbers may have changed with a reboot since it was judged; nothing else may."""
    return now is not None and volume.identity is not None and now.lasting == volume.identity.lasting


def _changed(path: str) -> EffectError:
    return EffectError("changed_meanwhile", f"{path} is not the file any more that was judged")


def _is_open(path: str) -> EffectError:
    return EffectError("open_elsewhere", f"a process has {path} open")
