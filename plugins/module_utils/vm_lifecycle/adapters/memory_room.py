# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How short of memory this machine is, as the kernel tells it; and an alarm that wakes a supervisor when processes begin to wait."""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Optional

from ..pressures import MemoryRoom

PRESSURE, MEMINFO = Path("/proc/pressure/memory"), Path("/proc/meminfo")
#: What the kernel is asked to tell: some process waited for 150 ms of two seconds. Without CAP_SYS_RESOURCE it takes windows of
#: multiples of two seconds alone.
TRIGGER = b"some 150000 2000000\0"
#: Seconds between two times that the alarm goes off, at least: one look follows another anyway while memory is short.
QUIET = 2.0


def memory_room(pressure: Path = PRESSURE, meminfo: Path = MEMINFO) -> MemoryRoom:
    """What can't be read is not short of anything."""
    return MemoryRoom(waited(pressure, "avg10"), _available(meminfo))


def waited(path: Path, average: str) -> Optional[float]:
    """Share of the time in which some process waited, in per cent. average: avg10, avg60 or avg300, by its seconds.

    None where the kernel does not tell, as one that was booted with psi=0.
    """
    try:
        lines = path.read_text("ascii").splitlines()
        some = next(line for line in lines if line.startswith("some "))
        return float(dict(field.split("=", 1) for field in some.split()[1:])[average])
    except (OSError, ValueError, KeyError, StopIteration):
        return None


def _available(path: Path) -> float:
    found: Dict[str, float] = {}
    try:
        for line in path.read_text("ascii").splitlines():
            name, _colon, rest = line.partition(":")
            found[name] = float(rest.split()[0])
        return found["MemAvailable"] * 100.0 / found["MemTotal"]
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
        return 100.0


class MemoryAlarm:
    """A thread that sleeps in the kernel until processes wait for memory, and calls wake then. For as long as the process lasts.

    Where the kernel has no triggers, or does not let this process have one, it never goes off; then looks from time to time must do.
    """

    def __init__(self, wake: Callable[[], None], path: Path = PRESSURE) -> None:
        self._wake, self._path = wake, path
        self._thread: Optional[threading.Thread] = None

    def arm(self) -> bool:
        """Begin, unless it has begun; whether there is an alarm."""
        if self._thread is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(descriptor, TRIGGER)
        except OSError:
            os.close(descriptor)
            return False
        self._thread = threading.Thread(target=self._watch, args=(descriptor,), name="memory alarm", daemon=True)
        self._thread.start()
        return True

    def _watch(self, descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLPRI)
        while True:
            told = poll.poll()
            if any(event & (select.POLLERR | select.POLLNVAL) for _descriptor, event in told):
                return  # the kernel took the trigger away
            self._wake()
            time.sleep(QUIET)
