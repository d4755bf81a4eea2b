# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that owns one host from `up` to `down`: its mounts, its number, its container.

It runs in a private mount namespace, so that nothing it mounts outlives it, and its container dies with it.
Signals: SIGTERM ends the host; SIGUSR1 cuts its power; SIGUSR2 switches it on again.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from vmlab.control_groups import ControlGroups
from vmlab.identity import personalise
from vmlab.places import Host, HostState, Lab
from vmlab.processes import LabError, identify, run, succeeds

# What systemd-nspawn says with --keep-unit when the inside asked for a reboot (EXIT_FORCE_RESTART).
REBOOT_STATUS = 133
POLL_SECONDS = 0.05
WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD}


class Supervisor:
    """One host. Decisions are taken in `serve`; everything else does one thing."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._specification = json.loads(host.specification.read_text())
        self._claim, number = claim_number(self._specification["network"])
        itself = identify(os.getpid())
        assert itself is not None
        self._state = HostState("starting", number, f"vmlab-{number}-{os.urandom(4).hex()}", itself, None, 0, "")
        self._container: subprocess.Popen[bytes] | None = None
        self._record("starting")

    def serve(self) -> None:
        """Run the host until SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        groups = ControlGroups(self._state.group)
        root = self._root()
        groups.join()
        try:
            self._start(root, groups.unified)
            while (received := signal.sigwait(WATCHED)) not in (signal.SIGTERM, signal.SIGINT):
                if received == signal.SIGUSR1:
                    self._cut_power()
                elif self._asked_to_start(received):
                    self._start(root, groups.unified)
            self._cut_power()
        finally:
            groups.leave()

    def _asked_to_start(self, received: int) -> bool:
        """Whether a signal means power-on, or the end of a container whose inside asked for a reboot."""
        if received == signal.SIGCHLD:
            return self._ended() == REBOOT_STATUS
        return received == signal.SIGUSR2 and self._container is None

    def failed(self, message: str) -> None:
        self._cut_power()
        self._record("failed", message)

    def _record(self, phase: str, message: str = "") -> None:
        self._state.phase, self._state.message = phase, message
        self._host.record(self._state)

    def _root(self) -> Path:
        """A copy-on-write of the image: an overlay, or a copy where an overlay cannot be (as on another overlay)."""
        directory, image = self._host.directory, self._specification["image"]
        root = directory / "root"
        for name in ("upper", "work", "root"):
            (directory / name).mkdir(exist_ok=True)
        options = f"lowerdir={image},upperdir={directory}/upper,workdir={directory}/work"
        if not succeeds(["mount", "-t", "overlay", "-o", options, "overlay", str(root)]):
            run(["cp", "-a", "--reflink=auto", f"{image}/.", str(root)])
        personalise(root, self._host, self._state.number, self._specification)
        return root

    def _start(self, root: Path, unified: bool) -> None:
        layout = [] if unified else ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        command = [
            *("setpriv", "--pdeathsig", "KILL", "systemd-nspawn", f"--directory={root}", "--boot", "--register=no"),
            *("--keep-unit", "--network-veth", f"--machine={self._state.machine}", f"--hostname={self._host.name}"),
            *("--capability=all", "--resolv-conf=off", "--timezone=off", "--link-journal=no", *layout),
        ]
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if unified else "0"}
        with self._host.log.open("ab") as log:
            self._container = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, preexec_fn=_unblock
            )
        self._state.starts += 1
        self._record("starting")
        self._connect()

    def _connect(self) -> None:
        """Give the machine's end of the link its address, as soon as the container has made it."""
        link = f"ve-{self._state.machine}"
        container = self._container
        assert container is not None
        while not Path(f"/sys/class/net/{link}").exists():
            if container.poll() is not None:
                return
            time.sleep(POLL_SECONDS)
        run(["ip", "address", "replace", f"{self._state.machine_address}/24", "dev", link])
        run(["ip", "link", "set", link, "up"])
        self._state.leader = None
        while self._state.leader is None and container.poll() is None:
            children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
            self._state.leader = next((identify(int(pid)) for pid in children if _is_init(int(pid))), None)
            time.sleep(POLL_SECONDS)
        self._record("running")

    def _ended(self) -> int | None:
        """Reap the container if it has ended; its exit status."""
        status = self._container.poll() if self._container else None
        if status is not None:
            self._container = None
            self._state.leader = None
            self._record("off", f"the container ended with status {status}")
        return status

    def _cut_power(self) -> None:
        """SIGKILL for everything inside at once; systemd-nspawn then clears away its own directories and ends."""
        if self._container is None:
            return
        if self._state.leader:
            self._state.leader.send(signal.SIGKILL)
        else:
            self._container.kill()
        try:
            self._container.wait(10)
        except subprocess.TimeoutExpired:
            self._container.kill()
            self._container.wait()
        self._ended()


def claim_number(wanted: int | None) -> tuple[socket.socket, int]:
    """A number N whose network 10.77.N.0/24 nobody uses. The claim is an abstract socket: it is unique in the
    machine's network, like the addresses that it stands for, and the kernel drops it with this process."""
    used = run(["ip", "-4", "-oneline", "address", "show"])
    for number in [wanted] if wanted else range(1, 255):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0vmops-lab-10.77.{number}")
        except OSError:
            claim.close()
            continue
        if f" 10.77.{number}." not in used:
            return claim, number
        claim.close()
    raise LabError(f"network 10.77.{wanted}.0/24 is in use" if wanted else "all networks 10.77.N.0/24 are in use")


def _is_init(pid: int) -> bool:
    """Whether a process is the first of a process namespace below this one."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)


def main(arguments: list[str]) -> int:
    """`python3 -m vmlab.supervisor LAB HOST DIRECTORY`; the directory makes the command line tell whose it is."""
    lab, name, _directory = arguments
    host = Host(Lab(lab), name)
    try:
        supervisor = Supervisor(host)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    try:
        supervisor.serve()
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        supervisor.failed(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
