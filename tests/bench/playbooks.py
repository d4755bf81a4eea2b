# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of both sides, run from this controller in the same manner: one playbook, one task, no facts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import peer
from tests.bench.lab_host import LabHost
from tests.bench.on_host import names

OURS, OTHER, PING = "ours", "other", "ping"
RECAP = re.compile(r"ok=\d+ +changed=(\d+) +unreachable=0 +failed=0")
#: What is declared: all that the peer sets, and a restart policy.
DECLARATION = {"mode": "permanent", "auto_start": True, "restart_policy": "on-failure"}


def task(side: str, vms: list[str], single: bool = False) -> dict[str, Any]:
    """The task of a side for these VMs; single: for one VM as a user would write it, without a list or a loop."""
    if side == OURS:
        target = {"name": vms[0]} if single else {"vms": [{"name": name} for name in vms]}
        return {"vmops.lifecycle.vm_persistence": {**DECLARATION, **target}}
    if side == PING:
        return {"ansible.builtin.ping": {}}
    if single:
        return {peer.MODULE: {"name": vms[0], "autostart": True}}
    return {peer.MODULE: {"name": "{{ item }}", "autostart": True}, "loop": vms}


@dataclass(frozen=True)
class Controller:
    """ansible-playbook with the collections below a directory; playbooks are written there too."""

    directory: Path
    collections: Path
    host: LabHost

    def play(self, side: str, count: int, changed: bool, single: bool = False) -> float:
        """Seconds that the whole ansible-playbook takes; it must have changed something, or nothing, as changed says."""
        seconds, output = self._run(side, names(count), single, {})
        found = RECAP.search(output)
        if found is None or bool(int(found.group(1))) != changed:
            raise SystemExit(f"{side} on {count} VMs did not leave changed={changed}:\n{output[-2000:]}")
        flagged, declared = self.host.call("declared")
        if flagged != count or (side == OURS and declared != count):
            raise SystemExit(f"{side} on {count} VMs: {flagged} flagged, {declared} declared")
        return seconds

    def payload(self, side: str) -> str:
        """Path on the host of the self-contained file that Ansible sends there to run a side's module for one VM."""
        place = f"/opt/vmops-bench/payload-{side}"
        keep = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TMP": place}
        self._run(side, names(1), True, keep)
        found = self.host.shell(f"find {place} -name 'AnsiballZ_*.py'").split()
        if len(found) != 1:
            raise SystemExit(f"one payload of {side} expected on the host, found {found}")
        return found[0]

    def _run(self, side: str, vms: list[str], single: bool, extra: dict[str, str]) -> tuple[float, str]:
        playbook, settings = self.directory / f"{side}.yml", self.directory / "ansible.cfg"
        settings.write_text("", "utf-8")  # Ansible's defaults, whatever the user's own are
        play = {"name": side, "hosts": "all", "gather_facts": False, "tasks": [task(side, vms, single)]}
        playbook.write_text(json.dumps([play]), "utf-8")  # JSON is YAML
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [str(program), "-i", str(self.host.inventory), str(playbook)]
        environment = {
            **os.environ, "ANSIBLE_CONFIG": str(settings), "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", **extra,
        }  # fmt: skip
        started = time.perf_counter()
        done = subprocess.run(
            command, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise SystemExit(f"{side}: ansible-playbook ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return seconds, done.stdout
