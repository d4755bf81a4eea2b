# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daily cleanup window: HH:MM to HH:MM, end exclusive, in a time zone; equal means all day, crossing midnight works."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Optional, Tuple

from ..frozen import dataclass

CLOCK_TIME = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])\Z")


@dataclass(frozen=True)
class Window:
    """start and end in minutes after local midnight."""

    start: int
    end: int
    zone: tzinfo

    @property
    def all_day(self) -> bool:
        """Whether the window never closes."""
        return self.start == self.end


def parse_clock_time(text: str) -> int:
    """Minutes after midnight of "HH:MM". Raises ValueError, with what YAML made of an unquoted time where it shows."""
    match = CLOCK_TIME.match(text)
    if match:
        return int(match["hour"]) * 60 + int(match["minute"])
    if text.isdigit() and int(text) < 24 * 60:
        hour, minute = divmod(int(text), 60)
        raise ValueError(f'quote the time, YAML read {hour:02}:{minute:02} as {text}: write "{hour:02}:{minute:02}"')
    raise ValueError(f'must be a time HH:MM such as "22:00", got {text!r}')


def _moment(day: date, minutes: int, zone: tzinfo) -> float:
    """Epoch of a local clock time: one that daylight saving repeats is the first, one that it skips the end of the gap."""
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    moment = local.astimezone(timezone.utc)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment.timestamp()
    while (moment - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None) > local.replace(tzinfo=None):
        moment -= timedelta(minutes=1)  # back through the hour after the gap
    return moment.timestamp()


@lru_cache(maxsize=1024)
def _spans(window: Window, day: int) -> Tuple[Tuple[float, float], ...]:
    """Opening and closing of the windows that may matter on a day of UTC (days since the epoch), in order."""
    here = datetime.fromtimestamp(day * 86400, timezone.utc).date()
    spans = []
    for offset in (-2, -1, 0, 1, 2, 3):
        local = here + timedelta(days=offset)
        last = local if window.end > window.start else local + timedelta(days=1)
        opening, closing = _moment(local, window.start, window.zone), _moment(last, window.end, window.zone)
        if closing > opening:  # a window that lies wholly inside the skipped hour does not happen that day
            spans.append((opening, closing))
    return tuple(spans)


def closing_time(window: Window, now: float) -> Optional[float]:
    """When the window that is open at now closes; None when it is closed. A window that never closes: infinity."""
    if window.all_day:
        return float("inf")
    return next((closing for opening, closing in _spans(window, int(now // 86400)) if opening <= now < closing), None)


def next_open(window: Window, moment: float) -> float:
    """The first moment, at or after moment, at which the window is open."""
    if window.all_day:
        return moment
    spans = _spans(window, int(moment // 86400))
    return next(max(opening, moment) for opening, closing in spans if moment < closing)
