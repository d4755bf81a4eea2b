"""Libvirt hosts for a controller on this machine: each a daemon with real QEMU, and a state directory of its own.

A module runs in a mount namespace in which the daemon of its host is the only libvirt, so one machine is several hosts.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import uuid as uuids
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.contracts.real_qemu import Daemon

URI = "qemu:///session"
#: What an interpreter of Ansible runs in.
INTERPRETER = """#!/bin/sh
export XDG_STATE_HOME={state} XDG_RUNTIME_DIR={state} PYTHONDONTWRITEBYTECODE=1
exec unshare --mount --propagation=private sh -c '
mount -t tmpfs tmpfs /run && mkdir /run/libvirt && mount --bind {socket} /run/libvirt && exec "$@"
' sh {python} "$@"
"""


class LocalHost:
    """A libvirt host by the name that it has in the inventory."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.state = name, directory / f"{name}-state"
        self.state.mkdir()
        self.daemon = Daemon()
        self.daemon.start()
        self.interpreter = directory / f"{name}-python"
        socket = f"{self.daemon.home}/run/libvirt"
        self.interpreter.write_text(
            INTERPRETER.format(state=self.state, socket=socket, python=shlex.quote(sys.executable))
        )
        self.interpreter.chmod(0o755)

    def define(self, name: str, running: bool = False) -> str:
        """A VM; returns its UUID."""
        uuid = str(uuids.uuid5(uuids.NAMESPACE_DNS, f"{name}.{self.name}"))
        connection = self.daemon.open()
        domain = connection.defineXML(self.daemon.xml(uuid, name, "stubborn"))
        if running:
            domain.create()
        connection.close()
        return uuid

    @property
    def store(self) -> Path:
        """The state directory of the engine."""
        return self.state / "vm-lifecycle"


#: A host on which nobody listens.
GONE: Mapping[str, Any] = {
    "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0,
}  # fmt: skip


class Controller:
    """Ansible with an inventory of hosts, in a directory."""

    def __init__(self, directory: Path, hosts: list[LocalHost]) -> None:
        self.directory, self.inventory = directory, directory / "hosts.yml"
        self.hosts: dict[str, Mapping[str, Any]] = {
            host.name: {"ansible_connection": "local", "ansible_python_interpreter": str(host.interpreter)}
            for host in hosts
        }
        self.write()
        (directory / "ansible.cfg").write_text("[defaults]\npipelining = true\n")

    def write(self) -> None:
        """The inventory, as a person would."""
        # who runs the tests is root, and a sudo need not be there
        group = {"hosts": dict(self.hosts), "vars": {"ansible_become": False, "vm_lifecycle_uri": URI}}
        self.inventory.write_text(yaml.safe_dump({"libvirt": group}))

    def run(self, program: str, *words: str, expect: tuple[int, ...] = (0,), **environment: str) -> tuple[str, str]:
        """(output, errors) of a program of Ansible."""
        command = [str(Path(sys.executable).with_name(program)), *words]
        whole = {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        }
        done = subprocess.run(
            command, cwd=self.directory, env=whole, text=True, capture_output=True, check=False, timeout=240
        )
        assert done.returncode in expect, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def declare(self, host: str, **options: Any) -> None:
        """vm_persistence on a host."""
        arguments = json.dumps({"uri": URI, **options})
        self.run("ansible", "-i", str(self.inventory), host, "-m", "vmops.lifecycle.vm_persistence", "-a", arguments)
