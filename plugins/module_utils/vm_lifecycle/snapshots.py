# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of what VMs use: what libvirt measures of them, what is kept of that for the next reading, and the last sweep."""

from __future__ import annotations

from typing import Optional, Tuple

from .frozen import dataclass
from .model import Document


@dataclass(frozen=True)
class Statistics:
    """What is measured of a domain at one moment. None: nobody tells. Sizes in bytes."""

    uuid: str
    #: libvirt's word, as Domain.power_state, and why it is so, where that counts: io_error, starting, crashed or failed; "" otherwise.
    state: str
    reason: str = ""
    #: Number of this run of its process, another one after each start; -1 while it is off.
    run: int = -1
    #: Seconds since its process was started.
    uptime: Optional[float] = None
    #: Processor time of its process since it was started, in nanoseconds, and the number of its virtual processors.
    cpu_ns: Optional[int] = None
    processors: int = 1
    #: Memory that its process holds.
    resident: int = 0
    #: Memory in use as the guest told it, and when that was, in epoch seconds; 0: it never did.
    guest_used: Optional[int] = None
    told_unix: int = 0
    #: Space that its disks take on the host.
    disks: int = 0
    macs: Tuple[str, ...] = ()
    addresses: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Counters:
    """The last reading of a VM, from which the next one's rates follow. boottime: seconds of the boot named by boot_id."""

    uuid: str
    run: int
    boot_id: str
    boottime: float
    cpu_ns: int = 0
    cpu_percent: float = 0.0
    #: Seconds for which it had run at that moment.
    uptime: float = 0.0


@dataclass(frozen=True)
class Sample:
    """A VmStateSnapshot of a VM, and what is kept for the next one. memory and disks: the same as in it, in bytes."""

    uuid: str
    taken_unix: int
    snapshot: Document
    counters: Counters
    memory: int = 0
    disks: int = 0


@dataclass(frozen=True)
class SweepRun:
    """How the last sweep of the timer ended. outcome: done, failed (of some VM), or refused, which message explains."""

    ended_unix: int
    outcome: str
    removed: int = 0
    kept: int = 0
    failed: int = 0
    waiting: int = 0
    message: str = ""
