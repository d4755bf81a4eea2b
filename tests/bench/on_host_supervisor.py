# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the benchmark of the supervisor that runs on the host.

usage: on_host_supervisor.py idle COUNT SECONDS | storm COUNT REPEATS | restarts OURS RAW | listen

idle: COUNT domains that are managed and off, and nothing happens: what the supervisor and `virsh event` take. storm: COUNT managed
domains are defined anew as fast as libvirt takes it. restarts: a QEMU is killed, so many times for each side, and started again by the
supervisor, or by listen, the least that does it. Prints JSON; the host has no domains of the benchmark when it is done.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import libvirt
from on_host import STORE, URI, define, names, ours_on  # type: ignore[import-not-found]  # it lies beside this file
from on_host_boots import resident  # type: ignore[import-not-found]
from on_host_events import COMMAND, remove  # type: ignore[import-not-found]
from on_host_events import prepare as prepare_guests

PLACE = Path(__file__).parent
#: Seconds in which everything must have come about.
PATIENCE = 120.0
#: The second look of a supervisor comes 10 seconds after the first one; this much later it is over.
LOOK, SETTLED = 10.0, 5.0
#: Seconds after the first look within which what comes with it is over; and the longest wait for events, after which the supervisor
#: reads for the last time what was written before.
QUIET, TURN = 5.0, 30.0
#: Seconds between two of the looks that follow, between two readings of all records, and those of the first delay of a restart.
REGULARLY, SURVEYED, DELAY = 1200.0, 600.0, 0.1
#: CPUCLOCK_SCHED of the kernel's clocks of other processes.
PRECISE = 2
#: Guests that are killed in turns, and seconds for which each runs before.
GUESTS, RUNS = 5, 0.5


def declare(connection: Any, count: int, policy: str) -> None:
    """Domains that are off and managed, and the command as on any host."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.agent.installation import Installation, install
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    install(Installation(interpreter=sys.executable), dry_run=False)
    define(connection, count)
    wish = {"mode": "permanent", "restart_policy": policy, "vms": [{"name": name} for name in names(count)]}
    result = run(TASK, wish, open_world(URI))
    assert len(result["vms"]) == count and not result["failed"], result


@contextmanager
def supervised() -> Iterator[subprocess.Popen[str]]:
    """The supervisor, when it has looked at the host for the first time."""
    process = subprocess.Popen([COMMAND, "supervise"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    watching = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("watching;"):
                watching.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert watching.wait(PATIENCE), "the supervisor does not watch"
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def listening(starts: bool) -> Iterator[list[tuple[float, str, int]]]:
    """What a process of libvirt-python alone hears: (moment by CLOCK_MONOTONIC, name, kind of event). starts: see listen."""
    words = [sys.executable, str(Path(__file__)), "listen", *(["starts"] if starts else [])]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    heard: list[tuple[float, str, int]] = []
    assert process.stdout is not None and process.stdout.readline() == "hears\n"

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            moment, name, kind = line.split()
            heard.append((float(moment), name, int(kind)))

    threading.Thread(target=read, daemon=True).start()
    try:
        yield heard
    finally:
        process.terminate()
        process.wait(PATIENCE)


def listen(starts: bool) -> None:
    """A line for each event. starts: a domain that stopped because its QEMU failed is started at once, in a thread of its own."""
    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.open(URI)

    def take(_connection: Any, domain: Any, event: int, detail: int, _opaque: object) -> None:
        print(time.monotonic(), domain.name(), event, flush=True)
        if starts and event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED:
            threading.Thread(target=begin, args=(domain.name(),), daemon=True).start()

    def begin(name: str) -> None:
        own.lookupByName(name).create()

    own = libvirt.open(URI)
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, take, None)
    print("hears", flush=True)
    while True:
        libvirt.virEventRunDefaultImpl()


def idle(connection: Any, count: int, span: float) -> dict[str, float]:
    """MiB, and seconds of processor an hour while nothing happens: of waiting, of looks at the host, and of readings of all records.

    span: a multiple of TURN, so that as many turns are in it as it has room for, whenever it begins. A look is the second one: the
    first one has more to read than any that follows, once. What comes after it, once as well, stands for a reading of all
    records: it reads them, and more. Definitions are as old as where nothing happens: one that was written a moment ago is
    read by every look, until what is written next can be told from it.
    """
    from vm_lifecycle.adapters.durable_files import QUIET as fresh

    declare(connection, count, "no")
    time.sleep(fresh + SETTLED)
    nowhere = subprocess.DEVNULL
    started = time.monotonic()
    with supervised() as ours:
        left = (
            LOOK - 1.0 - (time.monotonic() - started)
        )  # the second look comes 10 s after the connection, not after the first look
        assert left > 0, "the first look takes too long for the second one to be told apart"
        virsh = subprocess.Popen(["virsh", "-q", "event", "--all", "--loop"], stdout=nowhere, stderr=nowhere)
        moments = []
        for seconds in (min(QUIET, left), LOOK, TURN, span):
            time.sleep(seconds)
            moments.append((spent(ours.pid), spent(virsh.pid)))
        (quiet, _before), (looked, _looking), (began, virsh_began), (ended, virsh_ended) = moments
        waiting, virsh_waiting = 3600 / span * (ended - began), 3600 / span * (virsh_ended - virsh_began)
        looks, surveys = 3600 / REGULARLY * (looked - quiet), 3600 / SURVEYED * (began - looked)
        memory = resident(ours.pid), resident(virsh.pid)
        virsh.terminate()
        virsh.wait()
    clear(connection)
    return {
        "memory_ours": memory[0], "memory_virsh": memory[1], "cpu_ours": waiting + looks + surveys,
        "cpu_virsh": virsh_waiting, "cpu_waiting": waiting, "cpu_looks": looks, "cpu_surveys": surveys,
    }  # fmt: skip


def spent(pid: int) -> float:
    """Seconds of processor that a process has used, by threads that have ended, too."""
    return time.clock_gettime(~pid << 3 | PRECISE)


def clear(connection: Any) -> None:
    define(connection, 0)
    shutil.rmtree(STORE, ignore_errors=True)


def storm(connection: Any, count: int, repeats: int) -> dict[str, list[float]]:
    """Seconds from the first definition until all are on record, and until a bare listener has heard them."""
    declare(connection, count, "no")
    samples: dict[str, list[float]] = {"ours": [], "raw": [], "made": []}
    texts = {domain.name(): domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for domain in ours_on(connection)}
    for number in range(repeats):
        with supervised(), listening(starts=False) as heard:
            time.sleep(LOOK + SETTLED)  # no look finds what no event told
            mark = f"<title>storm {number}</title>"
            began = time.monotonic()
            for text in texts.values():
                connection.defineXML(text.replace("</uuid>", f"</uuid>{mark}", 1))
            samples["made"].append(time.monotonic() - began)
            while on_record(mark) < count:
                assert time.monotonic() - began < PATIENCE, f"{on_record(mark)} of {count} are on record"
                time.sleep(0.01)
            samples["ours"].append(time.monotonic() - began)
            while len(heard) < count:
                assert time.monotonic() - began < PATIENCE, f"{len(heard)} of {count} were heard"
                time.sleep(0.01)
            samples["raw"].append(heard[count - 1][0] - began)
    clear(connection)
    return samples


def on_record(mark: str) -> int:
    """Definitions on record that have a mark."""
    with closing(sqlite3.connect(f"{(STORE / 'state.db').as_uri()}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT count(*) FROM recoveries WHERE instr(recovery, ?)", (mark,)).fetchone()
    return int(found[0])


def restarts(connection: Any, ours: int, raw: int) -> dict[str, list[float]]:
    """Seconds from SIGKILL of a QEMU until libvirt tells that its guest has started; ours without the delay of its policy."""
    guests = prepare_guests(connection, GUESTS)
    declare_restarts([guest.name() for guest in guests])
    with supervised(), listening(starts=False) as heard:
        mine = [killed(guests[number % GUESTS], heard) - DELAY for number in range(ours)]
    with listening(starts=True) as heard:
        theirs = [killed(guests[number % GUESTS], heard) for number in range(raw)]
    for guest in guests:
        if not guest.isActive():
            guest.create()
    remove(guests)
    return {"ours": mine, "raw": theirs}


def declare_restarts(guests: list[str]) -> None:
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    wish = {"mode": "permanent", "restart_policy": "always", "vms": [{"name": name} for name in guests]}
    assert not run(TASK, wish, open_world(URI))["failed"]


def killed(guest: Any, heard: list[tuple[float, str, int]]) -> float:
    """A guest that a person stopped and started, so that nothing is counted against it, runs for a while, and is killed."""
    if guest.isActive():
        guest.destroy()
    guest.create()
    time.sleep(RUNS)
    before, name = len(heard), guest.name()
    pid = int(Path(f"/run/libvirt/qemu/{name}.pid").read_text("ascii"))
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while time.monotonic() < moment + PATIENCE:
        for at, whose, kind in heard[before:]:
            if whose == name and kind == libvirt.VIR_DOMAIN_EVENT_STARTED and at > moment:
                return at - moment
        time.sleep(0.005)
    raise SystemExit(f"{name} was not started again")


def main(arguments: list[str]) -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    verb, *rest = arguments
    if verb == "listen":
        listen(bool(rest))
        return
    sys.path.insert(0, str(PLACE))
    connection = libvirt.open(URI)
    result: object
    if verb == "idle":
        result = idle(connection, int(rest[0]), float(rest[1]))
    elif verb == "storm":
        result = storm(connection, int(rest[0]), int(rest[1]))
    elif verb == "restarts":
        result = restarts(connection, int(rest[0]), int(rest[1]))
    else:
        raise SystemExit(f"unknown verb {verb}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
