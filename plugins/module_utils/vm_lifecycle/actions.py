# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs: everything that the engine can do to a host, as data. The interpreter in apply.py is the only doer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import FrozenSet, Mapping, Optional, Tuple, Union

from .changes import StoreChange
from .host_actions import (
    Bring,
    Capture,
    DropRecovery,
    Guard,
    Pause,
    Redefine,
    Retry,
    SetLimit,
    SetPanicDevice,
    Start,
    StayDown,
    Stop,
)
from .model import Document, Intent, Pressure, Record, VolumeVerdict

# What this module offers of others; its own names need not be listed.
__all__ = [
    "Bring", "Capture", "DropRecovery", "Guard", "Pause", "Redefine", "Retry", "SetLimit", "SetPanicDevice", "Start", "StayDown",
    "Stop",
]  # fmt: skip


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
class KeepRecord:
    """The store mirrors what was declared or seen. doomed: it is deleted at boot from now on, but not at one that has begun."""

    record: Record
    doomed: bool = False


@dataclass(frozen=True)
class DropRecord:
    """The store forgets what was declared for a VM, but not which revision that was.

    A snapshot from before may come back with its metadata, long after the VM was declared anew from revision 1.
    """

    uuid: str
    name: str
    revision: int


@dataclass(frozen=True)
class DropIntent:
    """A removal that never became irreversible is rolled back, or one that was completed is put away: nothing else."""

    uuid: str
    completed: bool = False


@dataclass(frozen=True)
class Begin:
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
class Purge:
    """Destructive chain, first step: the time for an undo is over, so the undo record becomes an armed intent.

    volumes: the record's verdicts, as they are now.
    """

    uuid: str
    volumes: Tuple[VolumeVerdict, ...] = ()


@dataclass(frozen=True)
class Define:
    """Bring a removed VM back from its undo record. The record (with a hold, under a new revision) is durable first."""

    uuid: str
    record: Record


@dataclass(frozen=True)
class DropUndo:
    """The undo record is not needed any more: the VM is back, or another one has its UUID."""

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

#: Actions that only keep the engine's own books: they never make a result "changed".
BOOKKEEPING: FrozenSet[type] = frozenset({KeepRecord, DropRecord, DropIntent, DropUndo})


@dataclass(frozen=True)
class Entry:
    """What is planned for one VM: why, and the actions in their order. decision is the word that the result will use."""

    uuid: str
    name: str
    decision: str
    reason: str
    message: str
    actions: Tuple[Action, ...] = ()
    #: The declaration as it will be (after) and as it was (before), without the recorded state of the host.
    before: Optional[Document] = None
    after: Optional[Document] = None
    verdicts: Tuple[VolumeVerdict, ...] = ()
    schedule: Optional[Document] = None
    #: Epoch seconds from which the VM may go, as far as its own deadline is concerned.
    due_unix: Optional[float] = None
    warnings: Tuple[str, ...] = ()
    #: How its limits stand now and afterwards; None when nobody asked.
    limits: Optional[Tuple[Document, Document]] = None

    @property
    def changes(self) -> bool:
        """Whether carrying this out changes the host, and not only our own books."""
        return any(type(action) not in BOOKKEEPING for action in self.actions)

    @property
    def removes(self) -> bool:
        """Whether it begins to remove something, which takes one of the host's places for that."""
        return any(type(action) in (Begin, Purge) for action in self.actions)


@dataclass(frozen=True)
class Conduct:
    """How a plan is carried out. The defaults are those of a plan that removes nothing.

    batch_size: removals after which the host is looked at again. workers: removals at once, over all runs of the host.
    """

    batch_size: int = 1
    workers: int = 1
    #: Pressure above which no further batch begins.
    limits: Pressure = field(default_factory=Pressure)
    max_attempts: int = 5
    #: Whether operations that succeed are logged.
    log: bool = True
    #: Whether failures are told to the hooks.
    alert: bool = False
    #: Whether files outside pools may go.
    unpooled: bool = False
    #: Whether nothing is done at all when the store can't be written. Without it that is a failure, but stops nothing.
    needs_store: bool = True
    #: Moment of the boot, in seconds, at which it has to be over; infinity for no limit.
    until: float = math.inf


@dataclass(frozen=True)
class Plan:
    """What a run would do. An empty plan, or one that is not applied, changes nothing."""

    entries: Tuple[Entry, ...] = ()
    warnings: Tuple[str, ...] = ()
    #: What is written to the store first, all of it or nothing.
    books: Tuple[StoreChange, ...] = ()
    conduct: Conduct = field(default_factory=Conduct)
