# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of host boots and shutdowns: what a VM was when its host went down, its place in the order, how its start went."""

from __future__ import annotations

import math
from typing import Optional, Tuple

from .frozen import dataclass


def over(boot_id: str) -> str:
    """The identity of a boot whose VMs went down with their host. systemctl soft-reboot keeps the kernel, and with it the boot's."""
    return f"{boot_id}, over"


@dataclass(frozen=True)
class LastState:
    """What a VM was last seen to be. Written on every event by the supervisor, and by each boot and shutdown of the host.

    While the host goes down, state stays what it was before that and only reason tells that it was stopped.
    """

    uuid: str
    name: str
    #: libvirt's word, as Domain.power_state.
    state: str
    #: Why it does not run, a word of policy.power.STOPS; "" while it runs.
    reason: str = ""
    #: Epoch seconds since which it is so, and the boot of the host in which it was seen.
    at_unix: int = 0
    boot_id: str = ""
    #: What it was when the boot before this one ended; "" when nobody knows.
    before: str = ""


@dataclass(frozen=True)
class StartRecord:
    """How a VM's start went at the last boot whose plan had it. Times are seconds since run_unix, when that run began.

    outcome: ready, failed, or skipped for one that a failed dependency kept down. A failure stays until the next good start.
    """

    uuid: str
    name: str
    boot_id: str
    outcome: str
    reason: str = ""
    message: str = ""
    at_unix: int = 0
    attempts: int = 0
    #: Name of the VM that it waited for last, "" when it waited for none.
    after: str = ""
    #: When its turn came, when its first start began, when it ran, and when it was ready (or given up).
    turn: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    begun: float = 0.0
    run_unix: int = 0


@dataclass(frozen=True)
class BootRun:
    """The last boot whose VMs were started in order. ended_unix 0: it goes on, or was interrupted."""

    boot_id: str
    began_unix: int
    ended_unix: int = 0


@dataclass(frozen=True)
class Place:
    """A VM's place in the order, as VmAutoStartConfig declares it. Without one it comes last, and nobody waits for it."""

    uuid: str
    name: str
    order: float = math.inf
    delay: float = 0.0
    wait_for_ssh: bool = False
    ssh_timeout: float = 300.0
    #: stop, retry or ignore.
    on_failure: str = "retry"
    retries: int = 3
    #: Names of the VMs that must be ready first.
    depends_on: Tuple[str, ...] = ()
    #: It runs already: only its readiness is waited for.
    running: bool = False


@dataclass(frozen=True)
class Need:
    """A network or a pool that a VM can't start without. kind: network or pool."""

    kind: str
    name: str
    active: bool
    #: Whether libvirt starts it by itself at boot, so that we may.
    autostart: bool = False
    #: Whether the host has it at all.
    known: bool = True


@dataclass(frozen=True)
class Off:
    """A domain that is off, as much of it as a start asks. metadata: our text, None also for one that can't be read."""

    metadata: Optional[str]
    #: Networks and pools that it needs and that are not active.
    missing: Tuple[Need, ...] = ()


@dataclass(frozen=True)
class MemoryCost:
    """What saving a VM's memory takes. obstacle: why it can't be saved at all, such as a device of the host; "" for none."""

    mib: int
    free_mib: int
    obstacle: str = ""


@dataclass(frozen=True)
class PowerEvent:
    """An event of libvirt. kind: started, suspended, resumed, stopped, shutdown, crashed, defined, undefined, powerdown, starved.

    detail: libvirt's number for it; -1 where there is none.
    """

    uuid: str
    name: str
    kind: str
    detail: int = -1
