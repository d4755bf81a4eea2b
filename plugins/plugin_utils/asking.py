# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the hosts of an inventory by an Ansible of its own, so that all of its variables, vaults and ways to connect hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import collected

#: Set while hosts are asked: an inventory of theirs that asks itself would never end.
NESTED = "VMOPS_LIFECYCLE_VMS_NESTED"
#: What Ansible ends with when it ran: all went well, hosts failed (2, 3), hosts were unreachable (4), or both (6).
RAN = (0, 2, 3, 4, 6)


class AskingError(Exception):
    """Nobody could be asked, and why."""


@dataclass(frozen=True)
class Question:
    """Whom to ask, and how. inventory: as ansible -i takes them; timeout in seconds, for each host."""

    inventory: Tuple[str, ...]
    hosts: str
    uri: str = "qemu:///system"
    snapshot: bool = True
    become: bool = True
    forks: Optional[int] = None
    timeout: int = 60

    def command(self, limit: str, answers: str) -> List[str]:
        """limit: path of a file that names the hosts; answers: the directory for what they say."""
        options = {"directory": answers, "uri": self.uri, "include": ["snapshot"] if self.snapshot else []}
        words = [sys.executable, "-m", "ansible", "adhoc", self.hosts, "--limit", f"@{limit}"]
        for source in self.inventory:
            words += ["-i", source]
        words += ["-m", "vmops.lifecycle.vm_lifecycle_collect", "-a", json.dumps(options)]
        words += ["--task-timeout", str(self.timeout)]
        words += ["--become"] if self.become else []
        return words + (["--forks", str(self.forks)] if self.forks else [])


def ask(question: Question, hosts: Sequence[str], collections: Sequence[str]) -> List[Dict[str, Any]]:
    """What was collected of each host, in their order. collections: where this collection is found. Raises AskingError."""
    with tempfile.TemporaryDirectory(prefix="vm-lifecycle-") as place:
        limit, answers = Path(place, "hosts"), str(Path(place, "answers"))
        limit.write_text("".join(f"{host}\n" for host in hosts), "utf-8")
        environment = {
            **os.environ, NESTED: "1", "ANSIBLE_COLLECTIONS_PATH": ":".join(collections), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_RETRY_FILES_ENABLED": "0",
        }  # fmt: skip
        command = question.command(str(limit), answers)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode not in RAN:
            said = done.stdout.strip()[-collected.LONGEST :]
            raise AskingError(f"Ansible could not ask the hosts (it ended with {done.returncode}): {said}")
        return collected.read(
            answers, hosts, f"it gave no answer within {question.timeout} seconds, or could not be asked"
        )
