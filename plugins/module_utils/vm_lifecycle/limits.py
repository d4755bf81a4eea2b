# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of limits: how large a VM is, what it is limited to, and what its host can apply. Data only."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Mapping, Optional, Tuple

from .frozen import dataclass

#: What can be limited.
MEMORY, CPU = "memory", "cpu"
KINDS = (MEMORY, CPU)
#: Microseconds that a quota of processor time is counted over: the kernel's own default.
PERIOD = 100000


@dataclass(frozen=True)
class Size:
    """A VM by one of its definitions, as far as its limits follow from it. Sizes in KiB."""

    #: The most memory, and the most virtual processors, that it may be given while it runs.
    memory_kib: int
    processors: int
    video_kib: int = 0
    disks: int = 0
    #: Processes beside QEMU: of shared directories and of a TPM.
    helpers: int = 0
    #: QEMU translates the guest's code instead of running it.
    emulated: bool = False
    #: What its memory may have to be locked for, which a limit would bound, too; "" for nothing.
    locked_for: str = ""


@dataclass(frozen=True)
class Bounds:
    """What a VM is limited to; None for no limit. cpu: microseconds for the whole VM, and of which period."""

    memory_kib: Optional[int] = None
    cpu: Optional[Tuple[int, int]] = None


@dataclass(frozen=True)
class Side:
    """One of a VM's two definitions: the persistent one, or the one that its process runs by."""

    size: Size
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class LimitsSeen:
    """A VM's limits as they are. live: None while it is off."""

    persistent: Side
    live: Optional[Side] = None
    #: Limit -> why libvirt has none for the running VM, in its own words.
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DiskUsage:
    """What a running VM's own images take on their storage, and what they can hold, in bytes."""

    allocated: int
    capacity: int


@dataclass(frozen=True)
class Controllers:
    """What a host can apply. memory, cpu: why libvirt has no control group for it; "" when it has."""

    memory: str = ""
    cpu: str = ""
    #: Memory that libvirt may allow a process to lock: it allows a VM as much as its limit is, or does not start it.
    lockable_kib: float = math.inf

    def problem(self, kind: str) -> str:
        """Why a limit of that kind can't be applied here, whatever VM it is for."""
        return self.memory if kind == MEMORY else self.cpu
