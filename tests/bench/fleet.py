# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of fleets: what one host costs when ansible-playbook converges hundreds of them, against what it costs with ten.

Each host is a libvirtd of its own on this machine, as an ordinary user and with directories of its own, and has a store of its own; in
the inventory it is a host like any other, reached by the connection `local`. So it has real domains of the QEMU driver, which
are not started, and no network or SSH between it and the controller.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

from tests.bench.figures import Row, overhead
from tests.bench.on_host import NAMESPACE, names

FEW, MANY, VMS = 10, 200, 50
FORKS = 10
REPEATS = 2
#: Seconds until a daemon answers, on a machine that starts many of them.
PATIENCE = 120.0
RECAP = re.compile(r"^h[0-9]+ +: ok=1 +changed=1 +unreachable=0 +failed=0", re.MULTILINE)
DOMAIN = "<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
#: Root finds the daemon of qemu:///session where that of the machine is, so each host has a /run of its own.
INTERPRETER = """#!/bin/sh
exec unshare --mount --propagation=private sh -c '
mount -t tmpfs none /run && ln -s {run}/libvirt /run/libvirt && exec {python} "$@"' sh "$@"
"""
Say = Callable[[str], None]


@dataclass
class Fleet:
    """Hosts below a directory. Its path is short, since a socket's must be."""

    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def surroundings(self, number: int) -> dict[str, str]:
        """What makes a host of a process: libvirt finds the host's daemon by it, and the engine the host's store."""
        own = self.home / f"h{number}"
        return {
            "HOME": str(own), "XDG_RUNTIME_DIR": f"{own}/run", "XDG_CONFIG_HOME": f"{own}/config",
            "XDG_STATE_HOME": f"{own}/state", "XDG_CACHE_HOME": f"{self.home}/cache",
        }  # fmt: skip

    def uri(self, number: int) -> str:
        return f"qemu+unix:///session?socket={self.home}/h{number}/run/libvirt/libvirt-sock"

    def start(self, number: int) -> None:
        """One host's daemon. /dev/kvm is hidden from it: what uses that hangs on some machines."""
        own = self.home / f"h{number}"
        for name in ("run", "config", "state"):
            self.directory(own / name)
        self.interpreter(number).write_text(INTERPRETER.format(run=own / "run", python=sys.executable), "utf-8")
        self.interpreter(number).chmod(0o755)
        environment = {**self.surroundings(number), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        hide = f'[ ! -e /dev/kvm ] || mount --bind {self.home}/closed /dev/kvm; exec "$@"'
        command = [
            *("unshare", "--mount", "--propagation=private", "sh", "-c", hide, "sh"),
            *(
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
            ),  # as root it would be the machine's own
            *("prlimit", "--nofile=1024", "libvirtd"),
        ]
        nowhere = subprocess.DEVNULL
        self.processes.append(
            subprocess.Popen(command, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd=self.home)
        )

    def interpreter(self, number: int) -> Path:
        """The Python of a host."""
        return self.home / f"h{number}" / "python"

    def directory(self, path: Path) -> None:
        """One that is the daemons' own."""
        path.mkdir(parents=True)
        nobody = pwd.getpwnam("nobody")
        for each in (path, path.parent):
            os.chown(each, nobody.pw_uid, nobody.pw_gid)

    def connected(self, number: int) -> libvirt.virConnect:
        """As soon as the daemon answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return libvirt.open(self.uri(number))
            except libvirt.libvirtError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def reset(self, number: int) -> None:
        """As if nothing had ever been declared on a host."""
        connection = self.connected(number)
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
        for domain in connection.listAllDomains():
            if NAMESPACE in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE):
                domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, None, NAMESPACE, flags)
        connection.close()
        shutil.rmtree(self.home / f"h{number}" / "state" / "vm-lifecycle", ignore_errors=True)

    def declared(self, number: int) -> int:
        """How many VMs of a host are declared."""
        connection = self.connected(number)
        domains = connection.listAllDomains()
        found = sum(NAMESPACE in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for domain in domains)
        connection.close()
        return found


@contextmanager
def fleet(count: int, vms: int) -> Iterator[Fleet]:
    """So many hosts with so many VMs each. Nothing is left of them."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    made = Fleet(Path(tempfile.mkdtemp(prefix="fleet-", dir="/tmp")))
    try:
        made.home.chmod(0o755)
        (made.home / "closed").touch(mode=0o000)
        made.directory(made.home / "cache" / "libvirt")
        for number in range(1, count + 1):
            made.start(number)
            connection = made.connected(number)
            for name in names(vms):
                connection.defineXML(DOMAIN.format(name=name))
            connection.close()
        yield made
    finally:
        for process in made.processes:
            process.send_signal(signal.SIGKILL)
        for process in made.processes:
            process.wait()
        shutil.rmtree(made.home)


def converge(made: Fleet, directory: Path, collections: Path, count: int, vms: int) -> float:
    """Seconds that ansible-playbook takes to declare all VMs of so many hosts, for which nothing was declared before."""
    for number in range(1, count + 1):
        made.reset(number)
    settings, playbook, inventory = (directory / f"fleet.{kind}" for kind in ("cfg", "yml", "json"))
    settings.write_text("", "utf-8")
    declaration = {"mode": "permanent", "uri": "qemu:///session", "vms": [{"name": name} for name in names(vms)]}
    tasks = [{"vmops.lifecycle.vm_persistence": declaration, "environment": "{{ surroundings }}"}]
    play = {"name": "fleet", "hosts": "all", "gather_facts": False, "tasks": tasks}
    playbook.write_text(json.dumps([play]), "utf-8")  # JSON is YAML
    hosts = {
        f"h{number}": {
            "ansible_python_interpreter": str(made.interpreter(number)), "surroundings": made.surroundings(number),
        }
        for number in range(1, count + 1)
    }  # fmt: skip
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}), "utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), f"--forks={FORKS}", "-i", str(inventory)]
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(settings), "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run([*command, str(playbook)], env=environment, text=True, check=False, capture_output=True)
    seconds = time.perf_counter() - started
    well = len(RECAP.findall(done.stdout))
    if done.returncode != 0 or well != count or any(made.declared(each) != vms for each in (1, count)):
        raise SystemExit(f"{well} of {count} hosts were converged:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return seconds


def fleet_rows(directory: Path, say: Say, few: int = FEW, many: int = MANY, vms: int = VMS) -> list[Row]:
    """The rows, from runs in turns. directory has the collection below collections."""
    samples: dict[int, list[float]] = {few: [], many // 2: [], many: []}
    with fleet(many, vms) as made:
        say(f"{many} hosts with {vms} VMs each are up")
        converge(made, directory, directory / "collections", few, vms)  # caches of the controller
        for _each in range(REPEATS):
            for count, taken in samples.items():
                taken.append(converge(made, directory, directory / "collections", count, vms))
                say(f"{count} hosts: {taken[-1]:.1f} s, {taken[-1] / count:.3f} s a host")
    return _rows(list(samples.items()), vms)


Taken = tuple[int, list[float]]


def _rows(taken: Sequence[Taken], vms: int) -> list[Row]:
    """What a host costs, with its share of what each run begins with; and what each further one does, without that."""
    few, half, many = taken
    what = f"{vms} VMs each, forks={FORKS}"
    mine, other = ([seconds / count for seconds in each] for count, each in (many, few))
    later, earlier = _further(half, many), _further(few, half)
    against = f"a host's share of the same with {few[0]} hosts; {what}"
    further = f"each further host from {few[0]} to {half[0]}; ours from there on; {what}"
    return [
        overhead(f"fleet_{many[0]}", mine, other, against, many[0] * vms),
        overhead(f"fleet_{many[0]}_further", later, earlier, further, many[0] * vms),
    ]


def _further(less: Taken, more: Taken) -> list[float]:
    return [(longer - shorter) / (more[0] - less[0]) for shorter, longer in zip(less[1], more[1], strict=True)]
