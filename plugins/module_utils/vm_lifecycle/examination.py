# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's own settings say about who starts and stops its VMs: units of systemd, and libvirt's configuration."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Mapping, Tuple

from .frozen import dataclass

#: Units of this software that systemd runs.
BOOT, HOST, SUPERVISOR = "vm-lifecycle-boot.service", "vm-lifecycle-host.service", "vm-lifecycle-supervisor.service"
TIMER = "vm-lifecycle-cleanup.timer"
OWN = (
    TIMER,
    "vm-lifecycle-cleanup.service",
    "vm-lifecycle-notify.service",
    BOOT,
    HOST,
    SUPERVISOR,
)
#: Those of them that go on until the host goes down.
STEADY = (TIMER, SUPERVISOR)
#: Others that start or stop VMs.
GUESTS, PACEMAKER = "libvirt-guests.service", "pacemaker.service"
#: libvirt's daemons, of which a host has the one or the other kind; a socket starts its service.
DAEMONS = ("libvirtd.service", "libvirtd.socket", "virtqemud.service", "virtqemud.socket")


@dataclass(frozen=True)
class Unit:
    """A unit of systemd that the host has. state: active, inactive, failed, activating or deactivating."""

    name: str
    state: str = "inactive"
    #: Whether systemd starts it when the host boots.
    enabled: bool = False
    #: Seconds that it has for stopping; infinity for no limit.
    stop_seconds: float = math.inf
    #: What it runs when it is started and stopped, drop-ins included.
    commands: str = ""


@dataclass(frozen=True)
class Examination:
    """A look at a host that changes nothing. units: by name, those of OWN, GUESTS, PACEMAKER and DAEMONS that it has."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    #: Lines auto_shutdown_* of libvirt's qemu.conf: name -> value, without quotes.
    auto_shutdown: Mapping[str, str] = field(default_factory=dict)
    #: What could not be looked at, in words.
    problems: Tuple[str, ...] = ()
