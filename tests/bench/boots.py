# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of boots and shutdowns: a host whose guests really boot, against libvirt-guests, virsh and libvirt-python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.bench.figures import Row, faster, measured, paired
from tests.bench.lab_host import LabHost

COUNT = 10
BOOT_REPEATS = 3
#: Guests that boot disturb each other: pairs differ by a tenth, and the median of eleven by several hundredths.
BOUND_PAIRS = 75
STOP_REPEATS = 3
IDLE_REPEATS, IDLE_SECONDS = 3, 20

OURS, GUESTS, SERIAL, RAW, VIRSH = "ours", "libvirt-guests", "serial", "raw", "virsh"
Samples = Mapping[str, Sequence[float]]


def boot_rows(host: LabHost, say: Callable[[str], None]) -> list[Row]:
    """All of them. The host has no other domains, and has none when it is done."""
    host.add_guests([f"guest-{number:02}" for number in range(1, COUNT + 1)])
    host.boots("prepare")
    rows = [*_boots(host), *_bound(host), *_stops(host), *_idle(host)]
    host.boots("remove")
    for row in rows:
        say(f"{row.name}: {row.ours:g} {row.unit} against {row.other:g} {row.unit}")
    return rows


def _boots(host: LabHost) -> list[Row]:
    samples = host.boots("boots", str(BOOT_REPEATS))
    return _against_both("boot", samples, "start, START_DELAY=0", "virsh start, one after the other")


def _bound(host: LabHost) -> list[Row]:
    samples = host.boots("bound", str(BOUND_PAIRS))
    against = "libvirt-python: a thread and a connection for each, pair by pair"
    return [paired(f"boot_{COUNT}_bound", samples[OURS], samples[RAW], against, COUNT)]


def _stops(host: LabHost) -> list[Row]:
    down = host.boots("stops", "shutdown", str(STOP_REPEATS))
    saved = host.boots("stops", "save-state", str(STOP_REPEATS))
    return [
        *_against_both("shutdown", down, "stop, PARALLEL_SHUTDOWN=10", "virsh shutdown, each waited for"),
        *_against_both("save", saved, "stop, ON_SHUTDOWN=suspend", "virsh managedsave, one after the other"),
    ]


def _against_both(name: str, samples: Samples, guests: str, serial: str) -> list[Row]:
    return [
        faster(f"{name}_{COUNT}", samples[OURS], samples[GUESTS], f"libvirt-guests.sh {guests}", COUNT),
        faster(f"{name}_{COUNT}_serial", samples[OURS], samples[SERIAL], serial, COUNT),
    ]


def _idle(host: LabHost) -> list[Row]:
    samples = host.boots("idle", str(IDLE_REPEATS), str(IDLE_SECONDS))
    against = "virsh event --all --loop, nothing happens"
    return [
        measured(name, samples[f"{kind}_{OURS}"], samples[f"{kind}_{VIRSH}"], against, COUNT, unit)
        for name, kind, unit in (("supervisor_memory", "memory", "MiB"), ("supervisor_cpu", "cpu", "s/h"))
    ]
