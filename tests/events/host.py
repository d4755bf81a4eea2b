"""A host with guests that real QEMU runs, a libvirt of its own, and the real supervisor on a real store, to be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import libvirt
from vm_lifecycle.adapters.libvirt.hypervisor import connect
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks.persistence import TASK

from tests.contracts.real_qemu import Daemon

from .judge import Book

ENGINE = Path(__file__).parents[2] / "plugins" / "module_utils"
#: What `vm-lifecycle supervise` does, on a libvirt that only the test knows and on a state of its own.
SUPERVISE = """
import sys
from pathlib import Path
from vm_lifecycle.adapters.libvirt.hypervisor import connect
from vm_lifecycle.adapters.linux_host import TalkingHost
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.agent.supervisor import supervise
from vm_lifecycle.ports import World
uri, state = sys.argv[1], Path(sys.argv[2])
host = TalkingHost(state / "claims", state / "configuration")
sys.exit(supervise(uri, host, lambda: World(connect(uri), SqliteStore(state), host)))
"""
WORDS = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTOFF: "shutoff",
}
#: In the store: every state that was ever committed, in its order, by the very transaction that commits it.
WITNESS = """
CREATE TABLE witness (number INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL, state TEXT NOT NULL);
CREATE TRIGGER inserted AFTER INSERT ON states BEGIN
    INSERT INTO witness (uuid, state) VALUES (NEW.uuid, NEW.state); END;
CREATE TRIGGER updated AFTER UPDATE ON states BEGIN
    INSERT INTO witness (uuid, state) VALUES (NEW.uuid, NEW.state); END;
"""


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def prepare(daemon: Daemon, state: Path, count: int) -> dict[str, str]:
    """So many guests that run, are managed, and whose store below state has a witness; returns names by UUID."""
    connection = daemon.open()
    guests = {uuid_of(number): f"guest-{number:02}" for number in range(1, count + 1)}
    for uuid, name in guests.items():
        connection.defineXML(daemon.xml(uuid, name, "stubborn")).create()
    connection.close()
    # who stops them here starts them again, too
    wish = {"mode": "permanent", "restart_policy": "no", "vms": [{"name": name} for name in guests.values()]}
    hypervisor = connect(daemon.uri)
    world = World(hypervisor, SqliteStore(state), LinuxHost(state / "claims", state / "configuration"))
    assert not run(TASK, wish, world)["failed"]
    hypervisor.close()
    with closing(sqlite3.connect(state / "state.db")) as opened:
        opened.executescript(WITNESS)
    return guests


def read(state: Path) -> Book:
    """The store as it is at this moment."""
    with closing(sqlite3.connect(f"{(state / 'state.db').as_uri()}?mode=ro", uri=True, timeout=30)) as opened:
        opened.execute("BEGIN")
        commits = opened.execute("SELECT uuid, state FROM witness ORDER BY number").fetchall()
        states = opened.execute("SELECT uuid, state FROM states").fetchall()
        assert opened.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    said = [(uuid, json.loads(text)) for uuid, text in commits]
    return Book(
        {uuid: (each["state"], each["reason"]) for uuid, each in ((uuid, json.loads(text)) for uuid, text in states)},
        [(uuid, each["state"], each["reason"]) for uuid, each in said],
    )


def present(connection: libvirt.virConnect) -> dict[str, str]:
    """What libvirt says of each VM."""
    return {domain.UUIDString(): WORDS[domain.state()[0]] for domain in connection.listAllDomains()}


class Supervisor:
    """A process, once more and again."""

    def __init__(self, uri: str, state: Path) -> None:
        self._arguments = [uri, str(state)]
        self._process: subprocess.Popen[str] | None = None
        self._watching = threading.Event()
        self.said: list[str] = []

    def start(self) -> None:
        """Returns at once."""
        self._watching.clear()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, *self._arguments],
            env={**os.environ, "PYTHONPATH": str(ENGINE)}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                self.said.append(line.rstrip())
                if line.startswith("watching;") and process is self._process:
                    self._watching.set()

    def watches(self, seconds: float) -> bool:
        """Whether it has looked at its host within so many seconds."""
        return self._watching.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        assert self._process is not None
        assert self._process.poll() is None, self.said[-5:]
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
