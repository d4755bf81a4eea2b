# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verbs on hosts: up, down, reboot, power-cut, power-on, ssh, copy, status."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from vmlab import images
from vmlab.inventory import write_inventory
from vmlab.needs import RUN_NEEDS, install_missing
from vmlab.places import Host, HostState, Lab, check_name, write_atomically
from vmlab.processes import LabError, run, say, succeeds, wait_until
from vmlab.remote import close_connections, ssh_command

START_SECONDS = 180.0
# Answers once sshd, libvirtd, the pool and the network do; prints the boot's identity.
READY = (
    "virsh -q pool-list --name | grep -qw default && virsh -q net-list --name | grep -qw default"
    " && cat /proc/sys/kernel/random/boot_id"
)


def up(lab: Lab, names: list[str], release: str, network: int | None) -> None:
    """Start hosts side by side and wait until all answer; hosts that run already are left as they are."""
    install_missing(RUN_NEEDS)
    hosts = [Host(lab, check_name("host", name)) for name in dict.fromkeys(names)]
    root, guest = images.host_root(release), images.guest_files()
    _prepare(lab)
    started = time.monotonic()
    for position, host in enumerate(hosts):
        if host.supervised():
            power_on(host, wait=False)
        else:
            remove(host)
            wanted = None if network is None else network + position
            _launch(host, {"release": release, "image": str(root), "guest": str(guest), "network": wanted})
    for host in hosts:
        wait_ready(host)
        say(f"{host.name} is up after {time.monotonic() - started:.1f} s: {_state(host).address}")
    write_inventory(lab)


def wait_ready(host: Host, seconds: float = START_SECONDS, former_boot: str | None = None) -> str:
    """Wait until the host answers in a boot other than `former_boot`; its boot_id."""
    boots: list[str] = []

    def ready() -> bool:
        _check_alive(host)
        state = host.state()
        if state is None or state.phase != "running":
            return False
        boot = boot_id(host)
        if boot and boot != former_boot:
            boots.append(boot)
        return bool(boots)

    if not wait_until(ready, seconds, 0.2):
        raise LabError(f"{host.name} does not answer after {seconds:.0f} s; the end of {host.log}:\n{host.tail()}")
    return boots[0]


def boot_id(host: Host) -> str | None:
    """The running boot's identity once the host is ready, else None."""
    command = ssh_command(host, ["-o", "ConnectTimeout=3"], READY)
    try:
        return run(command, timeout=15).strip() or None
    except LabError:
        return None


def down(lab: Lab, names: list[str]) -> None:
    """Remove hosts with all they left on the machine; without names the whole lab."""
    hosts = [Host(lab, check_name("host", name)) for name in names] or lab.hosts()
    running = [host for host in hosts if host.supervised()]
    for host in running:
        _state(host).supervisor.send(signal.SIGTERM)
    for host in hosts:
        close_connections(host)
        remove(host)
        say(f"{host.name} is down")
    if lab.hosts():
        write_inventory(lab)
        return
    shutil.rmtree(lab.control_directory, ignore_errors=True)
    shutil.rmtree(lab.directory, ignore_errors=True)


def remove(host: Host) -> None:
    """End a host's supervisor, if it runs, and delete its directory; also what a killed supervisor left behind."""
    state = host.state()
    if state is not None:
        if host.supervised():
            state.supervisor.send(signal.SIGTERM)
            if not wait_until(lambda: not state.supervisor.alive(), 30, 0.05):
                say(f"{host.name}: its supervisor does not end; it is killed")
                state.supervisor.send(signal.SIGKILL)
        if state.leader is not None:
            state.leader.send(signal.SIGKILL)
        link = f"ve-{state.machine}"
        if not wait_until(lambda: not Path(f"/sys/class/net/{link}").exists(), 5, 0.05):
            succeeds(["ip", "link", "delete", link])
        _remove_groups(state)
    shutil.rmtree(host.directory, ignore_errors=True)
    if host.directory.exists():
        run(["rm", "-rf", "--one-file-system", str(host.directory)])


def reboot(host: Host) -> None:
    """An orderly reboot from the inside; returns when the next boot answers."""
    former = wait_ready(host, 10)
    close_connections(host)
    started = time.monotonic()
    succeeds(ssh_command(host, [], "systemctl reboot"))
    wait_ready(host, former_boot=former)
    say(f"{host.name} rebooted in {time.monotonic() - started:.1f} s")


def power_cut(host: Host) -> None:
    """Kill everything on the host at once; its file system stays as it was at that moment."""
    _check_alive(host)
    close_connections(host)
    _state(host).supervisor.send(signal.SIGUSR1)
    if not wait_until(lambda: _state(host).phase == "off", 20, 0.05):
        raise LabError(f"{host.name} is still running after its power was cut")
    say(f"{host.name} is without power")


def power_on(host: Host, wait: bool = True) -> None:
    """Start a host that is off; one that runs is left alone."""
    _check_alive(host)
    started = time.monotonic()
    before = _state(host).starts
    if _state(host).phase == "off":
        _state(host).supervisor.send(signal.SIGUSR2)
        wait_until(lambda: _state(host).starts > before, 10, 0.05)
    if wait:
        wait_ready(host)
        say(f"{host.name} is up after {time.monotonic() - started:.1f} s")


def ssh(host: Host, command: list[str]) -> int:
    """Run a command on the host, or a shell without one; its exit status."""
    require_on(host)
    terminal = ["-t"] if not command and sys.stdin.isatty() else []
    return subprocess.run(ssh_command(host, terminal, *command), check=False).returncode


def status(lab: Lab) -> list[dict[str, Any]]:
    """One record a host: name, phase, address, release, starts, leader's process number, log."""
    records = []
    for host in lab.hosts():
        state = host.state()
        phase = "stale" if state is None or not host.supervised() else state.phase
        records.append(
            {
                "name": host.name,
                "phase": phase,
                "address": state.address if state else None,
                "release": json.loads(host.specification.read_text())["release"],
                "starts": state.starts if state else 0,
                "leader": state.leader.pid if state and state.leader else None,
                "supervisor": state.supervisor.pid if state else None,
                "log": str(host.log),
            }
        )
    return records


def _prepare(lab: Lab) -> None:
    lab.directory.mkdir(parents=True, exist_ok=True)
    lab.control_directory.mkdir(mode=0o700, exist_ok=True)
    if not lab.key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {lab.name}", "-f", str(lab.key)])
    for host in lab.hosts():
        if not host.supervised():
            say(f"{host.name} is left from a lab that has ended; it is removed")
            remove(host)


def _launch(host: Host, specification: dict[str, Any]) -> None:
    host.directory.mkdir(parents=True)
    write_atomically(host.specification, json.dumps(specification, indent=1))
    command = [
        *("unshare", "--mount", "--propagation", "private", sys.executable, "-m", "vmlab.supervisor"),
        *(host.lab.name, host.name, str(host.directory)),
    ]
    with host.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    if not wait_until(lambda: host.state() is not None or process.poll() is not None, 20, 0.02) or host.state() is None:
        raise LabError(f"{host.name} does not start:\n{host.tail()}")
    say(f"{host.name} starts as {_state(host).machine}, log {host.log}")


def _check_alive(host: Host) -> None:
    if not host.supervised():
        raise LabError(f"{host.name} has ended; the end of {host.log}:\n{host.tail()}")


def require_on(host: Host) -> None:
    """LabError for a host that is off, instead of a connection that hangs."""
    _check_alive(host)
    phase = _state(host).phase
    if phase not in ("starting", "running"):
        raise LabError(f"{host.name} is {phase}: lab power-on {host.name}")


def _state(host: Host) -> HostState:
    state = host.state()
    if state is None:
        raise LabError(f"{host.name} has never run")
    return state


def _remove_groups(state: HostState) -> None:
    """Groups of a supervisor that could not remove them itself."""
    private = ("unshare", "--mount", "--propagation", "private")
    run([*private, sys.executable, "-m", "vmlab.control_groups", state.group])
