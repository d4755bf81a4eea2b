# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of a host's boot and shutdown as trees: waves of VMs, each VM with what it waits for and why."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from ..adapters.linux_host import printable
from ..reasons import VM_REASONS
from ..reasons_order import BOOT_REASONS
from .columns import table
from .words import chained, counted, duration, why

Result = Mapping[str, Any]
Row = Mapping[str, Any]

#: Columns of a line of names, and of a cell of the tree.
COLUMNS, MOST = 100, 40
NOTHING_MANAGED = (
    "No VM of this host is declared, so a boot starts none of them. Declare VMs with the module vm_persistence."
)


def plan_tree(result: Result) -> str:
    """What vm-lifecycle boot --plan prints. result: of the task boot, as a dry run.

    Waves of VMs that start together, then what can't start, what is deleted and what stays down, each with its reason; at the
    end the critical path and its worst case.
    """
    rows = {row["name"]: row for row in result["vms"]}
    if not rows:
        return NOTHING_MANAGED
    waves = [[rows[name] for name in wave if name in rows] for wave in result["waves"]]
    starting = {row["name"] for wave in waves for row in wave}
    orders = sorted({row["start_order"] for wave in waves for row in wave if row["start_order"] is not None})
    lines: List[Sequence[str]] = [("", "ORDER", "WAITS FOR", "READY WHEN", "WHY")]
    for number, wave in enumerate(waves, 1):
        lines += [(f"wave {number}", "", "", "", ""), *_branches(wave, orders)]
    rest = [row for row in result["vms"] if row["name"] not in starting]
    when = "The next boot of this host" if result.get("next_boot") else "A boot now"
    left = f"; {counted(len(rest), 'VM is', 'VMs are')} not started" if rest else ""
    told = [f"{when} starts {counted(len(starting), 'VM', 'VMs')}{left}."]
    told += ["", *table(lines, MOST)] if starting else []
    for title, chosen in _sections(rest).items():
        told += [
            "",
            title,
            *table([(mark + row["name"], f"{why(row)} [{row['reason']}]") for mark, row in _marked(chosen)], MOST),
        ]
    if result["critical_path"]:
        told += ["", *_longest(result)]
    return "\n".join(told)


def _sections(rows: Sequence[Row]) -> Dict[str, List[Row]]:
    """VMs that no wave starts, by what becomes of them."""
    found: Dict[str, List[Row]] = {}
    for row in rows:
        if row["decision"] == "failed":
            title = "can't start"
        elif "volumes" in row:  # a row of the clean-up
            title = "handed to the clean-up"
        else:
            title = "stay down"
        found.setdefault(title, []).append(row)
    return found


def _branches(wave: Sequence[Row], orders: Sequence[int]) -> Iterator[Sequence[str]]:
    for mark, row in _marked(wave):
        order = "last" if row["start_order"] is None else str(row["start_order"])
        yield mark + row["name"], order, _waits_for(row, orders), _ready_when(row), why(row)


def _waits_for(row: Row, orders: Sequence[int]) -> str:
    """All of the next lower order, VMs that it depends on, and its own delay."""
    own = row["start_order"]
    lower = [order for order in orders if own is None or order < own]
    told = [f"order {lower[-1]}"] if lower else []
    told += row["depends_on"]
    if row["start_delay_seconds"]:
        told.append(f"{'then ' if told else ''}{duration(row['start_delay_seconds'])}")
    return ", ".join(told) or "nothing"


def _ready_when(row: Row) -> str:
    if not row["wait_for_ssh"]:
        return "it runs"
    return f"SSH answers, in {duration(row['ssh_timeout_seconds'])}"


def _longest(result: Result) -> List[str]:
    worst = duration(result["worst_case_seconds"])
    return [
        *chained("Critical path: ", [printable(name) for name in result["critical_path"]], COLUMNS),
        f"Worst case: {worst} of delays, retries and waiting for SSH along it; starting itself comes on top.",
    ]


def stop_tree(result: Result) -> str:
    """What vm-lifecycle shutdown --plan prints. result: of the task shutdown, as a dry run.

    Waves of VMs that go down together, each with its ways and their times; then those that are left to the host.
    """
    rows = {row["name"]: row for row in result["vms"]}
    lines: List[Sequence[str]] = [("", "ORDER", "HOW")]
    stopping = {name for wave in result["waves"] for name in wave}
    for number, wave in enumerate(result["waves"], 1):
        lines.append((f"wave {number}", "", ""))
        for mark, row in _marked([rows[name] for name in wave]):
            order = "last" if row["start_order"] is None else str(row["start_order"])
            lines.append((mark + row["name"], order, how(row)))
    left = [row for row in result["vms"] if row["name"] not in stopping]
    aside = f"; {counted(len(left), 'VM is', 'VMs are')} left to the host" if left else ""
    told = [f"A shutdown of this host stops {counted(len(stopping), 'VM', 'VMs')}{aside}."]
    told += ["", *table(lines, MOST)] if stopping else []
    if left:
        told += [
            "",
            "left to the host",
            *table([(mark + row["name"], left_why(row)) for mark, row in _marked(left)], MOST),
        ]
    return "\n".join([*told, "", f"Worst case: {duration(result['worst_case_seconds'])}."])


def left_why(row: Row) -> str:
    """Why a shutdown leaves a VM to the host."""
    known = BOOT_REASONS.get(row["reason"]) or VM_REASONS[row["reason"]]
    return f"{known.meaning} [{row['reason']}]"


def how(row: Row) -> str:
    """The ways by which a VM goes down, each with its time."""
    patience = duration(row["timeout_seconds"] or 0)
    ways = {
        "save-state": f"memory saved in {patience}, else shut down in {patience}, else powered off",
        "shutdown": f"shut down in {patience}, else powered off",
        "destroy": "powered off",
    }
    return ways[row["reason"]]


def _marked(rows: Sequence[Row]) -> Iterator[Tuple[str, Row]]:
    """Rows with the branch that leads to each."""
    for number, row in enumerate(rows, 1):
        yield "└─ " if number == len(rows) else "├─ ", row
