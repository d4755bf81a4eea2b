# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the benchmark: medians, ratios, and what is expected of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

EXPECTATIONS = Path(__file__).parent / "expectations.json"


@dataclass(frozen=True)
class Row:
    """One comparison. ours and other are medians in unit, or the fastest runs in rows of overhead_of_fastest.

    ratio: other/ours where larger is better (at_least), ours/other where smaller is (at_most). repeats: runs of ours;
    against says so where the other was run less often. spread: (largest - smallest) / median, of the side that
    scattered more.
    """

    name: str
    ours: float
    other: float
    against: str
    ratio: float
    unit: str
    n: int
    repeats: int
    spread: float


def faster(name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int) -> Row:
    """A row whose ratio says how many times as long the other takes. Samples are in seconds."""
    return _row(name, ours, other, against, n, "s", median(other) / median(ours))


def overhead(name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int) -> Row:
    """A row whose ratio says how many times as long ours takes. Samples are in seconds, the row's unit is ms."""
    mine, theirs = ([1000 * value for value in samples] for samples in (ours, other))
    return _row(name, mine, theirs, against, n, "ms", median(ours) / median(other))


def overhead_of_fastest(name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int) -> Row:
    """As overhead, from the fastest run of each side; the spread is that of all runs.

    For sides that wait for a daemon at different rates: what else the machine does slows thousands of short calls down
    more than it slows our own work, so medians of a busy machine flatter us.
    """
    mine, theirs = 1000 * min(ours), 1000 * min(other)
    whole = overhead(name, ours, other, against, n)
    return replace(whole, ours=round(mine, 3), other=round(theirs, 3), ratio=round(mine / theirs, 2))


def paired(name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int) -> Row:
    """A row of runs one right after the other: its ratio, ours/other, is the median of the pairs' own.

    Starting guests takes all of a machine, so what else it does meanwhile changes the figures, but less so within a pair.
    """
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    return _row(name, ours, other, against, n, "s", median(ratios))


def measured(name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int, unit: str) -> Row:
    """A row of something else than times; its ratio is ours/other."""
    return _row(name, ours, other, against, n, unit, median(ours) / median(other))


def _row(
    name: str, ours: Sequence[float], other: Sequence[float], against: str, n: int, unit: str, ratio: float
) -> Row:
    spread = max((max(samples) - min(samples)) / median(samples) for samples in (ours, other))
    return Row(
        name=name, ours=round(median(ours), 3), other=round(median(other), 3), against=against,
        ratio=round(ratio, 2), unit=unit, n=n, repeats=len(ours), spread=round(spread, 2),
    )  # fmt: skip


def slopes(small: Sequence[float], large: Sequence[float], difference: int) -> list[float]:
    """Seconds for each further VM, from the samples at two numbers of VMs, sorted so that like is paired with like."""
    return [(more - less) / difference for less, more in zip(sorted(small), sorted(large), strict=True)]


@dataclass(frozen=True)
class Judgement:
    """An expectation of a row, in words, and whether the row meets it; met is None when nothing is expected."""

    text: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return "" if self.met is None else "met" if self.met else "NOT MET"


def judge(row: Row) -> Judgement:
    """Compare a row with expectations.json."""
    expected = json.loads(EXPECTATIONS.read_text("utf-8")).get(row.name)
    if expected is None:
        return Judgement("", None)
    if "at_least" in expected:
        return Judgement(f">= {expected['at_least']}x", row.ratio >= expected["at_least"])
    return Judgement(f"<= {expected['at_most']}x", row.ratio <= expected["at_most"])


def write(rows: Sequence[Row], path: Path) -> None:
    """The rows as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", "utf-8")


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of a table, its head first."""
    head = ["row", "VMs", "ours", "other", "ratio", "expected", "", "runs", "spread", "against"]
    body = [
        [
            row.name, str(row.n), f"{row.ours:g} {row.unit}", f"{row.other:g} {row.unit}", f"{row.ratio:g}x",
            judge(row).text, judge(row).verdict, str(row.repeats), f"{row.spread:.0%}", row.against,
        ]
        for row in rows
    ]  # fmt: skip
    return [head, *body]


def printable(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    cells = table(rows)
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
