# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else on this machine uses a file: loop devices, and processes that hold QEMU's locks on it."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Iterator, Tuple

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
    "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "ocfs2", "gfs2", "virtiofs", "glusterfs",
    "fuse.glusterfs", "fuse.sshfs",
)  # fmt: skip


def is_locked(path: str) -> bool:
    """Whether some QEMU has an image open, be it one that this libvirt knows nothing of. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, LOCK_START, LOCK_LENGTH, 0)
        answer = fcntl.fcntl(descriptor, OFD_GETLK, asked)
    finally:
        os.close(descriptor)
    return bool(struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK)


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
        point = fields.split(" ")[4].replace("\\040", " ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind
