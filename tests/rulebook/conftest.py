"""A host with real QEMU behind a libvirt of its own, a real supervisor, and ansible-rulebook, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
import yaml

from tests.contracts.real_qemu import Daemon, wait_for

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "plugins" / "module_utils"
COMMAND = [sys.executable, "-c", "import sys; from vm_lifecycle.agent.cli import main; sys.exit(main())"]
URI = ["--uri", "qemu:///session"]


#: For root, libvirt's socket lies at a place of the machine, session or not: there the programs see that of the tests.
APART = """
mount -t tmpfs tmpfs /run && mkdir /run/libvirt && mount --bind "$1" /run/libvirt && shift && exec "$@"
"""


class HostOfGuests:
    """This user's libvirt is the daemon of the tests, and the state lies below its directory."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon, self.directory = daemon, directory
        self.environment = {
            **os.environ, "PYTHONPATH": str(ENGINE), "PYTHONDONTWRITEBYTECODE": "1", "XDG_STATE_HOME": str(directory),
            "XDG_RUNTIME_DIR": f"{daemon.home}/run", "XDG_CONFIG_HOME": f"{daemon.home}/config",
        }  # fmt: skip
        self.connection = daemon.open()
        self._processes: list[subprocess.Popen[str]] = []

    def guest(self, number: int, program: str = "stubborn") -> libvirt.virDomain:
        """A VM that runs."""
        uuid = f"00000000-0000-4000-8000-{number:012}"
        domain = self.connection.defineXML(self.daemon.xml(uuid, f"guest-{number}", program))
        domain.create()
        return domain

    def kill(self, domain: libvirt.virDomain) -> None:
        """SIGKILL for its QEMU."""
        os.kill(self.daemon.pids(domain.name())[0], signal.SIGKILL)

    def apart(self, command: list[str]) -> list[str]:
        """The command, where libvirt is that of the tests."""
        if os.geteuid() != 0:
            return command
        return [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            APART,
            "sh",
            f"{self.daemon.home}/run/libvirt",
            *command,
        ]

    def declare(self, domain: libvirt.virDomain, **options: Any) -> None:
        """As a playbook does."""
        script = (
            "import json, sys; from vm_lifecycle.adapters.world import open_world; from vm_lifecycle.run import run;"
            " from vm_lifecycle.tasks.persistence import TASK;"
            " assert not run(TASK, json.loads(sys.argv[1]), open_world('qemu:///session'), False)['failed']"
        )
        wish = json.dumps({"uri": URI[1], "vms": [{"name": domain.name(), **options}]})
        subprocess.run(self.apart([sys.executable, "-c", script, wish]), env=self.environment, check=True)

    def supervise(self) -> None:
        """Until the supervisor watches."""
        self.run([*COMMAND, "supervise", *URI], "watching;")

    def run(self, command: list[str], until: str) -> Running:
        """Start a program, and wait until it says a word."""
        made = Running(self.apart(command), self.environment, self.directory)
        self._processes.append(made.process)
        made.says(until)
        return made

    def end(self) -> None:
        """Nothing of it runs any more."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.connection.close()


class Running:
    """A program with a process group of its own, and all that it says."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.said.append(line.rstrip())

    def heard(self, *words: str) -> int:
        """In how many lines all words occur."""
        return sum(all(word in line for word in words) for line in list(self.said))

    def says(self, *words: str, seconds: float = 90.0) -> None:
        """Wait until it has said these words in one line."""
        try:
            wait_for(lambda: self.heard(*words), seconds)
        except AssertionError:
            raise AssertionError(f"{words} not in:\n" + "\n".join(self.said[-60:])) from None

    def kill(self) -> None:
        """With all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostOfGuests]:
    """Without guests."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    daemon = Daemon()
    daemon.start()
    made = HostOfGuests(daemon, tmp_path)
    yield made
    made.end()
    daemon.stop()


@pytest.fixture
def variables(host: HostOfGuests) -> dict[str, Any]:
    """What the rulebook of the collection is given: this machine, its own libvirt, and a place for what it writes."""
    return {
        "vm_lifecycle_command": COMMAND,
        "vm_lifecycle_arguments": URI,
        "vm_lifecycle_state_file": str(host.directory / "cursors.json"),
    }


def rulebook(host: HostOfGuests, name: str, variables: dict[str, Any]) -> Running:
    """ansible-rulebook, until its source reads the host."""
    inventory = host.directory / "inventory.yml"
    local = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "vm_lifecycle_uri": URI[1],
        "vm_lifecycle_become": False, "vm_lifecycle_attend_directory": str(host.directory),
    }  # fmt: skip
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": local}}}))
    given = host.directory / "variables.yml"
    given.write_text(yaml.safe_dump(variables))
    command = ["ansible-rulebook", "--inventory", str(inventory), "--rulebook", name, "--vars", str(given)]
    made = host.run([*command, "--verbose"], "Waiting for events")
    wait_for((host.directory / "cursors.json").exists, 90.0)
    return made
