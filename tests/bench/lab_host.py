# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab host that the benchmark runs against."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
NAME = "kvm1"
PLACE = "/opt/vmops-bench"
#: What runs on the host.
ON_HOST = (
    *("on_host.py", "on_host_boots.py", "on_host_events.py", "on_host_supervisor.py"),
    *("raw_starts.py", "raw_events.py"),
)


class LabHost:
    """A running host of the lab that VMOPS_LAB names."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory

    def shell(self, command: str) -> str:
        """Output of a shell command on the host; what it says on standard error is shown."""
        return _lab("ssh", NAME, command)

    def copy(self, *sources: Path, target: str = PLACE) -> None:
        _lab("copy", NAME, *map(str, sources), f"{NAME}:{target}")

    def call(self, *arguments: str) -> Any:
        """What a verb of on_host.py returns."""
        return json.loads(self.shell(f"/usr/bin/python3 {PLACE}/on_host.py {' '.join(arguments)}"))

    def boots(self, *arguments: str) -> Any:
        """What a verb of on_host_boots.py returns."""
        return json.loads(self.shell(f"/usr/bin/python3 {PLACE}/on_host_boots.py {' '.join(arguments)}"))

    def events(self, *arguments: str) -> Any:
        """What on_host_events.py measures."""
        return json.loads(self.shell(f"/usr/bin/python3 {PLACE}/on_host_events.py {' '.join(arguments)}"))

    def supervisor(self, *arguments: str) -> Any:
        """What a verb of on_host_supervisor.py returns."""
        return json.loads(self.shell(f"/usr/bin/python3 {PLACE}/on_host_supervisor.py {' '.join(arguments)}"))

    def add_guests(self, names: Sequence[str]) -> None:
        """Guests of the lab, off."""
        _lab("guest", NAME, *names)


@contextmanager
def lab_host(engine: Path, keep: bool) -> Iterator[LabHost]:
    """A host with our part of the benchmark and the engine in PLACE; the lab ends with it unless keep is set."""
    os.environ.setdefault("VMOPS_LAB", "bench")
    try:
        _lab("up", NAME)
        host = LabHost(Path(_lab("inventory").strip()))
        host.shell(f"rm -rf {PLACE} && mkdir -p {PLACE}")
        host.copy(*(Path(__file__).with_name(program) for program in ON_HOST), engine)
        yield host
    finally:
        if not keep:
            _lab("down")


def _lab(*arguments: str) -> str:
    done = subprocess.run([str(LAB), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"tests/lab/lab {arguments[0]} failed with status {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout
