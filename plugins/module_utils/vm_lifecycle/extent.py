# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a result a caller gets: a controller keeps every result of every host, so a thousand VMs must not mean a thousand rows."""

from __future__ import annotations

from typing import AbstractSet, Any, Dict, List, Mapping, Sequence

from .model import Document

#: Rows that a module returns unless it is told otherwise.
ROWS = 100
#: Sentences that a message strings together, and warnings that are shown one by one.
SENTENCES = 20
#: Disks that a line names, and VMs that it names as users of one.
MENTIONED = 10
#: Whose rows are left out last.
URGENCY = ("failed", "removed", "restored", "rolled_back", "waiting")


def bounded(result: Mapping[str, Any], most: int) -> Document:
    """The result with at most so many rows (0: all), in their order, and what is said of the others, under truncated.

    Rows that failed or changed something come first when it is decided which ones stay. The diff speaks of these alone.
    """
    rows: Sequence[Mapping[str, Any]] = result["vms"]
    if not most or len(rows) <= most:
        return {**result, "truncated": None}
    urgent = sorted(range(len(rows)), key=lambda number: (_urgency(rows[number]), number))
    shown = [rows[number] for number in sorted(urgent[:most])]
    kept: Document = {**result, "vms": shown, "truncated": _said(rows, most)}
    if kept.get("diff") is not None:
        names = {row["name"] for row in shown}
        kept["diff"] = {side: _only(names, texts) for side, texts in kept["diff"].items()}
    return kept


def _said(rows: Sequence[Mapping[str, Any]], most: int) -> Dict[str, Any]:
    return {
        "shown": most,
        "of": len(rows),
        "changed": sum(bool(row.get("changed")) for row in rows),
        "failed": sum(has_failed(row) for row in rows),
        "file": None,
    }


def _only(names: AbstractSet[str], texts: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: text for name, text in texts.items() if name in names}


def has_failed(row: Mapping[str, Any]) -> bool:
    """Whether something went wrong with this VM."""
    return bool(row.get("failed")) or row.get("decision") == "failed"


def _urgency(row: Mapping[str, Any]) -> int:
    if has_failed(row):
        return 0
    if row.get("changed"):
        return 1
    decision = row.get("decision")
    return URGENCY.index(decision) + 1 if decision in URGENCY else len(URGENCY) + 1


def first(sentences: Sequence[str], what: str, most: int = SENTENCES) -> List[str]:
    """So many of them, and how many more there are of what."""
    left = len(sentences) - most
    return [*sentences[:most], f"and {left} more {what}"] if left > 0 else list(sentences)
