# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sweeps that are killed, that find no room, and those that are left alone. Nothing of the engine is imported: it is the installed
command.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from building import REMOVED, connect

STATE = Path("/var/lib/vm-lifecycle")
INTENTS, UNDO = STATE / "intents", STATE / "undo"
COMMAND = "/usr/local/bin/vm-lifecycle"
#: Seconds after which a sweep that did not end is a failure of its own.
LIMIT = 300
#: Seconds within which a kill follows what it waited for, by what that was.
SPREAD = {"start": 1.2, "intent": 3.5, "armed": 0.15}


def expired(manifest: dict[str, Any]) -> list[str]:
    """UUIDs of VMs that have to go and are there."""
    there = {domain.UUIDString() for domain in connect().listAllDomains()}
    return [uuid for uuid, vm in manifest["vms"].items() if vm["fate"] == REMOVED and uuid in there]


def undone() -> list[str]:
    """UUIDs of removed VMs whose disks wait for an undo."""
    return sorted(path.stem for path in UNDO.glob("*.json")) if UNDO.exists() else []


def records(since: float = 0.0) -> tuple[int, int]:
    """How many removals are on record, and how many of them are armed; since: only what was written after that time."""
    texts = []
    for path in INTENTS.glob("*.json"):
        try:
            if path.stat().st_mtime >= since:
                texts.append(path.read_text("utf-8"))
        except FileNotFoundError:
            continue
    return len(texts), sum('"armed": true' in text for text in texts)


def words(manifest: dict[str, Any], purging: bool, named: bool) -> list[str]:
    """The command line of the next sweep; empty when there is nothing left for it."""
    if purging:
        left = undone()
        return [COMMAND, "purge", "--json", *left] if left else []
    left = expired(manifest)
    if not left and not records()[0]:
        return []
    return [COMMAND, "cleanup", "--json", *(left if named else [])]


def begin(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_one(command: list[str], chance: random.Random, beside: bool) -> dict[str, Any]:
    """Begin a sweep and kill it at some moment. It counts if the process lived until the signal, and died of it.

    begun, armed: removals that were put on record since it began; what earlier sweeps left is not counted. beside: another sweep
    runs at the same time, as a timer's beside a person's, and is killed with it.
    """
    before, since = time.monotonic(), time.time()
    other = begin(command) if beside else None
    process = begin(command)
    moment = chance.choices(("start", "intent", "armed"), (2, 5, 3))[0]
    while moment != "start" and process.poll() is None and time.monotonic() - before < LIMIT:
        now, armed = records(since)
        if (moment == "intent" and now) or (moment == "armed" and armed):
            break
        time.sleep(0.002)
    time.sleep(chance.uniform(0, SPREAD[moment]))
    alive = process.poll() is None
    begun, armed = records(since)
    process.send_signal(signal.SIGKILL)
    status = process.wait(LIMIT)
    if other is not None:
        other.kill()
        other.wait(LIMIT)
    return {
        "beside": beside,
        "counts": alive and status == -signal.SIGKILL,
        "moment": moment,
        "begun": begun,
        "armed": armed,
        "after_seconds": round(time.monotonic() - before, 3),
    }


def kill_daemon(command: list[str], chance: random.Random) -> dict[str, Any]:
    """Kill libvirtd while a sweep runs, which then ends as it can."""
    process = begin(command)
    time.sleep(chance.uniform(0.3, 2.0))
    alive = process.poll() is None
    found = subprocess.run(["systemctl", "kill", "--signal=KILL", "libvirtd.service"], check=False)
    process.wait(LIMIT)
    for _each in range(50):
        if subprocess.run(["virsh", "-q", "uri"], capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.2)
    return {"counts": alive and found.returncode == 0, "status": process.returncode}


def no_room(command: list[str], chance: random.Random) -> dict[str, Any]:
    """A sweep that can write so many bytes of a file and no more, as on a disk that is full. It counts if it noticed."""
    size = chance.choice((0, 512, 4096, 12000))
    status = begin(["prlimit", f"--fsize={size}", *command]).wait(LIMIT)
    return {"counts": status != 0, "bytes": size, "status": status}


def kills(manifest: dict[str, Any], seed: int, count: int, daemons: int, purging: bool) -> dict[str, Any]:
    """Kill up to count sweeps, as long as there is something for them to do."""
    chance = random.Random(seed)
    done: list[dict[str, Any]] = []
    daemon: list[dict[str, Any]] = []
    for number in range(4 * count):
        command = words(manifest, purging, named=number % 3 == 2)
        if sum(kill["counts"] for kill in done) >= count or not command:
            break
        if len(daemon) < daemons and number % 4 == 3:
            daemon.append(kill_daemon(command, chance))
            continue
        done.append(kill_one(command, chance, beside=number % 4 == 1))
    return {"kills": done, "daemon_kills": daemon, "left": len(expired(manifest))}


def sweep(command: list[str]) -> dict[str, Any]:
    """One that runs to its end."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        result = {"crash": f"{done.stdout[-500:]}{done.stderr[-1500:]}"}
    return {**result, "status": done.returncode, "seconds": round(time.monotonic() - began, 2)}


def until_quiet(manifest: dict[str, Any], purging: bool) -> dict[str, Any]:
    """Plain sweeps, and after the first ones by name, which no back-off stops, until there is nothing left to do."""
    seconds: list[float] = []
    last: dict[str, Any] = {}
    for number in range(12):
        command = words(manifest, purging, named=number >= 2)
        if not command:
            break
        last = sweep(command)
        seconds.append(last["seconds"])
    return {"sweeps": len(seconds), "seconds": seconds, "rows": odd_rows(last), "crash": last.get("crash", "")}


def odd_rows(result: dict[str, Any]) -> list[str]:
    """VMs of a sweep that neither went nor stay for good, with what it says of them."""
    rows = [row for row in result.get("vms", []) if row["decision"] in ("failed", "waiting")]
    return [f"{row['name']}: {row['decision']} {row['reason']} {row['message']}" for row in rows] + (
        [str(result["msg"])] if "msg" in result else []
    )
