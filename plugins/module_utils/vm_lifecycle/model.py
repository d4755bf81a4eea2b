# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns: what is observed of a host, and what is remembered about it. Data only; no reading, no deciding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Mapping, Optional, Tuple

#: A JSON object that was validated against its schema, e.g. a VmPersistence.
Document = Dict[str, Any]

HOUR = 3600


@dataclass(frozen=True)
class Domain:
    """A domain as libvirt describes it in bulk. power_state is libvirt's word: running, paused, shutoff, crashed..."""

    uuid: str
    name: str
    power_state: str
    persistent: bool = True
    autostart: bool = False
    #: Text of our metadata element in the persistent definition (CONFIG), None when there is none.
    metadata: Optional[str] = None
    #: Why the metadata could not be read; unreadable is never the same as none.
    metadata_error: str = ""
    #: Its memory was saved (a managed save): the next start goes on from there.
    saved: bool = False

    @property
    def active(self) -> bool:
        """Whether the domain has a process (a crashed domain that was preserved has one)."""
        return self.power_state != "shutoff"


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


@dataclass(frozen=True)
class SavedDomain:
    """A domain as it can be defined again: inactive XML with secrets, XML of its snapshots (parents first), autostart flag."""

    xml: str
    snapshots: Tuple[str, ...] = ()
    autostart: bool = False


@dataclass(frozen=True)
class Pressure:
    """Per cent of the last minute in which some process waited (PSI, avg60); None where the kernel does not tell."""

    cpu: Optional[float] = None
    io: Optional[float] = None
    memory: Optional[float] = None


@dataclass(frozen=True)
class Hooks:
    """Whom to tell: a command that reads an event as JSON on its standard input, an address that takes it by POST."""

    command: Tuple[str, ...] = ()
    webhook: str = ""


@dataclass(frozen=True)
class Notice:
    """A message for the hooks. kind: expiring, failed or confirmation. delivered_unix 0: not arrived yet."""

    key: str
    kind: str
    uuid: str
    name: str
    message: str
    queued_unix: int
    delivered_unix: int = 0
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True)
class SeenVm:
    """A VM in a plan as a person saw it. digest: over UUID, deadline and verdicts. confirmed_unix 0: not confirmed."""

    uuid: str
    name: str
    digest: str
    confirmed_unix: int = 0


@dataclass(frozen=True)
class SweepPlan:
    """A plan that waits for confirmation, or that was confirmed, as a whole or for some of its VMs."""

    plan_id: str
    digest: str
    created_unix: int
    vms: Tuple[SeenVm, ...] = ()


@dataclass(frozen=True)
class ClockReading:
    """The host's clocks at one moment, in seconds: wall since the epoch, boottime since the boot named by boot_id."""

    now: float
    boottime: float
    boot_id: str
    synchronised: bool = False


@dataclass(frozen=True)
class ClockMemory:
    """What is remembered of the clock: the highest sane time, where it was read, and since when it looks wrong."""

    high_water: float = 0.0
    boottime: float = 0.0
    boot_id: str = ""
    #: The first reading of the present run of readings that looked wrong; None while the clock is sane.
    suspect_since: Optional[ClockReading] = None


@dataclass(frozen=True)
class Record:
    """What the store remembers of a VM. document is the last metadata document seen or written, digest is of it.

    An empty document: the VM was forgotten, and only the revision that it had is known.
    """

    uuid: str
    name: str
    revision: int
    digest: str
    document: Document = field(default_factory=dict)
    power_state: str = ""
    #: Epoch seconds at which power_state was first seen.
    last_state_change: int = 0


@dataclass(frozen=True)
class Intent:
    """A removal that has begun. armed: the VM is about to be undefined; once it is, the removal is finished."""

    uuid: str
    name: str
    #: Digest of the metadata text that the removal was planned on.
    digest: str
    #: The VM's inactive definition, so that nothing but the disks' content is lost.
    definition: str
    volumes: Tuple[VolumeVerdict, ...] = ()
    armed: bool = False
    started_unix: int = 0
    schedule: Document = field(default_factory=dict)
    #: Epoch seconds until which the disks are kept for an undo; 0: they go with the VM.
    undo_until: int = 0
    #: The VM was removed before, for an undo, whose time is over now.
    purge: bool = False
    #: Revision of its declaration: a VM that comes back with it, by somebody's hand, is not removed again.
    revision: int = 0


@dataclass(frozen=True)
class UndoRecord:
    """A VM that was removed and whose disks are still there. volumes: verdicts on them, as they will be purged."""

    uuid: str
    name: str
    removed_unix: int
    until_unix: int
    saved: SavedDomain
    #: Digest of its metadata text, and the document in it.
    digest: str = ""
    document: Document = field(default_factory=dict)
    volumes: Tuple[VolumeVerdict, ...] = ()
    schedule: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """The world as one task needs it; what a task does not need is left empty."""

    clock: ClockReading
    memory: ClockMemory
    domains: Tuple[Domain, ...] = ()
    records: Mapping[str, Record] = field(default_factory=dict)
    schedules: Mapping[str, Document] = field(default_factory=dict)
    intents: Tuple[Intent, ...] = ()
    undo: Tuple[UndoRecord, ...] = ()
    plans: Tuple[SweepPlan, ...] = ()
    notices: Tuple[Notice, ...] = ()
    #: Storage pools that the host is known to have: name -> since when it is missed, 0 when it was there.
    pools: Mapping[str, int] = field(default_factory=dict)
    pressure: Pressure = field(default_factory=Pressure)
    storage: Optional[Storage] = None
    #: What of the store can't be understood.
    damage: Tuple[str, ...] = ()
    #: Why storage could not be read although it was needed.
    storage_problem: str = ""
    #: Why the store could not be read although something is done all the same; then nothing is written to it first.
    store_problem: str = ""
    #: Features whose units are enabled on this host: cleanup, boot, supervisor, snapshots.
    features: FrozenSet[str] = frozenset()
    #: What libvirt does when guests end, by UUID, as policy/habits.py; of VMs for which that counts.
    ends: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
