# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of the machine's end, which addresses are its own, and whether an SSH server answers at another one."""

from __future__ import annotations

import ipaddress
import math
import re
import socket
import time
from pathlib import Path
from typing import Dict, FrozenSet, List

from .service_manager import system_state

#: The unit whose stop takes the VMs down.
STOPPING_UNIT = "vm-lifecycle-host.service"
#: Targets that end this run of the machine; a job that starts one of them is the order to do so.
ENDINGS = ("shutdown", "reboot", "poweroff", "halt", "kexec", "soft-reboot")
#: States of the machine. To end it makes it stopping from the first moment, unless it is still starting: then only the job tells.
ENDED, LASTING = ("stopping",), ("running", "degraded")
#: Seconds that systemctl has to answer; it takes hundredths, but everything else goes down at the same time.
ANSWER_LIMIT = 10.0

SSH_PORT = 22
#: Seconds that a server has to take a connection, and then to send its banner.
SSH_LIMIT = 2.0
#: What it may say before its banner (RFC 4253, 4.2), in bytes.
SSH_TALK = 8192

#: Units in which systemd writes a span of time, in seconds.
SPANS = {
    "y": 31557600.0, "month": 2629800.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0,
    "ms": 1e-3, "us": 1e-6, "μs": 1e-6,
}  # fmt: skip


def going_down() -> bool:
    """Whether systemd has been told to end this run of the machine. False where there is no systemd."""
    state = system_state() or _systemctl("is-system-running").strip()
    if state in ENDED or state in LASTING:
        return state in ENDED
    jobs = (line.split() for line in _systemctl("list-jobs", "--no-legend", "--plain", "--full").splitlines())
    targets = [f"{ending}.target" for ending in ENDINGS]
    return any(len(job) >= 3 and job[1] in targets and job[2] == "start" for job in jobs)


def stop_budget(unit: str = STOPPING_UNIT) -> float:
    """Seconds that systemd leaves a unit for stopping; infinity for no limit, for a unit that it does not know, and without systemd."""
    said = _systemctl("show", "--property=LoadState", "--property=TimeoutStopUSec", unit)
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if found.get("LoadState") != "loaded":
        return math.inf
    return span(found.get("TimeoutStopUSec", "infinity"))


def span(text: str) -> float:
    """A span of time as systemd writes it, such as 1min 30s, in seconds. What can't be understood is no limit."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([a-zμ]+)", text)
    if not parts or any(unit not in SPANS for _number, unit in parts):
        return math.inf
    return sum(float(number) * SPANS[unit] for number, unit in parts)


def _systemctl(*arguments: str) -> str:
    """What systemctl prints; nothing when it is missing or does not answer."""
    import subprocess  # most runs ask systemd nothing

    command = ["systemctl", *arguments]
    try:
        # A unit has no module whose run_command could be asked.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_LIMIT, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def answers_ssh(address: str, port: int = SSH_PORT) -> bool:
    """Whether an SSH server sends its banner at an address. Never raises, and asks no name server."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
            client.settimeout(SSH_LIMIT)
            client.connect((address, port))
            return _says_ssh(client)
    except (OSError, ValueError):
        return False


def _says_ssh(client: socket.socket) -> bool:
    """A server may say other lines first. Raises OSError when nothing comes in time."""
    deadline = time.monotonic() + SSH_LIMIT
    said = b"\n"
    while len(said) < SSH_TALK:
        left = deadline - time.monotonic()
        if left <= 0.0:
            return False
        client.settimeout(left)
        piece = client.recv(1024)
        said += piece
        if b"\nSSH-" in said:
            return True
        if not piece:
            return False
    return False


#: Where the kernel lists its own addresses: with IPv4 the leaves of its routes that are local, with IPv6 all there are.
ROUTES_4, ADDRESSES_6 = Path("/proc/net/fib_trie"), Path("/proc/net/if_inet6")
LEAF = re.compile(r"\|-- (\S+)((?:\n\s+/\d+ .*)+)")


def own_addresses() -> FrozenSet[str]:
    """Addresses that this machine itself has, as the ipaddress module writes them."""
    found = {address for address, routes in LEAF.findall(_read(ROUTES_4)) if "/32 host LOCAL" in routes}
    found.update(str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in _read(ADDRESSES_6).splitlines())
    return frozenset(found)


#: Where the kernel lists its neighbours in IPv4's networks, and the flag of those whose hardware address it knows.
NEIGHBOURS, COMPLETE = Path("/proc/net/arp"), 0x2


def neighbours() -> Dict[str, List[str]]:
    """Hardware address -> addresses at which this machine met it."""
    found: Dict[str, List[str]] = {}
    for line in _read(NEIGHBOURS).splitlines()[1:]:
        address, _kind, flags, hardware = line.split()[:4]
        if int(flags, 16) & COMPLETE:
            found.setdefault(hardware.lower(), []).append(address)
    return found


def _read(path: Path) -> str:
    """A file's text, none for one that is missing: a kernel without IPv6 has no addresses of that kind."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
