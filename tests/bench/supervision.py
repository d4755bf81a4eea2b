# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the supervisor: what it takes while nothing happens, a storm of events, and how soon a VM that died is started again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import quantiles

from tests.bench.figures import Row, faster, measured
from tests.bench.lab_host import LabHost

COUNTS = (100, 1000)
#: A multiple of the time for which the supervisor waits for events.
IDLE_SECONDS = 120
STORM, STORM_REPEATS = 1000, 3
#: Kills for our side and for the other.
KILLS = 100, 50
#: Seconds of processor an hour that the supervisor may take on a host where nothing happens.
BOUND = 2.0
Say = Callable[[str], None]


def supervisor_rows(host: LabHost, say: Say) -> list[Row]:
    """All of them. The host has no domains, and has none when it is done."""
    rows = [*_idle(host, say), _storm(host, say), *_restarts(host)]
    for row in rows:
        say(f"{row.name}: {row.ours:g} {row.unit} against {row.other:g} {row.unit}")
    return rows


def _idle(host: LabHost, say: Say) -> list[Row]:
    rows = []
    for count in COUNTS:
        found = host.supervisor("idle", str(count), str(IDLE_SECONDS))
        memory, against = [found["memory_ours"]], "virsh event --all --loop, nothing happens"
        rows.append(measured(f"supervisor_memory_{count}", memory, [found["memory_virsh"]], against, count, "MiB"))
        said = f"what it may take; virsh event: {found['cpu_virsh']:.2f}"
        rows.append(measured(f"supervisor_cpu_{count}", [found["cpu_ours"]], [BOUND], said, count, "s/h"))
        parts = ", ".join(f"{part} {found[f'cpu_{part}']:.2f}" for part in ("waiting", "looks", "surveys"))
        say(f"{count} VMs: {found['cpu_ours']:.2f} s/h: {parts}")
    return rows


def _storm(host: LabHost, say: Say) -> Row:
    samples = host.supervisor("storm", str(STORM), str(STORM_REPEATS))
    say(f"storm: made in {min(samples['made']):.2f} to {max(samples['made']):.2f} s")
    against = "libvirt-python: a loop that only hears the same events"
    row = faster(f"storm_{STORM}", samples["ours"], samples["raw"], against, STORM)
    return replace(row, ratio=round(1 / row.ratio, 2))


def _restarts(host: LabHost) -> list[Row]:
    samples = host.supervisor("restarts", *map(str, KILLS))
    against = f"libvirt-python: hears the stop and starts at once, killed {KILLS[1]} times"
    rows = []
    for percent in (50, 99):
        mine, other = _percentile(samples["ours"], percent), _percentile(samples["raw"], percent)
        row = measured(f"restart_p{percent}", [1000 * mine], [1000 * other], against, 1, "ms")
        rows.append(replace(row, repeats=KILLS[0]))
    return rows


def _percentile(samples: Sequence[float], percent: int) -> float:
    return quantiles(samples, n=100, method="inclusive")[percent - 1]
