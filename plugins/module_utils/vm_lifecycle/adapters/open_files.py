# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else on this machine uses a file or a device: loop devices, QEMU's locks, device mapper, network file systems."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

#: F_OFD_GETLK: asks for a lock of another open file description, and takes none.
OFD_GETLK = 36
#: struct flock on 64-bit Linux: type, whence, start, length, pid.
FLOCK = "hhqqi4x"
#: Bytes 100 to 299 of an image carry QEMU's locks on what it may do with it (block/file-posix.c).
LOCK_START, LOCK_LENGTH = 100, 200
LOOP_DEVICES = Path("/sys/block")
MOUNTS = Path("/proc/self/mountinfo")
#: File systems on which other machines may use a file without this one knowing.
NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "lustre", "ocfs2", "gfs2", "gpfs", "beegfs", "orangefs",
    "pvfs2", "coda", "virtiofs", "glusterfs", "fuse", "autofs",
)  # fmt: skip
#: What the kernel tells of block devices, by number.
BLOCK_DEVICES = Path("/sys/dev/block")
#: A character that mountinfo writes as its octal number.
OCTAL = re.compile(r"\\([0-7]{3})")


def is_locked(path: str) -> bool:
    """Whether some QEMU has an image open, be it one that this libvirt knows nothing of. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return has_locks(descriptor)
    finally:
        os.close(descriptor)


def has_locks(descriptor: int) -> bool:
    """The same of a file that is open already."""
    asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, LOCK_START, LOCK_LENGTH, 0)
    answer = fcntl.fcntl(descriptor, OFD_GETLK, asked)
    return bool(struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK)


def is_claimed(path: str) -> bool:
    """Whether the kernel uses a block device: it is mounted, swapped to, or part of another device. Raises OSError."""
    if os.listdir(_kernel(path) / "holders"):
        return True
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    return False


def is_logical_volume(path: str, serial: str) -> bool:
    """Whether a device is the logical volume of this UUID by the kernel's own word; libvirt's list may be old. Raises OSError."""
    return (
        re.fullmatch(rf"LVM-[^-]{{32}}{re.escape(serial.replace('-', ''))}", _mapped(_kernel(path)) or "") is not None
    )


def has_snapshots(path: str) -> bool:
    """Whether other logical volumes are built on this one, which would go with it: it lies above a layer "-real" then."""
    device = _kernel(path)
    return f"{_mapped(device)}-real" in [_mapped(lower) for lower in _entries(device / "slaves")]


def _kernel(path: str) -> Path:
    found = os.stat(path)
    if not stat.S_ISBLK(found.st_mode):
        raise OSError(errno.ENOTBLK, os.strerror(errno.ENOTBLK), path)
    return BLOCK_DEVICES / f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _entries(directory: Path) -> List[Path]:
    return sorted(directory.iterdir())


def _mapped(device: Path) -> Optional[str]:
    """What device mapper calls a device, None for a device that is not its own."""
    try:
        return (device / "dm" / "uuid").read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        return None


def loop_devices() -> Iterator[Tuple[str, str]]:
    """(device, path of the file behind it) of every loop device in use."""
    for entry in sorted(LOOP_DEVICES.glob("loop*/loop/backing_file")):
        try:
            path = entry.read_text("utf-8", "surrogateescape").rstrip("\n")
        except OSError:
            continue  # it was detached while the list was read
        yield entry.parent.parent.name, path


def file_system(directory: str) -> str:
    """Type of the file system that a directory lies on, by the longest mount point above it."""
    real = os.path.realpath(directory)
    best, kind = "", ""
    for line in MOUNTS.read_text("utf-8", "surrogateescape").splitlines():
        fields, _separator, rest = line.partition(" - ")
        point = OCTAL.sub(lambda found: chr(int(found.group(1), 8)), fields.split(" ")[4])
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind


def on_network(directory: str) -> bool:
    """Whether other machines may use the files of a directory. A file system in user space may be anything."""
    kind = file_system(directory)
    return kind in NETWORK or kind.startswith("fuse.")
