# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of saved memory, and the disks under it: whether an image is whole, how it is kept, what a disk looks like. No libvirt."""

from __future__ import annotations

import os
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..recoveries import DiskMark, Memory
from .durable_files import make_directory, sync_directory

#: How libvirt's QEMU driver begins an image: until it is complete, and then.
UNFINISHED, WHOLE = b"LibvirtQemudPart", b"LibvirtQemudSave"
#: After these words: version of the layout, length of the definition that follows the header; more that is not looked at.
NUMBERS = "II"
HEADER_SIZE = 92
#: A layout's number; a larger one is a small one of a machine with the other order of bytes.
HIGHEST_VERSION = 0xFFFF
#: Bytes that are copied at once.
PIECE = 16 * 2**20


def memory_of(path: str, managed: bool) -> Memory:
    """A file of saved memory as it lies there. Raises OSError."""
    found = os.stat(path)
    return Memory(path, found.st_size, found.st_mtime_ns, managed)


def image_problem(path: str) -> str:
    """Why an image can't be loaded, by its beginning; "" when that is sound. libvirt starts cold over some, and removes them."""
    try:
        with open(path, "rb") as stream:
            begin, size = stream.read(HEADER_SIZE), os.fstat(stream.fileno()).st_size
    except OSError as error:
        return f"the saved memory {path} can't be read: {error.strerror}"
    if begin.startswith(UNFINISHED):
        return f"the saved memory {path} is incomplete: saving it was interrupted"
    if len(begin) < HEADER_SIZE:
        return f"the saved memory {path} ends within its header"
    if not begin.startswith(WHOLE):
        return f"{path} is no saved memory of libvirt"
    version, length = struct.unpack_from(f"<{NUMBERS}", begin, len(WHOLE))
    if version > HIGHEST_VERSION:
        version, length = struct.unpack_from(f">{NUMBERS}", begin, len(WHOLE))
    return f"the saved memory {path} ends before the memory begins" if size <= HEADER_SIZE + length else ""


def is_unfinished(path: str) -> bool:
    """Whether it is what a save left that was interrupted, which may be no byte at all."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(UNFINISHED)) in (UNFINISHED, b"")
    except OSError:
        return False


def disk_mark(path: str) -> DiskMark:
    """A disk's file as it is now. A device has no time of change: its node is made anew at each boot."""
    try:
        found = os.stat(path)
        if stat.S_ISBLK(found.st_mode):
            return DiskMark(path, _device_size(path, found.st_rdev), 0)
    except OSError:
        return DiskMark(path, -1, 0)
    return DiskMark(path, found.st_size, found.st_mtime_ns)


def _device_size(path: str, number: int) -> int:
    """By the kernel's word, since a sandbox that shows a device need not let it be opened. Raises OSError."""
    told = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/size")
    if told.exists():
        return int(told.read_text("ascii")) * 512  # it counts in sectors, whatever the device's own are
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(opened, 0, os.SEEK_END)
    finally:
        os.close(opened)


def keep_aside(source: str, directory: Path, uuid: str) -> Path:
    """A second name of the file, or a copy, below directory: durable, and only there when it is whole. Raises OSError.

    It is named after the VM and the moment of saving. One that a run made which was killed before it could tell is taken.
    """
    make_directory(directory)
    with open(source, "rb") as stream:
        here = os.fstat(stream.fileno())
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(here.st_mtime))
        for left in directory.glob(f".{uuid}-*"):
            left.unlink()
        target, number = directory / f"{uuid}-{moment}", 1
        while target.exists() and not _is_same(here, target.stat()):
            number += 1
            target = directory / f"{uuid}-{moment}-{number}"
        if not target.exists():
            _place(source, stream, target)
        sync_directory(directory)
    return target


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _place(source: str, stream: BinaryIO, target: Path) -> None:
    begun = target.with_name(f".{target.name}")
    try:
        try:
            os.link(source, begun)
            os.fsync(stream.fileno())
        except OSError:  # another file system, or the same one seen through a sandbox, or not allowed
            _copy(stream, begun)
        os.rename(begun, target)
    except BaseException:
        with suppress(FileNotFoundError):
            begun.unlink()
        raise


def _copy(stream: BinaryIO, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as copy:
        _copy_content(stream.fileno(), copy.fileno())
        here, there = os.fstat(stream.fileno()), os.fstat(copy.fileno())
        if here.st_size != there.st_size:
            raise OSError(f"{there.st_size} of {here.st_size} bytes were copied")
        os.utime(copy.fileno(), ns=(here.st_atime_ns, here.st_mtime_ns))
        os.fsync(copy.fileno())


def _copy_content(source: int, target: int) -> None:
    """By the kernel, which may share the blocks; where it does not, by hand."""
    with suppress(OSError):
        while os.copy_file_range(source, target, PIECE):
            pass
    while True:  # from where the kernel left off
        piece = os.read(source, PIECE)
        if not piece:
            return
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]


def sync_file(path: str) -> None:
    """Make a file and its name durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(Path(path).parent)
