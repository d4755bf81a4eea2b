# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills of every process of ours that is no sweep of a person: units, their hook, modules; and what units are like at rest."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import turmoil
from building import connect, sh

STEADY = "supervisor"
#: Units that are begun here and killed meanwhile; the sweep of the timer among them.
SHORT = ("snapshot", "notify", "cleanup")
HOOK, MODULE = b"chaos-hook", b"AnsiballZ_vm_"
#: Seconds from the start of a unit to its kill, at most.
SPREAD = {"snapshot": 1.0, "notify": 1.0, "cleanup": 2.0}
NAMESPACE = "{urn:vmops:lifecycle:1}lifecycle"
HOOK_LOG = Path("/var/log/chaos-hook.log")


def unit(name: str) -> str:
    return f"vm-lifecycle-{name}.service"


def shown(name: str, what: str) -> str:
    return sh("systemctl", "show", "--property", what, "--value", unit(name), check=False).strip()


def main_pid(name: str, seconds: float) -> int:
    """Of a unit that was begun; 0 when it is over before it was seen."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid = int(shown(name, "MainPID") or 0)
        if pid:
            return pid
        time.sleep(0.02)
    return 0


def kill(pid: int) -> bool:
    """Whether there was something to kill."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_unit(name: str, chance: random.Random) -> dict[str, Any]:
    """Begin a unit, if it does not run anyway, and kill it at some moment."""
    if name != STEADY:
        begin(name)
    pid = main_pid(name, 5)
    time.sleep(chance.uniform(0, SPREAD.get(name, 0.5)))
    hit = kill(pid)
    if name == STEADY:
        return {"what": name, "counts": hit}
    settled(name)
    return {"what": name, "counts": hit and shown(name, "Result") == "signal"}


def begin(name: str) -> None:
    sh("systemctl", "reset-failed", unit(name), check=False)
    sh("systemctl", "start", "--no-block", unit(name))


def notices(seed: int) -> dict[str, Any]:
    """While there is something to tell: kill the hook, then the unit that called it, each when the hook is seen to run."""
    done = []
    for what in random.Random(seed).sample(("hook", "notify"), 2):
        begin("notify")
        pid, hit = main_pid("notify", 5), False
        while pid and not hit and shown("notify", "ActiveState") == "activating":
            found = processes(HOOK)
            hit = bool(found) and any(kill(each) for each in (found if what == "hook" else [pid]))
        settled("notify")
        done.append({"what": what, "counts": hit})
    return {"ours": done}


def settled(name: str, seconds: float = 240) -> None:
    """Wait until a unit that is no daemon is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and shown(name, "ActiveState") in ("activating", "deactivating", "reloading"):
        time.sleep(0.05)


def processes(word: bytes) -> list[int]:
    """Of this host, by what is on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kill_module(chance: random.Random, wanted: bool) -> list[dict[str, Any]]:
    """Wait until a controller's module runs here, since its playbook has begun; kill it, if that is wanted."""
    until = time.monotonic() + 20
    while time.monotonic() < until and not processes(MODULE):
        time.sleep(0.02)
    if not wanted:
        return []
    time.sleep(chance.uniform(0, 1.0))
    hit = [pid for pid in processes(MODULE) if kill(pid)]
    return [{"what": "module", "counts": bool(hit)}]


def kills(seed: int, with_module: bool) -> dict[str, Any]:
    """Each of them once, in some order; the module first."""
    chance = random.Random(seed)
    names = [*SHORT, STEADY]
    chance.shuffle(names)
    done = kill_module(chance, with_module)
    return {"ours": done + [kill_unit(name, chance) for name in names]}


def boot(manifest: dict[str, Any], seed: int) -> dict[str, Any]:
    """After a boot of the host: perhaps kill the boot unit, have it go on, and say which VMs are not up that must be."""
    chance = random.Random(seed)
    done = []
    if chance.random() < 0.7:
        pid = main_pid("boot", 20) if shown("boot", "ActiveState") in ("inactive", "activating") else 0
        time.sleep(chance.uniform(0, 0.3))
        hit = kill(pid)
        settled("boot")
        done.append({"what": "boot", "counts": hit and shown("boot", "Result") == "signal"})
    settled("boot")
    sh("systemctl", "reset-failed", unit("boot"), check=False)
    sh("systemctl", "start", unit("boot"), check=False)
    running = {domain.UUIDString() for domain in connect().listAllDomains(1)}  # active
    must = {uuid: vm["name"] for uuid, vm in manifest["vms"].items() if vm["carries"] == "boots"}
    return {"ours": done, "down": sorted(name for uuid, name in must.items() if uuid not in running)}


def rest() -> dict[str, str]:
    """How the units end that nobody kills any more, and whether the supervisor runs."""
    results = {}
    for name in SHORT:
        settled(name)
        sh("systemctl", "reset-failed", unit(name), check=False)
        sh("systemctl", "start", unit(name), check=False)
        settled(name)
        results[name] = shown(name, "Result")
    until = time.monotonic() + 60
    while time.monotonic() < until and shown(STEADY, "ActiveState") != "active":
        time.sleep(0.2)
    results[STEADY] = "success" if shown(STEADY, "ActiveState") == "active" else shown(STEADY, "Result")
    return results


def states(seconds: float = 45) -> list[str]:
    """Declared VMs of which the store says something else than libvirt, and goes on to for so long."""
    wrong: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.closing(sqlite3.connect(turmoil.STATE / "state.db")) as database:
            kept = {
                uuid: json.loads(text)["state"] for uuid, text in database.execute("SELECT uuid, state FROM states")
            }
        wrong = [
            f"{domain.name()}: {kept[domain.UUIDString()]}, {'active' if domain.isActive() else 'off'}"
            for domain in connect().listAllDomains()
            if (kept.get(domain.UUIDString()) in ("running", "paused")) != bool(domain.isActive())
            and domain.UUIDString() in kept
        ]
        if not wrong:
            return []
        time.sleep(1)
    return wrong


def declared() -> dict[str, str]:
    """UUID -> what a VM's own metadata says: held, or its mode."""
    found = {}
    for domain in connect().listAllDomains():
        element = ElementTree.fromstring(domain.XMLDesc(2)).find(f"./metadata/{NAMESPACE}")
        if element is not None and element.text:
            document = json.loads(element.text)
            found[domain.UUIDString()] = "held" if "hold" in document else document["persistence"]["mode"]
    return found


def told() -> list[str]:
    """UUIDs of VMs that the hook was told will expire."""
    lines = HOOK_LOG.read_text("utf-8").splitlines() if HOOK_LOG.exists() else []
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return sorted({event["vm_uuid"] for event in events if event["event"] == "expiring"})
