# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether libvirt can apply limits on this machine: its control groups, and what its daemon may let a process lock."""

from __future__ import annotations

import math
import os
import re
import resource
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

from ..limits import CPU, MEMORY, Controllers

QEMU_CONF = Path("/etc/libvirt/qemu.conf")
#: Where libvirt's daemons say which process they are.
PID_FILES = ("libvirtd.pid", "virtqemud.pid")
#: The controllers that libvirt may use; without the line, all that there are.
CONFIGURED = re.compile(r"^[ \t]*cgroup_controllers[ \t]*=[ \t]*\[(.*?)\]", re.MULTILINE | re.DOTALL)
#: Number of the capability to raise limits of resources.
CAP_SYS_RESOURCE = 24


def controllers(root: Path = Path("/")) -> Controllers:
    """What there is below a root directory. What can't be read is not there."""
    allowed = _allowed(_text(root / QEMU_CONF.relative_to("/")))
    there = dict(_mounted(root))
    problems = {}
    for kind in (MEMORY, CPU):
        problems[kind] = there.get(kind, f"this host has no control group controller for {kind}")
        if not problems[kind] and allowed is not None and kind not in allowed:
            problems[kind] = f"cgroup_controllers in {QEMU_CONF} leaves out {kind}"
    return Controllers(problems[MEMORY], problems[CPU], _lockable(root))


def _allowed(text: str) -> Optional[Tuple[str, ...]]:
    found = CONFIGURED.search(text)
    return None if found is None else tuple(re.findall(r'"(\w+)"', found[1]))


def _mounted(root: Path) -> Iterator[Tuple[str, str]]:
    """(controller, why libvirt can't use it, or ""), of version 1 and then of version 2."""
    for line in _text(root / "proc/self/mounts").splitlines():
        _source, point, kind, options, *_rest = [*line.split(), "", "", "", ""]
        place = root / point.lstrip("/")
        names: Dict[str, None] = dict.fromkeys(options.split(","))
        if kind == "cgroup2":
            names = dict.fromkeys(_text(place / "cgroup.controllers").split())
        elif kind != "cgroup":
            continue
        writable = os.access(place, os.W_OK) and ("ro" not in options.split(","))
        for controller in (MEMORY, CPU):
            if controller in names:
                yield controller, "" if writable else f"the control groups for {controller} are mounted read-only"


def _lockable(root: Path) -> float:
    """KiB of memory that libvirt's daemon may let a process lock; infinity when it may raise that at will.

    Whether raising is possible is tried by this process, since a capability inside a container is worth nothing there.
    """
    process = root / "proc" / (_daemon(root) or "self")
    held = re.search(r"^CapEff:\s*([0-9a-f]+)$", _text(process / "status"), re.MULTILINE)
    if held is not None and int(held[1], 16) >> CAP_SYS_RESOURCE & 1 and _may_raise():
        return math.inf
    limit = re.search(r"^Max locked memory\s+\S+\s+(\S+)", _text(process / "limits"), re.MULTILINE)
    if limit is None:
        return 0.0
    return math.inf if limit[1] == "unlimited" else int(limit[1]) / 1024


def _daemon(root: Path) -> str:
    for name in PID_FILES:
        said = _text(root / "run" / name).strip()
        if said.isdigit() and (root / "proc" / said).exists():
            return said
    return ""


def _may_raise() -> bool:
    """Whether this process may raise a hard limit, which is put back at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard == resource.RLIM_INFINITY:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard + 4096))
    except (OSError, ValueError):
        return False
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
