# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chaos on lab hosts: sweeps that are killed at random moments, power cuts, and an independent look at what is left.

usage: run.py [--hosts N] [--minutes N] [--kills N] [--cuts N] [--daemons N] [--seed N] [--release R] [--keep]

Each host has rounds of thirty-odd expired VMs and those that have to survive (host/population.py), until enough sweeps were
killed, power was cut often enough and so many minutes are over; every other round with undo_hours, purged at its end. Sweeps
run beside each other, files can't grow, hosts reboot. After each round judge.py compares the
host with the manifest. At the end a file that has to stay is removed by hand, which the judge has to find. Writes
build/chaos.json, all hosts together; exit status 1 when there is a violation, 2 when there was not enough chaos.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chaos.controller import LAB, ask, call, confirmed, enter, install, lab, manifest_of, prepare
from tests.chaos.judge import GONE_BY_HAND, REMOVED, Violation, judge, resolved

SWEEP = "/usr/local/bin/vm-lifecycle cleanup"
KILLS_A_ROUND = 12
#: Why a VM stays, in the engine's words, by what it carries: that the bait is what it is taken for.
REASONS = {
    "permanent": "permanent",
    "boots": "permanent",
    "held": "held",
    "fresh": "not_expired",
    "expired": "newly_seen",
}


#: Somebody wants no further round, and the report of those that were.
OVER = threading.Event()


@dataclass
class Story:
    """What happened so far."""

    kills: list[dict[str, Any]] = field(default_factory=list)
    daemon_kills: list[dict[str, Any]] = field(default_factory=list)
    power_cuts: list[dict[str, Any]] = field(default_factory=list)
    reboots: int = 0
    boots: int = 0
    no_room: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    full_disks: list[dict[str, Any]] = field(default_factory=list)
    ours: list[dict[str, Any]] = field(default_factory=list)
    playbooks: list[dict[str, Any]] = field(default_factory=list)
    hands: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def counted(self, what: list[dict[str, Any]]) -> int:
        """Those that hit something that lived."""
        return sum(bool(each["counts"]) for each in what)


def cut_power(host: str, chance: random.Random) -> dict[str, Any]:
    """In the middle of a sweep; counts if the sweep had not ended, and the host came up as another boot.

    begun: removals that this sweep had put on record, when the power came back.
    """
    since = time.time()
    boot = lab("ssh", host, "cat /proc/sys/kernel/random/boot_id")
    sweep = subprocess.Popen(
        [str(LAB), "ssh", host, SWEEP], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    time.sleep(chance.uniform(0.6, 3.0))
    alive = sweep.poll() is None
    lab("power-cut", host)
    status = sweep.wait(60)
    lab("power-on", host)
    again = lab("ssh", host, "cat /proc/sys/kernel/random/boot_id") != boot
    left = lab("ssh", host, f"find /var/lib/vm-lifecycle/intents -name '*.json' -newermt @{since:.3f} | wc -l")
    return {"counts": alive and status != 0 and again, "begun": int(left)}


def one_round(host: str, number: int, options: argparse.Namespace, story: Story, chance: random.Random) -> None:
    """Build, mark, torment, let it come to rest, and judge."""
    undo = number % 2 == 1
    manifest = call(host, "build", number, 24 if undo else 0)
    check_bait(manifest, call(host, "mark"), number)
    story.ours += call(host, "notices", chance.randrange(2**31))["ours"]
    going_on = options.minutes > 0
    kills = KILLS_A_ROUND if going_on else min(KILLS_A_ROUND, max(options.kills - story.counted(story.kills), 1))
    torment(host, story, chance, min(kills, 2), 0, purging=False)  # most of the VMs are left for the power cut
    if going_on or story.counted(story.power_cuts) < options.cuts:
        story.power_cuts.append(cut_power(host, chance))
        booted(host, story, chance)
    done = call(host, "trouble", chance.randrange(2**31))
    story.no_room += done["no_room"]
    story.clocks += done["clock"]
    story.full_disks += done["full_disk"]
    story.hands += call(host, "hands", chance.randrange(2**31))["hands"]
    daemons = min(1, options.daemons - story.counted(story.daemon_kills))
    beside_a_playbook(host, number, story, chance, kills - min(kills, 2), daemons)
    if number % 3 == 2:
        lab("reboot", host)
        story.reboots += 1
        booted(host, story, chance)
    quiet = [call(host, "quiet", 0)]
    found: list[Violation] = []
    manifest = manifest_of(host)
    if undo:
        facts = facts_of(host)
        vms = resolved(manifest, facts)["vms"]
        gone = [uuid for uuid, vm in vms.items() if vm["fate"] == REMOVED and vm["round"] == f"r{number}"]
        found += judge(manifest, facts, frozenset(gone))
        torment(host, story, chance, kills // 3 + 1, 0, purging=True)
        quiet += [call(host, "quiet", 1), call(host, "quiet", 0)]
    found += judge(manifest, facts_of(host))
    found = [each for each in dict.fromkeys(found) if each not in story.violations]
    story.violations += found
    story.rounds.append({"undo": undo, "quiet": quiet, "violations": [asdict(each) for each in found]})
    say(f"{host}, round {number}{' with undo' if undo else ''}: {progress(story)}")
    for each in found:
        say(f"  {host}: {each.kind}: {each.what}")


def beside_a_playbook(host: str, number: int, story: Story, chance: random.Random, kills: int, daemons: int) -> None:
    """Kill sweeps, units and modules while a playbook declares, holds and sweeps."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, host, number, random.Random(chance.random()))
        story.ours += call(host, "ours", chance.randrange(2**31), int(chance.random() < 0.4))["ours"]
        torment(host, story, chance, kills, daemons, purging=False)
    story.playbooks.append(asked.result())
    enter(host, asked.result())


def booted(host: str, story: Story, chance: random.Random) -> None:
    """Whether what has to come up with its host did, though the unit was killed."""
    done = call(host, "boot", chance.randrange(2**31))
    story.ours += done["ours"]
    found = [Violation("not_booted", f"{name} is down after boot {story.boots}") for name in done["down"]]
    story.boots += 1
    story.violations += found
    for each in found:
        say(f"  {host}: {each.kind}: {each.what}")


def facts_of(host: str) -> dict[str, Any]:
    """Of a host at rest."""
    units = call(host, "rest")
    return {**call(host, "facts"), "units": units}


def torment(host: str, story: Story, chance: random.Random, count: int, daemons: int, purging: bool) -> None:
    done = call(host, "kills", chance.randrange(2**31), count, max(daemons, 0), int(purging))
    story.kills += done["kills"]
    story.daemon_kills += done["daemon_kills"]


def check_bait(manifest: dict[str, Any], marked: dict[str, Any], number: int) -> None:
    """The first sweep takes each VM of the round for what it was made to be."""
    if marked["crash"]:
        raise SystemExit(f"the first sweep failed: {marked['crash']}")
    for vm in manifest["vms"].values():
        said = marked["reasons"].get(vm["name"])
        if vm["round"] == f"r{number}" and said != REASONS.get(vm["carries"]):
            raise SystemExit(f"{vm['name']} was made {vm['carries']}, and the sweep says {said}")


def self_test(host: str) -> bool:
    """Whether the judge finds a file that has to stay, once it was removed by hand."""
    victim = call(host, "damage")
    manifest = manifest_of(host)
    found = judge(manifest, facts_of(host))
    return any(each.kind == "damaged_disk" and victim in each.what for each in found)


def progress(story: Story) -> str:
    during = sum(each["counts"] and each["begun"] > 0 for each in story.kills)
    return (
        f"{story.counted(story.kills)} sweeps killed, {during} of them in a removal, {story.counted(story.power_cuts)}"
        f" power cuts, {story.counted(story.daemon_kills)} libvirtd killed, {len(story.violations)} violations"
    )


def report(stories: dict[str, Story], options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """build/chaos.json: of all hosts together."""
    totals: Counter[str] = Counter()
    for host, story in stories.items():
        totals.update(figures(host, story))
    return {
        "release": options.release,
        "seed": options.seed,
        "seconds": round(seconds),
        "hosts": len(stories),
        **totals,
        "violations": [{"host": host, **asdict(each)} for host, story in stories.items() for each in story.violations],
        "rounds_broken_off": [
            {"host": host, "error": each} for host, story in stories.items() for each in story.broken
        ],
        "per_round": [{"host": host, **each} for host, story in stories.items() for each in story.rounds],
    }


def figures(host: str, story: Story) -> dict[str, int]:
    """Numbers of one host."""
    manifest = manifest_of(host)
    facts = call(host, "facts")
    expired = [uuid for uuid, vm in manifest["vms"].items() if vm["fate"] == REMOVED]
    kinds = Counter(each.kind for each in story.violations)
    counted = [each for each in story.kills if each["counts"]]
    return {
        "rounds": len(story.rounds),
        "kills": len(counted),
        "kills_in_a_removal": sum(each["begun"] > 0 for each in counted),
        "kills_while_armed": sum(each["armed"] > 0 for each in counted),
        "kills_beside_another_sweep": sum(each["beside"] for each in counted),
        "kills_too_late": len(story.kills) - len(counted),
        "daemon_kills": story.counted(story.daemon_kills),
        "power_cuts": story.counted(story.power_cuts),
        "power_cuts_in_a_removal": sum(each["counts"] and each["begun"] > 0 for each in story.power_cuts),
        "reboots": story.reboots,
        "sweeps_without_room": story.counted(story.no_room),
        "wrong_clocks": story.counted(story.clocks),
        "clock_steps_in_a_sweep": sum(each["counts"] and each["steps"] for each in story.clocks),
        "full_disks": story.counted(story.full_disks),
        "by_hand": sum(each["counts"] for each in story.hands),
        "by_hand_beside_a_sweep": sum(each["counts"] and each["beside"] for each in story.hands),
        "by_hand_refused": sum(not each["counts"] for each in story.hands),
        **{
            f"by_hand_{what}": sum(each["counts"] for each in story.hands if each["what"] == what)
            for what in sorted({each["what"] for each in story.hands})
        },
        "kills_of_our_processes": story.counted(story.ours),
        **{
            f"{what}_kills": sum(each["counts"] for each in story.ours if each["what"] == what)
            for what in ("boot", "cleanup", "hook", "module", "notify", "snapshot", "supervisor")
        },
        "playbooks": len(story.playbooks),
        "playbooks_that_were_answered": story.counted(story.playbooks),
        "declarations_confirmed": sum(
            len(each["declared"]) for each in story.playbooks if confirmed(each["answers"], "declared")
        ),
        "holds_confirmed": sum(confirmed(each["answers"], "held") for each in story.playbooks),
        "undefined_by_hand": sum(vm["fate"] == GONE_BY_HAND for vm in manifest["vms"].values()),
        "expired": len(expired),
        "removed": sum(uuid not in facts["domains"] for uuid in expired),
        "survivors": len(manifest["vms"]) - len(expired),
        "files_to_go": sum(each["fate"] == REMOVED for each in manifest["files"].values()),
        "files_to_stay": sum(each["fate"] != REMOVED for each in manifest["files"].values()),
        "wrongly_removed": kinds["wrongly_removed"],
        "leaked_volumes": kinds["leaked_volume"],
        "damaged_disks": kinds["damaged_disk"] + kinds["undo_disk_lost"],
    }


def say(text: str) -> None:
    print(f"chaos: {text}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Chaos on a lab host; see the head of this file.")
    parser.add_argument("--hosts", type=int, default=1, help="hosts, at the same time")
    parser.add_argument("--minutes", type=int, default=0, help="begin rounds for so long, at least")
    parser.add_argument("--kills", type=int, default=50, help="sweeps to kill, on each host")
    parser.add_argument("--cuts", type=int, default=3, help="power cuts, on each host")
    parser.add_argument("--daemons", type=int, default=2, help="times that libvirtd is killed, on each host")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random; default: the time")
    parser.add_argument("--release", default="bookworm")
    parser.add_argument("--keep", action="store_true", help="leave the lab host running")
    return parser.parse_args()


def rounds(host: str, options: argparse.Namespace, until: float) -> Story:
    """All rounds of one host."""
    numbers = itertools.count()
    story, chance = Story(), random.Random(f"{options.seed} {host}")
    prepare(host)
    most = 2 + 6 * max(options.cuts, -(-options.kills // KILLS_A_ROUND))

    def enough() -> bool:
        wanted = (story.counted(story.kills) >= options.kills, story.counted(story.power_cuts) >= options.cuts)
        return len(story.rounds) >= most or (all(wanted) and len(story.rounds) >= 2)

    while not OVER.is_set() and (time.monotonic() < until or not enough()):
        try:
            one_round(host, next(numbers), options, story, chance)
        except (Exception, SystemExit) as error:  # the figures of an hour are not lost with one round
            story.broken.append(f"{type(error).__name__}: {error}"[:3000])
            say(f"{host}: the round broke off: {story.broken[-1]}")
            if len(story.broken) > 3:
                break
    return story


def run(options: argparse.Namespace, names: list[str]) -> int:
    """All hosts at the same time, the report and the verdict."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(names)) as pool:
        told = {name: pool.submit(rounds, name, options, began + 60 * options.minutes) for name in names}
        stories = {name: story.result() for name, story in told.items()}
    result = report(stories, options, time.monotonic() - began)
    result["judge_finds_planted_damage"] = all(self_test(name) for name in names)
    target = ROOT / "build" / "chaos.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    say(f"seed {options.seed}: {result['removed']} of {result['expired']} expired VMs removed")
    for name, story in stories.items():
        say(f"{name}: {progress(story)}")
    if result["violations"] or result["rounds_broken_off"] or not result["judge_finds_planted_damage"]:
        return 1
    enough = result["kills"] >= options.kills * len(names) and result["power_cuts"] >= options.cuts * len(names)
    return 0 if enough else 2


def stop(number: int, _frame: object) -> None:
    say(f"signal {number}: no further round")
    OVER.set()


def main() -> int:
    options = arguments()
    options.seed = int(time.time()) if options.seed is None else options.seed
    os.environ.setdefault("VMOPS_LAB", "chaos")
    say(f"seed {options.seed}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    lab("down")
    names = [f"kvm{number + 1}" for number in range(options.hosts)]
    lab("up", *names, "--release", options.release)
    try:
        install()
        return run(options, names)
    finally:
        if not options.keep:
            lab("down")


if __name__ == "__main__":
    sys.exit(main())
