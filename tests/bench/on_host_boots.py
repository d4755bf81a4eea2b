# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the benchmark of boots and shutdowns that runs on the host, with guests that really boot.

usage: on_host_boots.py prepare | remove | boots REPEATS | bound PAIRS | stops HOW REPEATS | idle REPEATS SECONDS

HOW: shutdown or save-state. Results are JSON on standard output: seconds by kind of run. All domains that are called
guest-... take part. Every measured run is a process of its own, from its start to its exit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import libvirt
from on_host import STORE, URI, seconds  # type: ignore[import-not-found]  # on the host it lies beside this file

PLACE = Path(__file__).parent
PREFIX = "guest-"
COMMAND = "vm-lifecycle"
LOGS = Path("/var/log/libvirt/lab")
#: Memory of guests that had booted: shutting ten of them down again and again need not wait for ten boots each time.
IMAGES = Path("/var/lib/libvirt/qemu/bench")
#: Of libvirt-guests: its program, its settings, and what it was told to start.
GUESTS = ("/usr/lib/libvirt/libvirt-guests.sh", "/usr/libexec/libvirt-guests.sh")
SETTINGS, LIST = Path("/etc/default/libvirt-guests"), Path("/var/lib/libvirt/libvirt-guests")
#: Seconds after guests were started from their memory, or ended, until the host is quiet again.
SETTLE = 2.0
#: Seconds within which all guests have booted, on a machine that has other things to do.
BOOT_LIMIT = 900.0

OURS, OTHER, SERIAL = "ours", "libvirt-guests", "serial"


def guests(connection: Any) -> list[Any]:
    found = [domain for domain in connection.listAllDomains() if domain.name().startswith(PREFIX)]
    return sorted(found, key=lambda domain: domain.name())


def names(connection: Any) -> list[str]:
    return [domain.name() for domain in guests(connection)]


def off(connection: Any) -> None:
    """Every guest is off, without saved memory, and our books know it, as they do when a host has booted."""
    for domain in guests(connection):
        if domain.isActive():
            domain.destroy()
        if domain.hasManagedSaveImage():
            domain.managedSaveRemove()
    LIST.unlink(missing_ok=True)
    execute(COMMAND, "boot", "--mark")
    time.sleep(SETTLE)


def at_once(work: Callable[[Any], object], connection: Any) -> None:
    """Do something to all guests at the same time; none of it may fail."""
    failed: list[BaseException] = []

    def one(name: str) -> None:
        try:
            work(libvirt.open(URI).lookupByName(name))
        except libvirt.libvirtError as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in names(connection)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def execute(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words[:3], done.stdout[-2000:], done.stderr[-2000:])


def shell(script: str, *words: str) -> None:
    execute("/bin/sh", "-ec", script, "sh", *words)


def prepare(connection: Any) -> None:
    """The command is installed as on any host, and libvirt-guests does what it can: all at once, without delays."""
    from vm_lifecycle.agent.installation import Installation, install

    install(Installation(interpreter=sys.executable), dry_run=False)
    SETTINGS.write_text("ON_BOOT=start\nSTART_DELAY=0\nON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN=10\n", "utf-8")
    declare("shutdown", connection)


def declare(how: str, connection: Any) -> None:
    """All guests start when the host boots, none waits for another, and on_host_shutdown is how."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    wish = {"mode": "permanent", "auto_start": True, "policy": {"on_host_shutdown": how}}
    result = run(TASK, {**wish, "vms": [{"name": name} for name in names(connection)]}, open_world(URI))
    assert len(result["vms"]) == len(names(connection)) and not result["failed"], result


def remove(connection: Any) -> None:
    """The host is as it was before."""
    for domain in guests(connection):
        if domain.isActive():
            domain.destroy()
        flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        disk = connection.storageVolLookupByPath(f"/var/lib/libvirt/images/{domain.name()}.qcow2")
        domain.undefineFlags(flags)
        disk.delete()
    for left in (IMAGES, STORE):
        shutil.rmtree(left, ignore_errors=True)


def guests_program() -> str:
    return next(path for path in GUESTS if os.path.exists(path))


def rotated(ways: Mapping[str, Callable[[], None]], repeats: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every way in each round, each round beginning with another one: whatever else the machine does meets all of them."""
    listed = list(ways.items())
    for number in range(repeats):
        first = number % len(listed)
        yield from listed[first:] + listed[:first]


def boots(connection: Any, repeats: int) -> dict[str, list[float]]:
    """Samples of starting all guests: by us, by libvirt-guests, and by virsh one after the other."""
    uuids = " ".join(domain.UUIDString() for domain in guests(connection))
    ways = {
        OURS: partial(execute, COMMAND, "boot", "--again"),
        OTHER: partial(execute, guests_program(), "start"),
        SERIAL: partial(shell, 'for name do virsh -q start "$name"; done', *names(connection)),
    }
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for way, work in rotated(ways, repeats):
        off(connection)
        LIST.write_text(f"default {uuids}\n", "utf-8")  # as its own stop leaves it
        samples[way].append(seconds(work))
        assert all(domain.isActive() for domain in guests(connection)), way
    off(connection)
    return samples


def bound(connection: Any, pairs: int) -> dict[str, list[float]]:
    """Samples of starting all guests by us, and by threads that do nothing else; each pair one right after the other."""
    raw = [sys.executable, "-I", str(PLACE / "raw_starts.py"), *names(connection)]
    ways = {OURS: partial(execute, COMMAND, "boot", "--again"), "raw": partial(execute, *raw)}
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for way, work in rotated(ways, pairs):
        off(connection)
        samples[way].append(seconds(work))
        assert all(domain.isActive() for domain in guests(connection)), way
    off(connection)
    return samples


def booted(connection: Any) -> None:
    """Have all guests boot, and keep the memory that they have then."""
    if IMAGES.exists():
        return
    off(connection)
    logs = [LOGS / f"{name}.log" for name in names(connection)]
    for log in logs:
        log.unlink(missing_ok=True)
    at_once(lambda domain: domain.create(), connection)
    began = time.monotonic()
    while not all(log.exists() and b"GUEST-READY" in log.read_bytes() for log in logs):
        assert time.monotonic() - began < BOOT_LIMIT, "the guests do not boot"
        time.sleep(1.0)
    IMAGES.mkdir(mode=0o711)
    for domain in guests(connection):
        domain.save(str(IMAGES / domain.name()))


def running(connection: Any) -> None:
    """All guests run, with the memory that they had when they had booted, and have nothing to do."""
    off(connection)
    at_once(lambda domain: domain.connect().restore(str(IMAGES / domain.name())), connection)
    time.sleep(SETTLE)


def stops(connection: Any, how: str, repeats: int) -> dict[str, list[float]]:
    """Samples of stopping all guests: by us, by libvirt-guests, and by virsh one after the other."""
    booted(connection)
    declare(how, connection)
    shutting = how == "shutdown"
    settings = SETTINGS.read_text("utf-8").splitlines()
    kept = [line for line in settings if not line.startswith("ON_SHUTDOWN=")]
    SETTINGS.write_text("\n".join([*kept, f"ON_SHUTDOWN={'shutdown' if shutting else 'suspend'}", ""]), "utf-8")
    wait = 'while [ "$(virsh -q domstate "$name")" = running ]; do sleep 0.2; done'
    each = f'virsh -q shutdown "$name"; {wait}' if shutting else 'virsh -q managedsave "$name"'
    ways = {
        OURS: partial(execute, COMMAND, "shutdown", "--now"),
        OTHER: partial(execute, guests_program(), "stop"),
        SERIAL: partial(shell, f"for name do {each}; done", *names(connection)),
    }
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for way, work in rotated(ways, repeats):
        running(connection)
        samples[way].append(seconds(work))
        for domain in guests(connection):
            assert not domain.isActive() and bool(domain.hasManagedSaveImage()) is not shutting, (way, domain.name())
    off(connection)
    return samples


def idle(connection: Any, repeats: int, span: float) -> dict[str, list[float]]:
    """What listening costs while the guests run and nothing happens: resident MiB, and seconds of processor an hour."""
    booted(connection)
    running(connection)
    listeners = {OURS: [COMMAND, "supervise"], "virsh": ["virsh", "-q", "event", "--all", "--loop"]}
    samples: dict[str, list[float]] = {f"{kind}_{who}": [] for who in listeners for kind in ("memory", "cpu")}
    nowhere = subprocess.DEVNULL
    processes = {who: subprocess.Popen(words, stdout=nowhere, stderr=nowhere) for who, words in listeners.items()}
    time.sleep(5.0)
    for _each in range(repeats):
        before = {who: used(process.pid) for who, process in processes.items()}
        time.sleep(span)
        for who, process in processes.items():
            samples[f"cpu_{who}"].append((used(process.pid) - before[who]) * 3600 / span)
            samples[f"memory_{who}"].append(resident(process.pid))
    for process in processes.values():
        process.terminate()
        process.wait()
    off(connection)
    return samples


def used(pid: int) -> float:
    """Seconds of processor that a process has used, by all of its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text("ascii").split()[0]) for thread in threads) / 1e9


def resident(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main(arguments: list[str]) -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    sys.path.insert(0, str(PLACE))
    verb, rest = arguments[0], arguments[1:]
    connection = libvirt.open(URI)
    result: object = None
    if verb == "prepare":
        prepare(connection)
    elif verb == "remove":
        remove(connection)
    elif verb == "boots":
        result = boots(connection, int(rest[0]))
    elif verb == "bound":
        result = bound(connection, int(rest[0]))
    elif verb == "stops":
        result = stops(connection, rest[0], int(rest[1]))
    elif verb == "idle":
        result = idle(connection, int(rest[0]), float(rest[1]))
    else:
        raise SystemExit(f"unknown verb {verb}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
