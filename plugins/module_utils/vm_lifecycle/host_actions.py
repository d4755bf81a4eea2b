# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a host's boot, its shutdown, of recovery and of limits, and the guard of all verbs. actions.py has the whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .boots import LastState, Place
    from .recoveries import Recovery


@dataclass(frozen=True)
class Guard:
    """What must still be true of a VM when something is done to it: its UUID exists, with this metadata text's digest."""

    uuid: str
    digest: Optional[str]


@dataclass(frozen=True)
class Start:
    """At host boot: the VM is started when its turn comes, and waited for. last: what it was when its host went down."""

    guard: Guard
    place: Place
    last: Optional[LastState] = None
    #: A dependency of it that nobody starts; then it is not started either.
    unmet: str = ""
    #: Its processors stand still afterwards, as when its host went down.
    paused: bool = False
    #: What happens when its saved memory does not fit: fail or start-cold.
    on_restore_failure: str = "fail"


@dataclass(frozen=True)
class Stop:
    """At host shutdown: the VM goes down when its turn comes. how: save-state, shutdown or destroy, each falling back to the next.

    seconds: for each of saving and shutting down.
    """

    guard: Guard
    place: Place
    how: str
    seconds: float


@dataclass(frozen=True)
class Retry:
    """A person starts a VM that the supervisor gave up, or would start later."""

    uuid: str


@dataclass(frozen=True)
class StayDown:
    """A VM that is off stays off: it counts as stopped by somebody."""

    uuid: str
    name: str


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
