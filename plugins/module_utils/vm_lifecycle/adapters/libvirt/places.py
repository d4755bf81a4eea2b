# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a local daemon of libvirt keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

#: Where the daemon of the system keeps memory that it saved, and where that of a user does, below the user's configuration.
SYSTEM_SAVES, SESSION_SAVES = Path("/var/lib/libvirt/qemu/save"), Path("libvirt/qemu/save")
#: Where the daemon of the system keeps definitions; that of a user keeps them beside the memory.
SYSTEM_DEFINITIONS = Path("/etc/libvirt/qemu")


def definition_file(uri: str, name: str) -> str:
    """A domain's persistent definition. It is no Path: each of these leaves its parts in a table of the interpreter's."""
    return f"{SYSTEM_DEFINITIONS if _is_system(uri) else saves(uri).parent}/{name}.xml"


def saves(uri: str) -> Path:
    """The directory for memory that it saved."""
    if _is_system(uri):
        return SYSTEM_SAVES
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / SESSION_SAVES


def _is_system(uri: str) -> bool:
    return uri.split("?", 1)[0].endswith("/system")
