"""Restarts on real QEMU: a supervisor in a thread, with its events, its store and its claims; guests that die, and people who stop them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.libvirt.events import EventSource
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.agent.supervisor import insist, watch
from vm_lifecycle.ports import World
from vm_lifecycle.recorder import Recorder
from vm_lifecycle.restarting import Restarts
from vm_lifecycle.restarts import RestartRecord
from vm_lifecycle.run import run
from vm_lifecycle.tasks.persistence import TASK

from .conftest import QemuBench
from .real_qemu import wait_for

A = "00000000-0000-4000-8000-00000000000a"
#: A panic device at the port that a guest of the tests writes to.
PANIC_DEVICE = "<panic model='isa'><address type='isa' iobase='0x505'/></panic>"


class Supervised:
    """A supervisor of its own, that can be ended and begun anew. It runs in this process: a thread of it is all that ends."""

    def __init__(self, qemu: QemuBench, directory: Path) -> None:
        self.qemu = qemu
        self.host = LinuxHost(directory / "claims", directory / "etc", directory / "units")
        self.store = SqliteStore(directory / "state")
        self.world = World(qemu.hypervisor, self.store, self.host)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._supervise)

    def declare(self, **options: Any) -> None:
        """As vm_persistence does."""
        run(TASK, {"vms": [{"name": "a", **options}]}, self.world, False)

    def begin(self) -> None:
        """Until it watches."""
        self.ending.clear()
        self.thread = threading.Thread(target=self._supervise)
        self.thread.start()
        wait_for(lambda: A in self.store.states())

    def _supervise(self) -> None:
        with self.host.jobs() as jobs:
            recorder = Recorder(self.world, restarts=Restarts(self.world, jobs))

            def attempt() -> None:
                watch(EventSource(self.qemu.daemon.uri), recorder, self.ending)

            insist(self.host, self.ending, attempt)

    def end(self) -> None:
        """It is not there any more."""
        self.ending.set()
        self.thread.join(20.0)
        assert not self.thread.is_alive()

    def record(self) -> RestartRecord:
        """Where the VM is."""
        return self.store.restarts().get(A, RestartRecord(A, "a"))

    def pid(self) -> int:
        """Of the guest; 0 when there is none."""
        found = self.qemu.daemon.pids("a")
        return found[0] if found else 0

    def restarted(self, deed: Callable[[], object]) -> float:
        """Do it; returns the seconds until the guest has another process."""
        before, began = self.pid(), time.monotonic()
        deed()
        wait_for(lambda: self.pid() not in (0, before))
        return time.monotonic() - began


@pytest.fixture
def supervised(qemu: QemuBench, tmp_path: Path) -> Iterator[Supervised]:
    """Nobody supervises yet."""
    made = Supervised(qemu, tmp_path)
    yield made
    if made.thread.is_alive():
        made.end()


def guest(supervised: Supervised, program: str = "obedient", devices: str = "", more: str = "") -> None:
    """The VM, which runs."""
    qemu = supervised.qemu
    qemu.connection.defineXML(qemu.daemon.xml(A, "a", program, devices, more)).create()


def handle(supervised: Supervised) -> Any:
    """What a person has in hand."""
    return supervised.qemu.connection.lookupByUUIDString(A)


def test_killed_and_stopped(supervised: Supervised) -> None:
    """SIGKILL and SIGTERM are answered, one after the other; what a person does is not; a person's start clears all."""
    guest(supervised)
    supervised.declare(restart_policy="on-failure")
    supervised.begin()
    for number, sign in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL), 1):
        assert supervised.restarted(lambda sign=sign: os.kill(supervised.pid(), sign)) > 0.1  # type: ignore[misc]
        wait_for(lambda number=number: supervised.record().restart_count == number)  # type: ignore[misc]
    assert (supervised.record().phase, supervised.record().in_row) == ("up", 3)
    handle(supervised).destroy()
    wait_for(lambda: supervised.record().phase == "left")
    assert supervised.record().reason == "stopped_by_somebody"
    time.sleep(1.0)
    assert not handle(supervised).isActive()
    handle(supervised).create()
    wait_for(lambda: supervised.record().phase == "up")
    assert (supervised.record().in_row, supervised.record().restart_count) == (0, 3)
    logged = [(line.operation, line.outcome) for line in supervised.store.operations(10)]
    assert logged.count(("restart", "done")) == 3


@pytest.mark.parametrize(("policy", "phase"), [("always", "waiting"), ("on-failure", "left"), ("no", "up")])
def test_a_guest_that_powers_off(supervised: Supervised, policy: str, phase: str) -> None:
    """By itself, and again after each start: what always means, until it is given up."""
    guest(supervised, "quits")
    supervised.declare(restart_policy=policy, max_retries=2)
    supervised.begin()
    wait_for(lambda: not handle(supervised).isActive())
    if policy == "always":
        wait_for(lambda: supervised.record().phase == "gave_up", 60.0)
        assert (supervised.record().restart_count, supervised.record().in_row) == (2, 2)
    else:
        time.sleep(1.0)
        assert (supervised.record().phase, handle(supervised).isActive()) == (phase, 0)


def test_virsh_shutdown(supervised: Supervised) -> None:
    """It looks like a guest that powers off, but for what QEMU said before."""
    guest(supervised)
    supervised.declare()
    supervised.begin()
    time.sleep(1.0)  # a guest that still boots does not see its button
    handle(supervised).shutdown()
    wait_for(lambda: supervised.record().phase == "left")
    assert supervised.record().reason == "stopped_by_somebody"


def test_a_panic(supervised: Supervised) -> None:
    """With a panic device it is a failure; preserved it is left alone."""
    guest(supervised, "panics", PANIC_DEVICE, "<on_crash>destroy</on_crash>")
    supervised.declare(restart_policy="on-failure", max_retries=1)
    supervised.begin()
    wait_for(lambda: supervised.record().phase == "gave_up", 60.0)
    assert supervised.record().restart_count == 1


def test_a_panic_that_is_preserved(supervised: Supervised) -> None:
    """It is active still, and a start would fail."""
    guest(supervised, "panics", PANIC_DEVICE, "<on_crash>preserve</on_crash>")
    supervised.declare()
    supervised.begin()
    wait_for(lambda: supervised.record().phase == "left")
    assert supervised.record().reason == "crash_preserved"


def test_saved(supervised: Supervised) -> None:
    """Neither a crash nor a stop."""
    guest(supervised)
    supervised.declare()
    supervised.begin()
    handle(supervised).managedSave()
    wait_for(lambda: supervised.record().phase == "left")
    assert supervised.record().reason == "memory_saved"


def test_while_nobody_supervises(supervised: Supervised) -> None:
    """Killed meanwhile it is restarted by the next supervisor; powered off it is not. Counters go on."""
    guest(supervised)
    supervised.declare()
    supervised.begin()
    supervised.restarted(lambda: os.kill(supervised.pid(), signal.SIGKILL))
    wait_for(lambda: supervised.record().restart_count == 1)
    supervised.end()
    os.kill(supervised.pid(), signal.SIGKILL)
    wait_for(lambda: not handle(supervised).isActive())
    supervised.restarted(supervised.begin)
    wait_for(lambda: supervised.record().restart_count == 2)
    supervised.end()
    handle(supervised).destroy()
    supervised.begin()
    wait_for(lambda: supervised.record().phase == "left")
    assert supervised.record().reason == "stopped_by_somebody"


def test_a_daemon_that_is_restarted(supervised: Supervised) -> None:
    """The guest dies while the daemon is away: libvirt says so when it is back, and it is restarted."""
    guest(supervised)
    supervised.declare()
    supervised.begin()

    def deed() -> None:
        pid = supervised.pid()
        supervised.qemu.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        supervised.qemu.daemon.start()

    supervised.restarted(deed)
    wait_for(lambda: supervised.record().restart_count == 1)


def test_a_start_that_fails(supervised: Supervised) -> None:
    """libvirt's words are told, and it is given up in the end; when the cause is gone a person's start clears that."""
    guest(supervised)
    supervised.declare(max_retries=2)
    supervised.begin()
    program = supervised.qemu.daemon.home / "guests" / "obedient"
    program.rename(f"{program}.away")
    os.kill(supervised.pid(), signal.SIGKILL)
    wait_for(lambda: supervised.record().phase == "gave_up", 60.0)
    assert "obedient" in supervised.record().message
    program.with_name("obedient.away").rename(program)
    handle(supervised).create()
    wait_for(lambda: supervised.record().phase == "up")
