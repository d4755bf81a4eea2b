# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sweeps on a host whose clock is wrong or steps meanwhile, and on one whose disk is full for a while."""

from __future__ import annotations

import glob
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import turmoil
from building import sh

SMALL = Path("/var/lib/chaos/small")
WRITERS = ("vm-lifecycle-snapshot.timer", "vm-lifecycle-snapshot.service", "vm-lifecycle-supervisor.service")
STEPPED = Path("/run/chaos-clock")
#: All that a sweep must not believe: nothing that has time left may go, by any of them.
CLOCKS = ("+10d", "+400d", "+3650d", "-3650d", "@2038-01-20 00:00:00", "@1970-01-03 00:00:00")


def clock(command: list[str], chance: random.Random) -> dict[str, Any]:
    """A sweep that is shown a wrong clock, from its beginning or by a step while it runs; the host's own is left alone."""
    honest = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0]
    wrong, steps = chance.choice(CLOCKS), chance.random() < 0.5
    shown = {"FAKETIME": wrong}
    if steps:
        STEPPED.write_text("+0\n", "utf-8")
        shown = {"FAKETIME_TIMESTAMP_FILE": str(STEPPED), "FAKETIME_NO_CACHE": "1"}
    preload = {"LD_PRELOAD": f"/usr/local/lib/clock-sleep.so:{library}"}
    process = subprocess.Popen(
        command, env={**os.environ, **preload, **honest, **shown}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(chance.uniform(0.3, 2.0))
    alive = process.poll() is None
    if steps:
        STEPPED.write_text(f"{wrong}\n", "utf-8")
    status = process.wait(turmoil.LIMIT)
    return {"counts": alive or not steps, "clock": wrong, "steps": steps, "status": status}


def full_disk(command: list[str], chance: random.Random) -> dict[str, Any]:
    """The state directory on a small file system, which is full from some moment of a sweep on, and has room again later."""
    SMALL.mkdir(exist_ok=True)
    # what has files open there would have them in both places
    sh("systemctl", "stop", *WRITERS, check=False)
    size = sum(path.stat().st_size for path in turmoil.STATE.rglob("*") if path.is_file())
    sh("mount", "-t", "tmpfs", "-o", f"size={size // 1024 + 2048}k", "small", str(SMALL))
    sh("cp", "-a", str(turmoil.STATE), str(SMALL / "state"))
    sh("mount", "--bind", str(SMALL / "state"), str(turmoil.STATE))
    try:
        process = turmoil.begin(command)
        time.sleep(chance.uniform(0.0, 2.0))
        alive = process.poll() is None
        subprocess.run(["dd", "if=/dev/zero", f"of={SMALL / 'filler'}", "bs=512"], capture_output=True, check=False)
        full = os.statvfs(SMALL).f_bavail == 0
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0.5, 4.0))
            (SMALL / "filler").unlink()
        status = process.wait(turmoil.LIMIT)
    finally:
        (SMALL / "filler").unlink(missing_ok=True)
        unmount(turmoil.STATE)
        replace(turmoil.STATE, SMALL / "state")
        unmount(SMALL)
        sh("systemctl", "start", WRITERS[0], WRITERS[-1], check=False)
    return {"counts": alive and full, "status": status}


def unmount(place: Path) -> None:
    """Also when something that a sweep began needs a moment to end."""
    for _each in range(50):
        if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.2)
    sh("umount", str(place))


def replace(target: Path, source: Path) -> None:
    """What is in one directory, as it is in the other."""
    for path in target.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    sh("cp", "-a", f"{source}/.", str(target))


def trouble(manifest: dict[str, Any], seed: int) -> dict[str, Any]:
    """A sweep of each kind, as long as there is something to remove."""
    chance = random.Random(seed)
    done: dict[str, Any] = {"no_room": [], "clock": [], "full_disk": []}
    for kind, sweep in (("clock", clock), ("no_room", turmoil.no_room), ("full_disk", full_disk), ("clock", clock)):
        command = turmoil.words(manifest, purging=False, named=chance.random() < 0.5)
        if command:
            done[kind].append(sweep(command, chance))
    return done
