# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of events: what the supervisor costs while a hundred of them come in a second, against a loop that only hears them."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from tests.bench.figures import Row, measured
from tests.bench.lab_host import LabHost

COUNT, RATE = 10, 100
REPEATS, SECONDS = 3, 60


def event_rows(host: LabHost, say: Callable[[str], None]) -> list[Row]:
    """The row. The host has guests of its own for it, and has none when it is done."""
    samples = host.events(str(COUNT), str(RATE), str(REPEATS), str(SECONDS))
    reached = median(samples["rate"])
    against = f"libvirt-python: a loop that only hears the same events, {reached:.0f} a second for {SECONDS} s"
    row = measured(f"events_{RATE}", samples["ours"], samples["raw"], against, COUNT, "ms/event")
    say(f"{row.name}: {row.ours:g} {row.unit} against {row.other:g} {row.unit}, {reached:.0f} events a second")
    return [row]
