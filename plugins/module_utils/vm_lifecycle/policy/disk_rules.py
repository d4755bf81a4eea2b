# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk and the place where it lies say by themselves, before anybody asks who else uses it."""

from __future__ import annotations

import posixpath
from typing import Optional, Tuple

from ..disks import Attachment, FileIdentity, Volume

#: How a file is known: by device and inode where it exists, else by its path.
Key = Tuple[object, ...]

#: Pool types whose volumes are plain files of one directory.
DIRECTORIES = ("dir", "fs")
#: Volumes are block devices of a volume group.
LOGICAL = "logical"
#: Pool types whose volumes other hosts may use too, which nobody can see from here.
NETWORK = ("netfs", "gluster", "rbd", "sheepdog", "vstorage", "iscsi-direct")
#: Not a pool type of libvirt: a file that a definition names and that lies in no pool, with pool "".
UNPOOLED = "unpooled"
#: Not a pool type either: a file in the directory of such a file, which may be built on it.
BESIDE = "beside"
#: The device of a block device's identity.
BLOCK = -1


def key_of(path: str, identity: Optional[FileIdentity]) -> Key:
    """Two references mean the same file exactly when their keys are equal, whatever path, link or mount they use."""
    return ("file", *identity.file) if identity else ("path", path)


def rank(volume: Volume) -> Tuple[int, bool]:
    """Several pools may show one file. The most careful view of it counts, but for pools in which it is nobody's volume."""
    if volume.pool_type in NETWORK:
        place = 0
    elif volume.pool_type in (*DIRECTORIES, LOGICAL):
        place = 2
    else:
        place = {"inactive": 3, "folder": 4, UNPOOLED: 5, BESIDE: 6}.get(volume.pool_type, 1)
    return place, volume.symlink


def judged(attachment: Attachment) -> bool:
    """Whether a verdict is given on it: on disks and media, and on disks and memory that a snapshot names.

    What else a snapshot's definition mentions (its firmware, its media) has no target.
    """
    return attachment.role in ("disk", "cdrom", "floppy") or (attachment.role == "snapshot" and attachment.target != "")


def plain(attachment: Attachment) -> bool:
    """Whether a use of a file is one as an ordinary disk, now or in a snapshot."""
    as_disk = attachment.role in ("disk", "snapshot") and judged(attachment)
    return as_disk and not attachment.shareable and not attachment.read_only


def own_seed(attachment: Attachment, volume: Optional[Volume]) -> bool:
    """Whether a CD-ROM is the VM's own medium for its first boot: it says so, and its file is named after the VM.

    A letter or digit after the VM's name would make it another name: web10.iso is not of the VM web1.
    """
    if not attachment.image.seed or volume is None or volume.pool_type not in (*DIRECTORIES, "inactive"):
        return False
    file = posixpath.basename(volume.name)
    following = file[len(attachment.vm) :][:1]
    return bool(attachment.vm) and file.startswith(attachment.vm) and following != "" and not following.isalnum()


def own_reason(attachment: Attachment, volume: Optional[Volume], unpooled: bool) -> str:
    """The first rule that keeps the disk, whoever uses it; empty when none does. unpooled: files of no pool may go."""
    medium = attachment.role == "cdrom"
    if attachment.role == "floppy" or (medium and not own_seed(attachment, volume)):
        return "removable_medium"
    if attachment.read_only and not medium:  # a CD-ROM always is
        return "read_only"
    if attachment.shareable:
        return "shareable"
    if attachment.kind == "network" or (volume is not None and volume.pool_type in NETWORK):
        return "network_storage"
    if attachment.kind not in ("file", "volume", "block"):
        return "unsupported_kind"
    if attachment.image.identity is None:
        return "chain_unreadable" if attachment.image.chain_error else "missing"
    if volume is None:
        return "unsupported_kind" if attachment.kind == "block" else "not_in_pool"
    return _place_reason(attachment.kind, attachment.image.identity, volume, unpooled)


def _place_reason(kind: str, identity: FileIdentity, volume: Volume, unpooled: bool) -> str:
    if volume.pool_type == "inactive":
        return "pool_inactive"
    if volume.pool_type == LOGICAL:
        return "" if kind != "file" and _is_logical(volume) else "unsupported_kind"
    if kind == "block":
        return "unsupported_kind"
    if volume.pool_type in ("folder", BESIDE) or (volume.pool_type == UNPOOLED and not (unpooled and kind == "file")):
        return "not_in_pool"
    if volume.pool_type not in (*DIRECTORIES, UNPOOLED) or (identity.device == BLOCK and not volume.symlink):
        return "unsupported_kind"
    if volume.symlink:
        return "symlink"
    return "hard_linked" if identity.links != 1 else ""


def _is_logical(volume: Volume) -> bool:
    """Only a device that its volume group knows by a UUID: its number is another one after a reboot."""
    identity = volume.image.identity
    return identity is not None and identity.device == BLOCK and identity.serial != ""
