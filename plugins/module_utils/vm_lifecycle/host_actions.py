# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a host's boot and of its shutdown, and of people who start and stop single VMs. actions.py has the whole set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from .frozen import dataclass

if TYPE_CHECKING:
    from .boots import LastState, Place
    from .plans import Guard


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
