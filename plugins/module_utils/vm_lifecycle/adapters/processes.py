# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of guests: since when they run, and what they hold."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple, Optional

PROC = Path("/proc")
#: Where libvirt's daemons keep the numbers of their guests' processes.
SYSTEM_RUN, SESSION_RUN = Path("/run/libvirt/qemu"), Path("libvirt/qemu/run")
#: Field of /proc/<pid>/stat that has the start of a process, counted from the one after its name.
START = 19


class Process(NamedTuple):
    """uptime in seconds, None when nobody can tell; resident in bytes."""

    uptime: Optional[float] = None
    resident: int = 0


def of_guest(uri: str, name: str, uuid: str) -> Process:
    """The QEMU of a domain. Nothing is known of one that libvirt has no note of, or that may not be looked at."""
    try:
        number = int((_directory(uri) / f"{name}.pid").read_text("ascii"))
        if uuid.encode() not in (PROC / str(number) / "cmdline").read_bytes():
            return Process()  # an old note, and the number is another process's by now
        # its name may have anything in it, brackets and blanks included
        fields = (PROC / str(number) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        pages = int((PROC / str(number) / "statm").read_text("ascii").split()[1])
        started = int(fields[START]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return Process()
    return Process(max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0), pages * os.sysconf("SC_PAGE_SIZE"))


def _directory(uri: str) -> Path:
    if uri.split("?", 1)[0].endswith("/system"):
        return SYSTEM_RUN
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / SESSION_RUN
