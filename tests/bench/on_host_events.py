# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the benchmark of events that runs on the host. usage: on_host_events.py GUESTS RATE REPEATS SECONDS

So many guests, which do nothing at all, are suspended and resumed at a rate (events a second). The supervisor and a bare loop of
libvirt-python hear that at the same time. Prints JSON: milliseconds of processor for each event (ours, raw), and the rate that was
reached (rate), a figure for each repeat. Processes that the supervisor starts count as its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import libvirt
from on_host import STORE, URI  # type: ignore[import-not-found]  # on the host it lies beside this file

PLACE = Path(__file__).parent
COMMAND = "vm-lifecycle"
IMAGE = Path("/var/lib/libvirt/images/events.img")
#: A boot sector that takes no interrupts and halts: a guest that runs and needs no processor.
HALT = bytes.fromhex("fa f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"
XML = """<domain type='qemu'><name>events-{number:02}</name><memory unit='MiB'>32</memory>
<os><type machine='pc'>hvm</type><boot dev='fd'/></os><features><acpi/></features>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='floppy'><driver type='raw'/><source file='{image}'/><target dev='fda' bus='fdc'/><readonly/></disk>
<controller type='usb' model='none'/><memballoon model='none'/><video><model type='none'/></video></devices></domain>"""
#: Seconds for which the stream may be behind its rate and makes up for it, and in which all is recorded when it has ended.
BEHIND, SETTLE = 1.0, 60.0
#: Seconds until both listeners watch.
READY = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def prepare(connection: Any, count: int) -> list[Any]:
    """The command is installed as on any host; guests run, and are managed."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.agent.installation import Installation, install
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    install(Installation(interpreter=sys.executable), dry_run=False)
    IMAGE.write_bytes(HALT)
    guests = [connection.defineXML(XML.format(number=number, image=IMAGE)) for number in range(1, count + 1)]
    for guest in guests:
        guest.create()
    result = run(TASK, {"mode": "permanent", "vms": [{"name": guest.name()} for guest in guests]}, open_world(URI))
    assert len(result["vms"]) == count and not result["failed"], result
    return guests


def remove(guests: list[Any]) -> None:
    """The host is as it was before."""
    for guest in guests:
        guest.destroy()
        guest.undefine()
    IMAGE.unlink()
    shutil.rmtree(STORE, ignore_errors=True)


def stream(guests: list[Any], rate: float, span: float) -> tuple[int, float]:
    """Suspend and resume them in turns; returns (events, seconds). An even number of rounds, so that all run afterwards."""
    began = due = time.monotonic()
    number = 0
    while time.monotonic() - began < span or number % (2 * len(guests)):
        guest = guests[number % len(guests)]
        if number // len(guests) % 2:
            guest.resume()
        else:
            guest.suspend()
        number += 1
        due = max(due + 1 / rate, time.monotonic() - BEHIND)
        time.sleep(max(0.0, due - time.monotonic()))
    return number, time.monotonic() - began


def used(pid: int) -> float:
    """Seconds of processor that a process and those that it started and that ended have used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS


def recorded(since: float) -> int:
    """VMs that are on record as running since a moment, at the earliest."""
    with closing(sqlite3.connect(f"{(Path(STORE) / 'state.db').as_uri()}?mode=ro", uri=True)) as database:
        states = [json.loads(row[0]) for row in database.execute("SELECT state FROM states")]
    return sum(state["state"] == "running" and state["at_unix"] >= int(since) for state in states)


def sample(guests: list[Any], rate: float, span: float) -> dict[str, float]:
    """One run of the stream with both listeners."""
    nowhere = subprocess.DEVNULL
    ours = subprocess.Popen([COMMAND, "supervise"], stdout=nowhere, stderr=nowhere)
    raw = subprocess.Popen(
        [sys.executable, "-I", str(PLACE / "raw_events.py"), URI], stdout=subprocess.PIPE, stderr=nowhere, text=True
    )
    time.sleep(READY)
    before = used(ours.pid), used(raw.pid)
    events, seconds = stream(guests, rate, span)
    last, deadline = time.time() - len(guests) / rate - BEHIND, time.monotonic() + SETTLE
    while recorded(last) < len(guests):
        assert time.monotonic() < deadline, "not all events were recorded"
        time.sleep(0.2)
    time.sleep(1.0)
    after = used(ours.pid), used(raw.pid)
    for process in (raw, ours):
        process.terminate()
    heard = raw.communicate()[0].split()
    assert heard[0] == "hears" and int(heard[1]) >= events, (heard, events)
    ours.wait()
    mine, theirs = (1000 * (now - then) / events for now, then in zip(after, before, strict=True))
    return {"ours": mine, "raw": theirs, "rate": events / seconds}


def main(arguments: list[str]) -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    sys.path.insert(0, str(PLACE))
    count, rate, repeats, span = int(arguments[0]), float(arguments[1]), int(arguments[2]), float(arguments[3])
    guests = prepare(libvirt.open(URI), count)
    found = [sample(guests, rate, span) for _each in range(repeats)]
    remove(guests)
    json.dump({name: [each[name] for each in found] for name in found[0]}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
