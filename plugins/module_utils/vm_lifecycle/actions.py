# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs: everything that the engine can do to a host, as data. The interpreter in apply.py is the only doer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping, Optional, Tuple, Union

from .frozen import dataclass
from .host_actions import Retry, Start, StayDown, Stop
from .plans import Bookkeeping, Conduct, Entry, Guard, Plan, Removing

if TYPE_CHECKING:
    from .disks import VolumeVerdict
    from .model import Document, Record
    from .recoveries import Recovery
    from .removals import Intent

# What this module offers of others; its own names need not be listed.
__all__ = ["Conduct", "Entry", "Guard", "Plan", "Retry", "Start", "StayDown", "Stop"]


@dataclass(frozen=True)
class WriteMetadata:
    """Declare: the domain's metadata becomes text. The guard is what was there before."""

    guard: Guard
    text: str


@dataclass(frozen=True)
class RemoveMetadata:
    """Forget: our element leaves the domain."""

    guard: Guard


@dataclass(frozen=True)
class SetAutostart:
    """libvirt's autostart flag becomes value. guard: when the declaration that asks for it is not written just before."""

    uuid: str
    value: bool
    guard: Optional[Guard] = None


@dataclass(frozen=True)
class SetActions:
    """What libvirt does by itself when the guest ends: values by element. guard: as for SetAutostart."""

    uuid: str
    values: Mapping[str, str]
    guard: Optional[Guard] = None


@dataclass(frozen=True)
class KeepRecord(Bookkeeping):
    """The store mirrors what was declared or seen. doomed: it is deleted at boot from now on, but not at one that has begun."""

    record: Record
    doomed: bool = False


@dataclass(frozen=True)
class DropRecord(Bookkeeping):
    """The store forgets what was declared for a VM, but not which revision that was.

    A snapshot from before may come back with its metadata, long after the VM was declared anew from revision 1.
    """

    uuid: str
    name: str
    revision: int


@dataclass(frozen=True)
class DropIntent(Bookkeeping):
    """A removal that never became irreversible is rolled back, or one that was completed is put away: nothing else."""

    uuid: str
    completed: bool = False


@dataclass(frozen=True)
class Begin(Removing):
    """Destructive chain, first step: the intent is durable before anything is done.

    Not begun before not_before, the deadline (a clock may be set back), nor from not_after on; epoch seconds.
    """

    guard: Guard
    intent: Intent
    not_after: Optional[float] = None
    not_before: Optional[float] = None


@dataclass(frozen=True)
class ShutDown:
    """Ask the guest to shut down and wait up to grace seconds; a guest that does not obey is no failure."""

    guard: Guard
    grace: int


@dataclass(frozen=True)
class PowerOff:
    """End the domain's process if it still runs."""

    guard: Guard


@dataclass(frozen=True)
class Arm:
    """Last look before the point of no return: inactive, guard holds, verdicts judged anew and only ever narrowed."""

    guard: Guard


@dataclass(frozen=True)
class KeepUndo:
    """What is needed to bring the VM back is durable before it goes. document: what its metadata says."""

    guard: Guard
    document: Document


@dataclass(frozen=True)
class Undefine:
    """Destructive: the domain's definition goes, and its NVRAM if that is libvirt's own file and nobody else's.

    With an undo to come (the intent says so), NVRAM and TPM state stay.
    """

    guard: Guard


@dataclass(frozen=True)
class DeleteVolumes:
    """Destructive: the armed intent's volumes go, each after a last look at it and its users."""

    uuid: str


@dataclass(frozen=True)
class Finish:
    """The removal is complete: schedule recorded, record forgotten, intent dropped."""

    uuid: str


@dataclass(frozen=True)
class Purge(Removing):
    """Destructive chain, first step: the time for an undo is over, so the undo record becomes an armed intent.

    volumes: the record's verdicts, as they are now. removed_unix and until_unix tell that record from a later one.
    """

    uuid: str
    volumes: Tuple[VolumeVerdict, ...] = ()
    removed_unix: int = 0
    until_unix: int = 0


@dataclass(frozen=True)
class Define:
    """Bring a removed VM back from its undo record. The record (with a hold, under a new revision) is durable first."""

    uuid: str
    record: Record


@dataclass(frozen=True)
class Complete:
    """A VM that an interrupted call defined gets what that did not come to: snapshots and the autostart flag of its undo record."""

    guard: Guard


@dataclass(frozen=True)
class DropUndo(Bookkeeping):
    """The undo record is not needed any more: the VM is back, or another one has its UUID."""

    uuid: str


@dataclass(frozen=True)
class SetLimit:
    """A limit of the persistent definition, or of the running VM, becomes amount; 0 lifts it. guard: as for SetPanicDevice.

    kind: memory (KiB) or cpu (microseconds of each tenth of a second).
    """

    uuid: str
    kind: str
    amount: int
    persistent: bool
    guard: Optional[Guard] = None


@dataclass(frozen=True)
class Pause:
    """A running VM's processors stand still, until a person resumes it."""

    guard: Guard


@dataclass(frozen=True)
class SetPanicDevice:
    """The definition has a panic device, or none any more. guard None: the declaration that asks for it is written just before."""

    uuid: str
    present: bool
    guard: Optional[Guard] = None


@dataclass(frozen=True)
class Capture:
    """What is needed to make the VM again is kept. The guard is its metadata. path: where its memory goes, too; "" for libvirt's own place.

    memory: whether that is saved, which stops the VM.
    """

    guard: Guard
    created_unix: int
    memory: bool = False
    path: str = ""


@dataclass(frozen=True)
class Redefine:
    """A VM that is missing is defined from what is kept of it, unless name, UUID or disks are taken."""

    recovery: Recovery


@dataclass(frozen=True)
class Bring:
    """A VM comes to the state that is on record: running, paused or stopped. path: memory to load; "" for libvirt's own, or none."""

    uuid: str
    state: str
    path: str = ""
    on_restore_failure: str = "fail"


@dataclass(frozen=True)
class DropRecovery:
    """Nothing is kept of the VM any more; the VM itself, and memory that was saved, stay."""

    uuid: str


Action = Union[
    WriteMetadata,
    RemoveMetadata,
    SetAutostart,
    SetActions,
    SetLimit,
    SetPanicDevice,
    KeepRecord,
    DropRecord,
    DropIntent,
    Begin,
    ShutDown,
    PowerOff,
    Arm,
    KeepUndo,
    Undefine,
    DeleteVolumes,
    Finish,
    Purge,
    Define,
    Complete,
    DropUndo,
    Start,
    Stop,
    Retry,
    StayDown,
    Pause,
    Capture,
    Redefine,
    Bring,
    DropRecovery,
]
