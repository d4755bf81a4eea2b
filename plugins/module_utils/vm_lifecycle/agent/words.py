# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that results, pictures and plans share: times, reasons and what to do about failures."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ..errors import ERRORS
from ..reasons import VM_REASONS
from ..reasons_order import BOOT_REASONS
from .columns import width

Row = Mapping[str, Any]


def why(row: Row) -> str:
    """A row's message, to follow the VM's name."""
    return str(row["message"]).removeprefix(f"{row['name']}: ").removesuffix(".")


def chained(title: str, parts: Sequence[str], columns: int) -> List[str]:
    """Parts with arrows between them, in as many lines as they need."""
    lines, line = [], title
    for number, part in enumerate(parts):
        following = part if number == len(parts) - 1 else f"{part} → "
        if line.strip() and width(line + following) > columns:
            lines.append(line.rstrip())
            line = " " * 4
        line += following
    return [*lines, line]


def remedies(rows: Sequence[Row]) -> List[str]:
    """What to do about each kind of failure among the rows."""
    codes = dict.fromkeys(row["reason"] for row in rows if row["decision"] == "failed")
    return [f"  [{code}] {remedy(code)}" for code in codes if remedy(code)]


def advice(rows: Sequence[Row]) -> List[str]:
    """What to do about what a clean-up says of VMs, once for each code that there is something to do about."""
    codes = dict.fromkeys(row["reason"] for row in rows)
    known = {code: VM_REASONS[code].remedy if code in VM_REASONS else mend(code) for code in codes}
    return [f"  [{code}] {what}" for code, what in known.items() if what]


def mend(code: str) -> str:
    """What to do about an error: all but the first sentence of its text, which is its meaning."""
    return ERRORS.get(code, "").partition(". ")[2]


def remedy(code: str) -> str:
    """What a code means and what to do about it, "" when nobody knows."""
    known = BOOT_REASONS.get(code)
    return known.text if known is not None else ERRORS.get(code, "")


def duration(seconds: float) -> str:
    """Seconds for people: 0.4 s, 38 s, 2 min 5 s, 3 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return _parts(whole // 60, "min", whole % 60, "s")
    return _parts(whole // 3600, "h", whole % 3600 // 60, "min")


def _parts(large: int, unit: str, small: int, fraction: str) -> str:
    return f"{large} {unit} {small} {fraction}" if small else f"{large} {unit}"


def counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
