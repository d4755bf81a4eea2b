# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the headers of disk images say they are built on.

Guests write disks, so every byte here is doubted: offsets and lengths are checked against QEMU's own limits, and what
QEMU would refuse to open is an error. Layouts are those of QEMU's docs/interop/qcow2.txt, block/qcow.c, block/qed.h
and block/vmdk.c.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, Iterator, List, NamedTuple, Tuple

#: Bytes that are read of one part of a header, at most.
LIMIT = 1 << 20
#: QEMU's longest name of a backing file, in bytes.
NAME = 1023
#: Longest path, in bytes.
PATH = 4096
#: Extents of one VMDK descriptor; 2 GiB each when a disk is split.
EXTENTS = 4096

SECTOR = 512
#: Bytes from which a file without a NUL is taken for text.
TEXT = 4096

QCOW2_DATA_FILE = 1 << 2
#: dirty, corrupt, data file, compression type, extended L2
QCOW2_KNOWN = 0b11111
EXTENSION_END, EXTENSION_FORMAT, EXTENSION_DATA_FILE = 0, 0xE2792ACA, 0x44415441

QED_BACKING_FILE = 1
QED_BACKING_RAW = 1 << 2
#: backing file, needs check, backing file is raw
QED_KNOWN = 0b111

#: Where QEMU looks for the descriptor inside a sparse VMDK, and how much of it.
VMDK_DESCRIPTOR, VMDK_DESCRIPTOR_SIZE = 0x200, 20 * SECTOR
DESCRIPTOR = b"# Disk DescriptorFile"
#: Where ISO 9660 has its primary volume descriptor: type and name first, the volume's label in bytes 40 to 71.
ISO_DESCRIPTOR, ISO_BEGIN, ISO_LABEL = 16 * 2048, b"\1CD001\1", slice(40, 72)
#: Labels of the media that cloud-init reads at a first boot.
SEED_LABELS = (b"cidata", b"config-2")
ACCESSES = (b"RW", b"RDONLY", b"NOACCESS")
EXTENT = re.compile(rb'[+-]?\d{1,20}\s{1,64}(\S{1,20})\s{1,64}"([^"]{1,511})"')
PARENT = re.compile(rb'parentFileNameHint\s{0,64}=\s{0,64}"([^"]{0,1023})"')


class Reference(NamedTuple):
    """A file's name as an image spells it. layered: whether that file's own header is read, too, when it is opened."""

    name: str
    layered: bool = True


class Header:
    """Bytes of an image by offset; refuses to read behind its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, os.SEEK_END)

    def upto(self, offset: int, length: int) -> bytes:
        """What there is of a part, no more than LIMIT."""
        if offset >= self.size:
            return b""
        self._stream.seek(offset)
        return self._stream.read(min(length, LIMIT))

    def part(self, offset: int, length: int) -> bytes:
        """A part, whole. Raises ValueError when the file ends before it does."""
        if offset + length > self.size or length > LIMIT:
            raise ValueError(f"its header names {length} bytes at {offset}, which are not there")
        found = self.upto(offset, length)
        if len(found) < length:
            raise ValueError("it became shorter while it was read")
        return found

    def name(self, offset: int, length: int) -> str:
        """A name, which ends at a NUL as it does for QEMU."""
        if length > NAME:
            raise ValueError(f"the name of its backing file has {length} bytes, more than {NAME}")
        return os.fsdecode(self.part(offset, length).split(b"\0")[0])


def references(stream: BinaryIO) -> List[Reference]:
    """What an image names as its backing file, external data file and extents; reads nothing but the stream.

    Formats that libvirt follows: qcow, qcow2, QED and VMDK. Everything else (raw, VHD, VHDX, VDI, ISO) yields nothing,
    although differencing VHDs have parents: libvirt doesn't give them to QEMU as chains either.

    Raises ValueError when the header is damaged or can't be followed, OSError when it can't be read. A raw file that
    begins like a damaged image is a damaged image here: the caller knows which files are raw.
    """
    header = Header(stream)
    head = header.upto(0, TEXT)
    if head.startswith(b"QFI\xfb"):
        found = _qcow(header)
    elif head.startswith(b"QED\0"):
        found = _qed(header)
    elif head.startswith((b"KDMV", b"COWD")):
        found = _vmdk_sparse(header, head[:4])
    elif b"\0" not in head or _text(head).startswith(DESCRIPTOR) or b"createType" in _text(head):
        found = _vmdk_text(header)
    else:
        found = []
    return [reference for reference in found if reference.name]


def _qcow(header: Header) -> List[Reference]:
    version, offset, length = struct.unpack(">IQI", header.part(4, 16))
    if version == 1:
        if not 9 <= header.part(0, 48)[32] <= 16:
            raise ValueError("its header is damaged: the size of its clusters")
        return [Reference(header.name(offset, length))] if offset else []
    if version not in (2, 3):
        raise ValueError(f"qcow2 of version {version} is not known")
    return _qcow2(header, version, offset, length)


def _qcow2(header: Header, version: int, offset: int, length: int) -> List[Reference]:
    (cluster_bits,) = struct.unpack(">I", header.part(20, 4))
    header.part(0, 72)
    incompatible, header_length = 0, 72
    if version == 3:
        (incompatible,) = struct.unpack(">Q", header.part(72, 8))
        (header_length,) = struct.unpack(">I", header.part(100, 4))
    if not 9 <= cluster_bits <= 21:
        raise ValueError("its header is damaged: the size of its clusters")
    cluster = 1 << cluster_bits
    if incompatible & ~QCOW2_KNOWN:
        raise ValueError(f"its header has unknown features: {incompatible:#x}")
    if (version == 3 and header_length < 104) or header_length > cluster or (offset and offset + length > cluster):
        raise ValueError("its header is damaged: it does not fit into the first cluster")
    extensions = list(_extensions(header, header_length, offset or cluster))
    raw = any(kind == EXTENSION_FORMAT and data.rstrip(b"\0") == b"raw" for kind, data in extensions)
    found = [Reference(header.name(offset, length), not raw)] if offset else []
    if incompatible & QCOW2_DATA_FILE:
        names = [os.fsdecode(data.split(b"\0")[0]) for kind, data in extensions if kind == EXTENSION_DATA_FILE]
        if not any(names) or any(len(name) > PATH for name in names):
            raise ValueError("its content is in another file, which it doesn't name")
        found += [Reference(name, False) for name in names]
    return found


def _extensions(header: Header, start: int, end: int) -> Iterator[Tuple[int, bytes]]:
    """Type and data of each header extension. Where they end without a mark is the name of the backing file."""
    area = header.upto(start, end - start) if end > start else b""
    position = 0
    while position < end - start:
        if position + 8 > len(area):
            raise ValueError("its header ends within its extensions")
        kind, length = struct.unpack_from(">II", area, position)
        if kind == EXTENSION_END:
            return
        if length > len(area) - position - 8:
            raise ValueError(f"its header is damaged: an extension of {length} bytes")
        yield kind, area[position + 8 : position + 8 + length]
        position += 8 + (length + 7) // 8 * 8


def _qed(header: Header) -> List[Reference]:
    cluster, _table, clusters, features = struct.unpack("<IIIQ", header.part(4, 20))
    offset, length = struct.unpack("<II", header.part(56, 8))
    if features & ~QED_KNOWN:
        raise ValueError(f"its header has unknown features: {features:#x}")
    if not features & QED_BACKING_FILE:
        return []
    if offset + length > cluster * clusters:
        raise ValueError("its header is damaged: the name of its backing file is outside")
    return [Reference(header.name(offset, length), not features & QED_BACKING_RAW)]


def _vmdk_sparse(header: Header, magic: bytes) -> List[Reference]:
    """Parents alone: QEMU reads the extents of an embedded descriptor only when the header has no capacity."""
    embedded = [header.upto(VMDK_DESCRIPTOR, VMDK_DESCRIPTOR_SIZE)]
    extents: List[Reference] = []
    if magic == b"KDMV":
        version, _flags, capacity, _grain, start, length = struct.unpack("<IIQQQQ", header.part(4, 40))
        header.part(0, VMDK_DESCRIPTOR)
        if not 1 <= version <= 3:
            raise ValueError(f"VMDK of version {version} is not known")
        if start:
            embedded.append(header.part(start * SECTOR, length * SECTOR))
            if capacity == 0:
                extents = _extents(_text(header.upto(start * SECTOR, LIMIT)))
    else:
        header.part(0, VMDK_DESCRIPTOR)
    parents = [parent for part in embedded for parent in _parents(_text(part))]
    return list(dict.fromkeys(parents + extents))


def _vmdk_text(header: Header) -> List[Reference]:
    """A descriptor is any text that tells its createType: QEMU asks for no more when a disk is declared VMDK."""
    text = _text(header.upto(0, LIMIT))
    if b"createType" not in text:
        if text.startswith(DESCRIPTOR):
            raise ValueError("its descriptor is damaged: it has no createType")
        return []
    if len(text) >= LIMIT:
        raise ValueError(f"its descriptor is larger than {LIMIT} bytes")
    return list(dict.fromkeys(_parents(text) + _extents(text)))


def _text(part: bytes) -> bytes:
    return part.split(b"\0", 1)[0]


def _parents(text: bytes) -> List[Reference]:
    found = [match.group(1) for match in PARENT.finditer(text)]
    if len(found) < text.count(b"parentFileNameHint"):
        raise ValueError("its descriptor is damaged: the name of its parent")
    return [Reference(os.fsdecode(name)) for name in found]


def _extents(text: bytes) -> List[Reference]:
    """Files that hold the content; guests write them, and QEMU takes them as the descriptor says, whatever they hold."""
    found = []
    for line in text.splitlines():
        access, _space, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        if access not in ACCESSES:
            continue
        match = EXTENT.match(rest.strip())
        if match:
            name = os.fsdecode(match.group(2))
            # QEMU takes an extent's name for a path, even when it looks like a URI
            found.append(Reference(f"./{name}" if ":" in name.split("/")[0] else name, False))
        elif not re.match(rb"\d{1,20}\s{1,64}ZERO\s*$", rest.strip()):
            raise ValueError(f"its descriptor is damaged: {os.fsdecode(line[:100])!r}")
    if len(found) > EXTENTS:
        raise ValueError(f"it has more than {EXTENTS} extents")
    return found


def is_seed(stream: BinaryIO) -> bool:
    """Whether a medium configures a cloud image at its first boot, by its label in any case. Raises OSError."""
    part = Header(stream).upto(ISO_DESCRIPTOR, ISO_LABEL.stop)
    whole = len(part) == ISO_LABEL.stop and part.startswith(ISO_BEGIN)
    return whole and part[ISO_LABEL].rstrip(b" \0").lower() in SEED_LABELS
