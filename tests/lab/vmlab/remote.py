# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH to hosts, with the lab's own key and known hosts."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from vmlab.places import Host, Lab
from vmlab.processes import LabError, succeeds


def options(lab: Lab) -> list[str]:
    """Options that keep a lab's connections apart from the user's own configuration."""
    return [
        *("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={lab.known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"),
        # A host that is off has no link: its address then leads to whatever the machine's gateway makes of it.
        *("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "IdentitiesOnly=yes"),
    ]


def control_path(lab: Lab) -> str:
    """Pattern of Ansible's shared connections; one socket a host, so that a power cut can drop the host's own."""
    return f"{lab.control_directory}/%h"


def ssh_command(host: Host, extra: list[str], *command: str) -> list[str]:
    """The command line that runs `command` (words as a shell of the host reads them) as root on the host."""
    return ["ssh", "-i", str(host.lab.key), *extra, *options(host.lab), f"root@{address(host)}", *command]


def quoted(command: list[str]) -> list[str]:
    """Words that reach the host as they are; a single word is a shell command line of its own."""
    return command if len(command) == 1 else [shlex.join(command)] if command else []


def address(host: Host) -> str:
    state = host.state()
    if state is None:
        raise LabError(f"{host.name} has no address yet")
    return state.address


def copy(host: Host, sources: list[str], target: str) -> int:
    """scp; on either side NAME:path means the host. Exit status of scp."""

    def translated(place: str) -> str:
        prefix = f"{host.name}:"
        return f"root@{address(host)}:{place.removeprefix(prefix)}" if place.startswith(prefix) else place

    places = [translated(place) for place in (*sources, target)]
    return subprocess.run(
        ["scp", "-q", "-r", "-p", "-i", str(host.lab.key), *options(host.lab), *places], check=False
    ).returncode


def close_connections(host: Host) -> None:
    """End the shared connection of a host that is about to vanish: it would hang its next user."""
    state = host.state()
    if state is None:
        return
    socket = Path(host.lab.control_directory) / state.address
    if socket.exists():
        succeeds(["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", state.address])
        socket.unlink(missing_ok=True)
    known = host.lab.known_hosts
    if known.exists():
        succeeds(["ssh-keygen", "-q", "-f", str(known), "-R", state.address])
