# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of pressure: how short of memory or space a host is, and what was done to a VM about it. Data only."""

from __future__ import annotations

import math
from typing import Optional

from .frozen import dataclass

#: What a host can be short of.
MEMORY, DISK = "memory", "disk"


@dataclass(frozen=True)
class MemoryRoom:
    """A host's memory. In per cent: of the last ten seconds, the share in which some process waited for memory (None where the
    kernel does not tell), and of all memory what can still be given out.
    """

    waited: Optional[float] = None
    available: float = 100.0


@dataclass(frozen=True)
class DiskRoom:
    """What is left where a VM's own disks grow: the file system or group of volumes that has least of it.

    place: tells that one from others, and where it is, for people. full: QEMU was refused space, and the guest stands still.
    """

    place: str = ""
    free_mib: float = math.inf
    full: bool = False


@dataclass(frozen=True)
class Pressed:
    """What was done to a VM, so that others can go on. deed: suspend or kill; cause: memory or disk. Kept until it is taken back.

    place: as DiskRoom. at_unix in epoch seconds, in the boot boot_id.
    """

    uuid: str
    name: str
    cause: str
    deed: str
    place: str = ""
    at_unix: int = 0
    boot_id: str = ""
    message: str = ""


@dataclass(frozen=True)
class Thresholds:
    """When a host counts as short: by the names of VmPressurePolicy."""

    memory_waiting_percent: float = 20.0
    memory_available_percent: float = 5.0
    disk_free_mib: float = 512.0
    calm_seconds: float = 30.0


@dataclass(frozen=True)
class Victim:
    """A running VM that may be suspended or powered off. order: its start_order, infinity for none; created_unix: its age."""

    uuid: str
    name: str
    deed: str
    temporary: bool
    order: float
    created_unix: float
    place: str = ""


@dataclass(frozen=True)
class Watched:
    """How long something has not been short of, and when something was last done about it, in seconds of the boot."""

    calm_since: Optional[float] = None
    acted: float = -math.inf


@dataclass(frozen=True)
class Step:
    """What is done next. kind: press (suspend or power off), relieve (take that back), or "" for nothing; of the VM uuid."""

    kind: str = ""
    uuid: str = ""
