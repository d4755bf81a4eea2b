# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the host's clock can be believed. A wrong clock makes everything look expired, or nothing, for ever.

The yardstick within a boot is CLOCK_BOOTTIME, which nobody sets; across boots it is the highest time that was ever sane.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from ..frozen import dataclass
from ..model import ClockMemory, ClockReading
from ..version import RELEASED_UNIX

#: Seconds by which the wall clock may drift from CLOCK_BOOTTIME between two runs of one boot.
DRIFT = 90.0
#: Seconds by which an unsynchronised clock may have advanced while the host was off, before it has to be confirmed.
LEAP = 7 * 86400.0
#: Seconds of steady running after which a clock that looked wrong is taken as it is: nobody will ever synchronise it.
STEADY = 24 * 3600.0


@dataclass(frozen=True)
class ClockVerdict:
    """sane or why not, and what to remember of it. An insane clock never moves the high-water mark."""

    sane: bool
    problem: str
    memory: ClockMemory


def judge(reading: ClockReading, memory: ClockMemory, released: float = RELEASED_UNIX) -> ClockVerdict:
    """Judge one reading. Synchronisation, or a day of steady running, ends a refusal; the release date is absolute."""
    if reading.now < released:
        return ClockVerdict(False, "the clock says a time before this software was released", _suspect(reading, memory))
    problem = _problem(reading, memory)
    if problem and not reading.synchronised and not _steady(reading, memory.suspect_since):
        return ClockVerdict(False, problem, _suspect(reading, memory))
    return ClockVerdict(True, "", accept(reading))


def accept(reading: ClockReading) -> ClockMemory:
    """What to remember once a reading is believed, be it by rule or because a person says so."""
    return ClockMemory(high_water=reading.now, boottime=reading.boottime, boot_id=reading.boot_id)


def _problem(reading: ClockReading, memory: ClockMemory) -> Optional[str]:
    if not memory.high_water:
        return None
    advanced = reading.now - memory.high_water
    if reading.boot_id == memory.boot_id:
        drift = advanced - (reading.boottime - memory.boottime)
        if abs(drift) > DRIFT:
            return f"the clock jumped by {drift:.0f} s since the last run of this boot"
        return None
    if advanced < 0:
        return f"the clock is {-advanced:.0f} s behind the last run before the reboot"
    if advanced > LEAP:
        return f"the clock advanced {advanced / 86400:.0f} days across a reboot and is not synchronised"
    return None


def _suspect(reading: ClockReading, memory: ClockMemory) -> ClockMemory:
    """Keep the first reading of a run of wrong ones; a jump among them begins a new run."""
    since = memory.suspect_since
    return memory if since and _consistent(reading, since) else replace(memory, suspect_since=reading)


def _consistent(reading: ClockReading, since: ClockReading) -> bool:
    elapsed = reading.boottime - since.boottime
    return reading.boot_id == since.boot_id and abs((reading.now - since.now) - elapsed) <= DRIFT


def _steady(reading: ClockReading, since: Optional[ClockReading]) -> bool:
    return since is not None and _consistent(reading, since) and reading.boottime - since.boottime >= STEADY
