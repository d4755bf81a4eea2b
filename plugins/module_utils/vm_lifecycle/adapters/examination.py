# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vm-lifecycle examines of this host itself: systemd's units, and libvirt's qemu.conf."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Mapping

from ..examination import DAEMONS, GUESTS, OWN, PACEMAKER, Examination, Unit
from .machine import _systemctl as systemctl
from .machine import span

QEMU_CONF = Path("/etc/libvirt/qemu.conf")
#: A setting of qemu.conf that lets libvirt stop VMs by itself; one that is commented out is the default, which is off.
AUTO_SHUTDOWN = re.compile(r"^[ \t]*(auto_shutdown_\w+)[ \t]*=[ \t]*\"?([^\"#\n]*?)\"?[ \t]*(?:#.*)?$", re.MULTILINE)
PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "TimeoutStopUSec", "ExecStart", "ExecStop")
#: States of a unit's file in which systemd starts it at boot.
ENABLED = ("enabled", "enabled-runtime")


def examine(qemu_conf: Path = QEMU_CONF) -> Examination:
    """One call to systemctl and one file. What can't be looked at is a problem, never a refusal."""
    problems: List[str] = []
    said = systemctl("show", f"--property={','.join(PROPERTIES)}", *OWN, GUESTS, PACEMAKER, *DAEMONS)
    found = units(said)
    if not said.strip():
        problems.append("systemd does not answer, so nothing is known of its units")
    try:
        settings = auto_shutdown(qemu_conf.read_text("utf-8", "replace"))
    except FileNotFoundError:
        settings = {}
    except OSError as error:
        settings = {}
        problems.append(f"{qemu_conf}: {error.strerror}")
    return Examination(found, settings, tuple(problems))


def units(said: str) -> Dict[str, Unit]:
    """Units as systemctl show prints them, a block each; those that are not there are left out."""
    found = {}
    for block in said.split("\n\n"):
        lines = [line.split("=", 1) for line in block.splitlines() if "=" in line]
        values: Mapping[str, str] = {line[0]: line[1] for line in lines}
        name = values.get("Id", "")
        if name and values.get("LoadState") == "loaded":
            found[name] = Unit(
                name,
                values.get("ActiveState", "inactive"),
                values.get("UnitFileState") in ENABLED,
                span(values.get("TimeoutStopUSec", "infinity")),
                " ".join(values[key] for key in ("ExecStart", "ExecStop") if values.get(key)),
            )
    return found


def auto_shutdown(text: str) -> Dict[str, str]:
    """auto_shutdown_* of a qemu.conf."""
    return dict(AUTO_SHUTDOWN.findall(text))
