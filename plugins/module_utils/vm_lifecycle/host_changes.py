# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot, a shutdown and a supervisor write to the store. changes.py has the whole set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from .frozen import dataclass

if TYPE_CHECKING:
    from .boots import BootRun, LastState, StartRecord
    from .model import ClockMemory


@dataclass(frozen=True)
class RememberClock:
    """The clock's memory."""

    memory: ClockMemory


@dataclass(frozen=True)
class RememberState:
    """What a VM was last seen to be.

    unless_heard_since: epoch seconds; what a supervisor heard of the VM since then, in the same boot, is newer and stays.
    """

    state: LastState
    unless_heard_since: Optional[int] = None


@dataclass(frozen=True)
class RememberStart:
    """How a VM's start went."""

    start: StartRecord


@dataclass(frozen=True)
class RememberBoot:
    """The boot whose VMs are, or were, started in order."""

    run: BootRun


@dataclass(frozen=True)
class LogOperation:
    """One line of the operation log. at_unix in epoch seconds."""

    at_unix: int
    uuid: str
    name: str
    operation: str
    outcome: str
    message: str = ""
