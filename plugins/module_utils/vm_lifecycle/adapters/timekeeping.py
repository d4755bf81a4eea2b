# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether something keeps the clock right. The kernel knows; a unit that may not ask it asks systemd."""

from __future__ import annotations

import ctypes
import errno
import threading
from functools import cache, lru_cache


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2); only its size and modes matter here, the state is the call's result."""

    _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_char * 252)]


#: adjtimex(2) returns this when the clock is not synchronised.
TIME_ERROR = 5
#: Seconds that systemd has to answer. It takes hundredths, and no boot must wait for a bus that hangs.
ANSWER_LIMIT = 3.0
#: Seconds for which its answer holds. A kernel believes for hours in a clock that was set right; a boot may wait for the first time.
YES_HOLDS, NO_HOLDS = 3600, 60


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@lru_cache(maxsize=1)
def synchronised(second: int) -> bool:
    """Whether the kernel says that something keeps the clock right; asked once in a second of the boot."""
    state: int = _libc().adjtimex(ctypes.byref(_Timex()))
    if state == -1 and ctypes.get_errno() == errno.EPERM:  # ProtectClock takes the question away with the setting
        return _TOLD.synchronised(second)
    return state not in (-1, TIME_ERROR)


class _Told:
    """What systemd said last. Threads that want to know at the same time ask once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._said = 0, False

    def synchronised(self, second: int) -> bool:
        with self._lock:
            if second >= self._until:
                self._said = _ask()
                self._until = second + (YES_HOLDS if self._said else NO_HOLDS)
            return self._said


_TOLD = _Told()


def _ask() -> bool:
    """systemd-timedated asks the kernel in its turn. Without it, or when it does not answer, nobody knows: then it is not."""
    import subprocess  # most runs may ask the kernel

    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        # A unit has no module whose run_command could be asked.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_LIMIT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == b"yes"
