# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bound of the supervisor: libvirt-python's own loop, which counts events and does nothing else. usage: raw_events.py URI

It says "hears" when it does; SIGTERM ends it, and then it prints how many it heard.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import libvirt

heard = 0


def count(_connection: Any, _domain: Any, _event: int, _detail: int, _opaque: object) -> None:
    global heard
    heard += 1


def end(*_: object) -> None:
    print(heard, flush=True)
    raise SystemExit(0)


signal.signal(signal.SIGTERM, end)
libvirt.virEventRegisterDefaultImpl()
connection = libvirt.open(sys.argv[1])
connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, count, None)
# Python acts on a signal between two turns of the loop: one a second at the least.
libvirt.virEventAddTimeout(1000, lambda *_: None, None)
print("hears", flush=True)
while True:
    libvirt.virEventRunDefaultImpl()
