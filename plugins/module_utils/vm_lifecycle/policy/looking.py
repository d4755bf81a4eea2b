# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the supervisor looks at its host, besides hearing events, since not all that happens is told; and how often it records them.

A libvirt daemon that takes over from another one tells nothing of the VMs that stopped in between, and may itself notice only
when it has gone through all of them.
"""

from __future__ import annotations

from typing import Optional

#: Seconds between the look when a connection was made and the next one, and between all later ones: while a connection lasts events
#: are lost by accident only, and a look at a thousand VMs takes a third of a second.
SOON, REGULARLY = 10.0, 1200.0


def next_look(connected: float, looked: Optional[float]) -> float:
    """When to look, in seconds of the boot, as the arguments: when the connection was made, and the last look since, None for none."""
    if looked is None:
        return connected
    return connected + SOON if looked < connected + SOON else looked + REGULARLY


#: Seconds from one record to the next, at least: what happens meanwhile becomes durable together.
PACE = 0.1


def rest(recorded: float, now: float) -> float:
    """Seconds to wait before more is recorded. recorded: when that was done last, in seconds of the boot.

    A single event is recorded at once; of a flood, what a tenth of a second brings.
    """
    return min(max(recorded + PACE - now, 0.0), PACE)
