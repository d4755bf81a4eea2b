# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns: what is observed of a host, and what is remembered about it. Data only; no reading, no deciding."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, Mapping, Optional, Tuple

from .frozen import dataclass

if TYPE_CHECKING:
    from .disks import Storage
    from .removals import Intent, Notice, SweepPlan, UndoRecord

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
    #: It runs but for a pause that libvirt makes, to save its memory for one: who stops it now spoils that.
    passing: bool = False

    @property
    def active(self) -> bool:
        """Whether the domain has a process (a crashed domain that was preserved has one)."""
        return self.power_state != "shutoff"


@dataclass(frozen=True)
class Pressure:
    """Per cent of the last minute in which some process waited (PSI, avg60); None where the kernel does not tell."""

    cpu: Optional[float] = None
    io: Optional[float] = None
    memory: Optional[float] = None


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
