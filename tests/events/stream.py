"""Events at a given rate: guests that are suspended and resumed all the time, and some that stop, die and start again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

import libvirt

from tests.contracts.real_qemu import Daemon, wait_for

from .judge import STATES

#: virDomainEventType -> the word for it.
KINDS = ("defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "pmsuspended", "crashed")
#: Seconds between two deeds to guests that stop and start.
ROUGH_PAUSE = 0.5
#: Seconds by which the stream may be behind its rate and makes up for it.
BEHIND = 1.0
SENTINEL = "00000000-0000-4000-8000-00000000ffff"


class Listener:
    """Hears what the supervisor hears, by libvirt-python alone: heard are (uuid, kind) in their order."""

    def __init__(self, daemon: Daemon) -> None:
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=self._run, daemon=True).start()
        self._daemon = daemon
        self._connection = daemon.open()
        self.heard: list[tuple[str, str]] = []
        self._connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._take, None)

    def _run(self) -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    def _take(self, _connection: object, domain: libvirt.virDomain, event: int, _detail: int, _opaque: object) -> None:
        self.heard.append((domain.UUIDString(), KINDS[event]))

    def count(self) -> int:
        """Events of our guests that make something of them."""
        return sum(uuid != SENTINEL and kind in STATES for uuid, kind in self.heard)

    def hear_all(self) -> int:
        """Wait until all has been heard that was done before; returns how much that is."""
        mark = len(self.heard)
        domain = self._connection.defineXML(self._daemon.xml(SENTINEL, "sentinel", "stubborn"))
        domain.undefine()
        wait_for(lambda: (SENTINEL, "undefined") in self.heard[mark:])
        return len(self.heard)


class Stream:
    """Two threads: one suspends and resumes some guests, at a rate, the other one stops and starts the rest.

    It is paused at first. reasons: why each of those stopped, every time.
    """

    def __init__(self, daemon: Daemon, quick: Sequence[str], rough: Sequence[str], rate: float, seed: int) -> None:
        self._daemon, self._rate, self._chance = daemon, rate, random.Random(seed)
        self.reasons: dict[str, list[str]] = {uuid: [] for uuid in rough}
        self._seconds = 0.0
        #: When it went on, None while it is paused.
        self._began: float | None = None
        self._ending = threading.Event()
        self._turns = (threading.Lock(), threading.Lock())
        self._failed: list[BaseException] = []
        deeds = (lambda: self._hurry(quick), lambda: self._treat(rough))
        self._threads = [threading.Thread(target=self._guarded, args=(deed,)) for deed in deeds]
        for turn in self._turns:
            turn.acquire()
        for thread in self._threads:
            thread.start()

    @property
    def seconds(self) -> float:
        """For how long events were made."""
        return self._seconds + (time.monotonic() - self._began if self._began is not None else 0.0)

    def go_on(self) -> None:
        """Events begin, or begin again."""
        if self._began is None:
            self._began = time.monotonic()
            for turn in self._turns:
                turn.release()

    def pause(self) -> None:
        """Returns when nothing is done any more."""
        if self._began is not None:
            for turn in self._turns:
                turn.acquire()
            self._seconds, self._began = self.seconds, None

    def end(self) -> None:
        """For good. What one of the threads failed with fails here."""
        self.pause()
        self._ending.set()
        self.go_on()
        for thread in self._threads:
            thread.join()
        assert not self._failed, self._failed

    def _guarded(self, deeds: Callable[[], None]) -> None:
        try:
            deeds()
        except BaseException as error:  # told by end
            self._failed.append(error)

    def _hurry(self, uuids: Sequence[str]) -> None:
        connection, due, number = self._daemon.open(), time.monotonic(), 0
        domains = [connection.lookupByUUIDString(uuid) for uuid in uuids]
        while not self._ending.is_set():
            with self._turns[0]:
                if self._ending.is_set():
                    break
                domain = domains[number % len(domains)]
                (domain.suspend if number // len(domains) % 2 == 0 else domain.resume)()
            number += 1
            due = max(due + 1 / self._rate, time.monotonic() - BEHIND)
            time.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    def _treat(self, uuids: Sequence[str]) -> None:
        connection = self._daemon.open()
        while not self._ending.is_set():
            with self._turns[1]:
                if self._ending.is_set():
                    break
                self._deal(connection.lookupByUUIDString(self._chance.choice(uuids)))
            self._ending.wait(self._chance.uniform(0.0, 2 * ROUGH_PAUSE))
        connection.close()

    def _deal(self, domain: libvirt.virDomain) -> None:
        if not domain.isActive():
            domain.create()
        elif self._chance.random() < 0.4:
            self.reasons[domain.UUIDString()].append("forced")
            domain.destroy()
        elif self._chance.random() < 0.5:
            self.reasons[domain.UUIDString()].append("failed")
            for pid in self._daemon.pids(domain.name()):
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not domain.isActive())
        elif domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            domain.resume()
        else:
            domain.suspend()
