# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of the collection on a real libvirtd, against community.libvirt and against raw libvirt-python.

usage: run.py [--keep] [--small N] [--large N] [--larger N] [--sweeps N ...] [--fleet N] [--only-converge |
              --only-sweeps | --only-boots | --only-events | --only-supervisor | --only-fleet] [--strict] [--no-document]

A lab host with N defined domains that are not started. Writes build/bench.json and docs/benchmarks.md, and prints the
table with what is expected of each row. Both sides take turns, so that what else the machine does meets both. --strict:
exit status 3 when an expectation is not met. --small, --large, --larger, --sweeps, --fleet: fewer VMs or hosts, for a quick
look; the names of rows follow. --only-...: these rows alone, and neither file is written.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import document, peer
from tests.bench.boots import boot_rows
from tests.bench.events import event_rows
from tests.bench.figures import Row, faster, judge, overhead, overhead_of_fastest, printable, slopes, write
from tests.bench.fleet import fleet_rows
from tests.bench.lab_host import LabHost, lab_host
from tests.bench.playbooks import OTHER, OURS, PING, Controller
from tests.bench.supervision import supervisor_rows
from tests.bench.validation import validation_rows

WORK = ROOT / ".build" / "bench"
ENGINE = WORK / "collections/ansible_collections/vmops/lifecycle/plugins/module_utils/vm_lifecycle"
RAW = "libvirt-python"
#: What is run at each number of VMs, in turns. The peer takes minutes at the larger number.
SMALL_TURNS = (OURS, OTHER, OURS, OTHER, OURS)
LARGE_TURNS = (OURS, OTHER, OURS, OURS)
LARGER_TURNS = (OURS, OTHER, OURS)
MARGINAL_REPEATS = 7
PAYLOAD_REPEATS = 15
SINGLE_REPEATS = 7
SWEEP_REPEATS = 7


@dataclass
class Samples:
    """Seconds by kind of run."""

    first: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    second: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def converge(controller: Controller, turns: Sequence[str], count: int, again: bool) -> Samples:
    """First runs on domains that nothing was declared for and, with again, the unchanged second runs."""
    samples = Samples()
    for side in turns:
        controller.host.call("reset")
        samples.first[side].append(controller.play(side, count, changed=True))
        say(f"{side}, {count} VMs: {samples.first[side][-1]:.1f} s")
        if again:
            samples.second[side].append(controller.play(side, count, changed=False))
            say(f"{side}, {count} VMs, unchanged: {samples.second[side][-1]:.1f} s")
    return samples


def converge_rows(samples: Samples, count: int, version: str) -> list[Row]:
    looped = f"{peer.MODULE} {version} in a loop"
    rows = [faster(f"converge_{count}", *_sides(samples.first), f"{looped}{_times(samples.first)}", count)]
    if samples.second:
        against = f"{looped}, second run{_times(samples.second)}"
        rows.append(faster(f"reconverge_{count}", *_sides(samples.second), against, count))
        mine = samples.second[OURS], samples.first[OURS]
        rows.append(faster(f"reconverge_{count}_self", *mine, "the first run of ours", count))
    return rows


def _sides(samples: dict[str, list[float]]) -> tuple[list[float], list[float]]:
    return samples[OURS], samples[OTHER]


def _times(samples: dict[str, list[float]]) -> str:
    ours, other = _sides(samples)
    return "" if len(ours) == len(other) else f", run {len(other)} of {len(ours)} times"


def single_rows(controller: Controller, version: str) -> list[Row]:
    """One VM, on the host as it is: the module's own time there, and the whole ansible-playbook."""
    host, against = controller.host, f"{peer.MODULE} {version}"
    mine, theirs, ping = (controller.payload(side) for side in (OURS, OTHER, PING))
    rows = []
    for name, mode in (("single_vm_module", ""), ("single_vm_module_unchanged", "keep")):
        samples = host.call("payloads", str(PAYLOAD_REPEATS), mine, theirs, mode)
        rows.append(overhead(name, *_sides(samples), f"{against}, the module's own time on the host", 1))
        say(f"{name}: {rows[-1].ours:g} ms against {rows[-1].other:g} ms")
    samples = host.call("payloads", str(PAYLOAD_REPEATS), mine, ping, "keep")
    rows.append(overhead("single_vm_module_ping", *_sides(samples), "ansible.builtin.ping, likewise", 1))
    whole: dict[str, list[float]] = {OURS: [], OTHER: []}
    for _each in range(SINGLE_REPEATS):
        for side, seconds in whole.items():
            host.call("reset")
            seconds.append(controller.play(side, 1, changed=True, single=True))
    return [*rows, overhead("single_vm", *_sides(whole), f"{against}, the whole ansible-playbook", 1)]


def marginal_rows(small: dict[str, list[float]], large: dict[str, list[float]], counts: tuple[int, int]) -> list[Row]:
    """What each further VM costs the module's work, from the samples on hosts with fewer and with more VMs."""
    difference = counts[1] - counts[0]
    rows = []
    for name, kind, calls in (
        ("marginal_per_vm", "fresh", "list, state, autostart flag, metadata read and written"),
        ("marginal_per_vm_unchanged", "unchanged", "list, state, autostart flag, metadata read"),
    ):
        ours, raw = (slopes(small[f"{who}_{kind}"], large[f"{who}_{kind}"], difference) for who in ("ours", "raw"))
        rows.append(overhead(name, ours, raw, f"{RAW}: {calls}", counts[1]))
    return rows


def sweep_rows(host: LabHost, counts: Sequence[int]) -> list[Row]:
    """A sweep of the whole host with nothing due, at each number of VMs in ascending order, and how its cost grows."""
    rows: list[Row] = []
    mine: dict[int, list[float]] = {}
    for count in counts:
        host.call("define", str(count))
        samples = host.call("sweeps", str(count), str(SWEEP_REPEATS))
        mine[count] = [seconds / count for seconds in samples["ours"]]
        for suffix, how in (("", "within one process"), ("_command", "a process each, from start to exit")):
            sides = samples[f"ours{suffix}"], samples[f"raw{suffix}"]
            against = f"{RAW}: list, metadata read; {how}"
            rows.append(overhead_of_fastest(f"sweep_{count}{suffix}", *sides, against, count))
            say(f"{rows[-1].name}: {rows[-1].ours:g} ms against {rows[-1].other:g} ms")
    few, many = counts[0], counts[-1]
    if few < many:
        against = f"each VM's share of our sweep of {few}"
        rows.append(overhead_of_fastest("sweep_growth", mine[many], mine[few], against, many))
    return rows


def measure(host: LabHost, counts: tuple[int, int, int], version: str) -> list[Row]:
    """All rows; the host has as many domains as are declared, first few, then many, then more."""
    small, large, larger = counts
    controller = Controller(WORK, WORK / "collections", host)
    host.call("define", str(small))
    for side in (OURS, OTHER):  # connections and caches of the controller
        host.call("reset")
        controller.play(side, 1, changed=True, single=True)
    rows = single_rows(controller, version)
    few = host.call("marginal", str(small), str(MARGINAL_REPEATS))
    fewer = converge_rows(converge(controller, SMALL_TURNS, small, again=False), small, version)
    host.call("define", str(large))
    many = host.call("marginal", str(large), str(MARGINAL_REPEATS))
    more = converge_rows(converge(controller, LARGE_TURNS, large, again=True), large, version)
    if larger:
        host.call("define", str(larger))
        more += converge_rows(converge(controller, LARGER_TURNS, larger, again=False), larger, version)
    return [*fewer, *more, *marginal_rows(few, many, (small, large)), *rows]


def stage() -> None:
    """A copy of the checkout as an installed collection: what is edited meanwhile does not reach the benchmark."""
    subprocess.run([str(ROOT / "hack" / "stage"), str(WORK / "collections")], check=True, stdout=subprocess.DEVNULL)


def say(text: str) -> None:
    print(f"bench: {text}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Benchmark of the collection; see the head of this file.")
    parser.add_argument("--keep", action="store_true", help="leave the lab host running")
    parser.add_argument("--small", type=int, default=100, help="VMs of the smaller comparison")
    parser.add_argument("--large", type=int, default=500, help="VMs of the larger comparison")
    parser.add_argument("--larger", type=int, default=1000, help="VMs of the largest comparison, 0 for none")
    parser.add_argument(
        "--sweeps", type=int, nargs="+", default=[1000, 5000, 10000], help="VMs of the sweeps, ascending"
    )
    parser.add_argument("--fleet", type=int, default=200, help="hosts of the fleet")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-converge", action="store_true", help="measure declarations alone; writes neither file")
    only.add_argument("--only-sweeps", action="store_true", help="measure sweeps alone; likewise")
    only.add_argument("--only-boots", action="store_true", help="measure boots and shutdowns alone; likewise")
    only.add_argument("--only-events", action="store_true", help="measure the supervisor under events alone; likewise")
    only.add_argument("--only-supervisor", action="store_true", help="measure the idle supervisor, storms and restarts")
    only.add_argument("--only-fleet", action="store_true", help="measure a fleet alone; likewise")
    parser.add_argument("--strict", action="store_true", help="exit status 3 when an expectation is not met")
    parser.add_argument("--no-document", action="store_true", help="leave docs/benchmarks.md as it is")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    started, load = time.monotonic(), os.getloadavg()[0]
    WORK.mkdir(parents=True, exist_ok=True)
    stage()
    if options.only_fleet:
        rows = fleet_rows(WORK, say, many=options.fleet)
    else:
        with lab_host(ENGINE, options.keep) as host:
            rows = chosen(host, options, load)
    print(printable(rows))
    missed = [row.name for row in rows if judge(row).met is False]
    say(f"{len(rows)} rows in {time.monotonic() - started:.0f} s, load {load:.1f} to {os.getloadavg()[0]:.1f}")
    say(f"expectations not met: {', '.join(missed)}" if missed else "every expectation is met")
    return 3 if missed and options.strict else 0


def chosen(host: LabHost, options: argparse.Namespace, load: float) -> list[Row]:
    """The rows that the options ask for, on a lab host."""
    if options.only_boots:
        return boot_rows(host, say)
    if options.only_events:
        return event_rows(host, say)
    if options.only_supervisor:
        return supervisor_rows(host, say)
    if options.only_converge:
        return measure(host, (options.small, options.large, options.larger), peer_on(host))
    return sweep_rows(host, options.sweeps) if options.only_sweeps else everything(host, options, load)


def peer_on(host: LabHost) -> str:
    """Version of the peer, which is unpacked, and has on the host what it needs there."""
    version = peer.unpack(WORK / "collections", WORK / "downloads")
    peer.install_lxml(host, WORK / "downloads")
    return version


def everything(host: LabHost, options: argparse.Namespace, load: float) -> list[Row]:
    """All rows, written to their files. load: the machine's at the beginning."""
    version = peer_on(host)
    circumstances = document.circumstances(host, version, load)
    guests = [*boot_rows(host, say), *event_rows(host, say), *supervisor_rows(host, say)]
    rows = [
        *measure(host, (options.small, options.large, options.larger), version),
        *sweep_rows(host, options.sweeps),
        *guests,
    ]
    rows += [*validation_rows(ENGINE), *fleet_rows(WORK, say, many=options.fleet)]
    write(rows, ROOT / "build" / "bench.json")
    circumstances["load"] += f", {os.getloadavg()[0]:.1f} at its end"
    if not options.no_document:
        (ROOT / "docs" / "benchmarks.md").write_text(document.render(rows, circumstances), "utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(main())
