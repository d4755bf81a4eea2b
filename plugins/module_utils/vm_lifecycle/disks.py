# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of storage: files, volumes, what refers to them, and what becomes of them."""

from __future__ import annotations

from typing import Optional, Tuple

from .frozen import dataclass


@dataclass(frozen=True)
class FileIdentity:
    """What tells a file from another one under the same path. size in bytes, changed_ns = ctime in nanoseconds.

    A block device has device -1, its device number as inode, and as serial what its pool knows it by (a logical volume's UUID).
    """

    device: int
    inode: int
    size: int = 0
    changed_ns: int = 0
    links: int = 1
    serial: str = ""

    @property
    def file(self) -> Tuple[int, int]:
        """Device and inode: equal for every name of one file."""
        return (self.device, self.inode)

    @property
    def lasting(self) -> Tuple[object, ...]:
        """What stays the same across reboots, when the kernel numbers devices anew."""
        if self.serial:
            return ("serial", self.serial)
        return ("file", self.inode, self.size, self.changed_ns, self.links)


@dataclass(frozen=True)
class Image:
    """A file (or device) that something refers to, and the files below it in its backing chain, nearest first."""

    path: str
    identity: Optional[FileIdentity] = None
    #: Paths and identities of its backing files and external data files.
    chain: Tuple[Tuple[str, Optional[FileIdentity]], ...] = ()
    #: Why the chain could not be read in full; then nothing can be said to be unused.
    chain_error: str = ""
    #: It is a medium that configures a cloud image at its first boot (cloud-init's cidata, config-2).
    seed: bool = False
    #: Some VM has it as a raw disk: its content is that of a guest, and no header.
    raw: bool = False


@dataclass(frozen=True)
class Attachment:
    """One reference from a domain to storage. role: disk, cdrom, floppy, kernel, initrd, nvram, snapshot, share, other."""

    uuid: str
    vm: str
    role: str
    image: Image
    target: str = ""
    kind: str = "file"
    read_only: bool = False
    shareable: bool = False


@dataclass(frozen=True)
class Volume:
    """A file below a pool's directory, or a volume of another pool type. pool_type "folder" and "inactive" are nobody's volumes."""

    pool: str
    pool_type: str
    name: str
    image: Image
    symlink: bool = False


@dataclass(frozen=True)
class Storage:
    """All that could use a file on this host: every volume, every attachment of every domain, in one view."""

    volumes: Tuple[Volume, ...] = ()
    attachments: Tuple[Attachment, ...] = ()
    #: Names of the pools that answered: a volume missing from one of these is gone, from another it is only out of sight.
    pools: Tuple[str, ...] = ()
    #: What could not be looked at (a pool that does not answer, a domain whose XML can't be read).
    problems: Tuple[str, ...] = ()
    #: Names of pools that are defined and not active.
    inactive_pools: Tuple[str, ...] = ()


@dataclass(frozen=True)
class VolumeVerdict:
    """Whether a disk goes with its VM, and why. reason is a code of reasons.VERDICTS."""

    path: str
    remove: bool
    reason: str
    pool: str = ""
    name: str = ""
    target: str = ""
    used_by: Tuple[str, ...] = ()
    identity: Optional[FileIdentity] = None
    #: As of Image: once its VM is undefined, nothing else tells that.
    raw: bool = False

    @property
    def place(self) -> str:
        """Where a person finds it: pool/name of a volume, else its path."""
        return f"{self.pool}/{self.name}" if self.pool else self.path


@dataclass(frozen=True)
class SavedDomain:
    """A domain as it can be defined again: inactive XML with secrets, XML of its snapshots (parents first), autostart flag."""

    xml: str
    snapshots: Tuple[str, ...] = ()
    autostart: bool = False
