# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times and numbers as a reader wants them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Optional

#: From which number of seconds on a unit is used, and its size: 31 h says more than a day.
UNITS = ((172800.0, 86400.0, "d"), (3600.0, 3600.0, "h"), (60.0, 60.0, "min"))


@dataclass(frozen=True)
class Reader:
    """Times as a reader wants them."""

    now: datetime
    zone: tzinfo

    def local(self, at: datetime) -> datetime:
        """In the zone of the report."""
        return at.astimezone(self.zone)

    def when(self, at: Optional[datetime]) -> str:
        """Day and time with the zone's name, as it is at that time."""
        return self.local(at).strftime("%a %d %b %Y, %H:%M %Z") if at else "never"

    def time(self, at: datetime) -> str:
        """The time of a day that is told already."""
        return self.local(at).strftime("%H:%M %Z")

    def day(self, day: date) -> str:
        """A day, by its distance where that is short."""
        near = {0: "Today, ", 1: "Tomorrow, "}.get((day - self.local(self.now).date()).days, "")
        return near + day.strftime("%A %d %B %Y")

    def away(self, at: datetime) -> str:
        """How far away it is: in 3 h, 2 d ago."""
        seconds = (at - self.now).total_seconds()
        told = span(abs(seconds))
        return f"in {told}" if seconds > 0 else f"{told} ago"


def span(seconds: float) -> str:
    """A length of time in a unit that fits."""
    for least, size, unit in UNITS:
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plural(number: int, one: str, many: str = "") -> str:
    """1 VM, 2 VMs."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
