# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real world of this host: which directories and which libvirt belong together."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Tuple

from ..errors import LifecycleError
from ..ports import Host, Store, World
from ..tasks.targets import check_uri
from .libvirt.hypervisor import LibvirtHypervisor, connect
from .linux_host import LinuxHost, TalkingHost
from .sqlite_store import SqliteStore

#: Seconds between two tries to reach libvirt.
PAUSE = 0.5
CONFIGURATION = Path("/etc/vm-lifecycle")


def open_world(uri: str, talking: bool = False, patience: float = 0.0) -> World:
    """Ports for a local URI; any other is refused. qemu:///session keeps its state in the user's own directories.

    patience: seconds in which libvirt's daemon may still come up.
    """
    check_uri({"uri": uri})
    state, claims = directories(uri)
    host = (TalkingHost if talking else LinuxHost)(claims, CONFIGURATION)
    return World(connect_in_time(uri, patience), SqliteStore(state), host)


def connect_in_time(uri: str, seconds: float) -> LibvirtHypervisor:
    """Once more and again while libvirt does not answer. Raises LifecycleError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect(uri)
        except LifecycleError as error:
            away = all(problem.code == "connection_failed" for problem in error.problems)
            if not away or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE)


def open_books(uri: str, talking: bool = False) -> Tuple[Store, Host]:
    """Store and host alone: what needs no libvirt must work when libvirt does not."""
    check_uri({"uri": uri})
    state, claims = directories(uri)
    return SqliteStore(state), (TalkingHost if talking else LinuxHost)(claims, CONFIGURATION)


def directories(uri: str) -> Tuple[Path, Path]:
    """(state, claims) of a URI."""
    if uri == "qemu:///system":
        return Path("/var/lib/vm-lifecycle"), Path("/run/vm-lifecycle")
    home = Path.home()
    state = Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    run = Path(os.environ.get("XDG_RUNTIME_DIR") or state)
    return state / "vm-lifecycle", run / "vm-lifecycle" / "claims"
