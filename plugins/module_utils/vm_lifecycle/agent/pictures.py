# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host's boot went, as text: a line a VM, with a bar in time."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ..adapters.linux_host import printable
from .columns import fit, width
from .words import chained, counted, duration, remedies, why

Result = Mapping[str, Any]
Row = Mapping[str, Any]

#: Columns that a timeline takes, how many of them names may have, and those of the moment at which a VM was ready.
COLUMNS, NAME, AFTER, STATE = 100, 24, 18, 9
#: A phase of a start -> the character that its bar is made of.
BARS = {"waiting": "·", "delayed": "─", "starting": "▒", "probing": "█"}
ENDS = {"ready": "●", "failed": "✗", "skipped": "✗", "later": "✗"}
#: What a phase is called.
PHASES = {
    "waiting": "waits",
    "delayed": "delay, or no free place",
    "starting": "starts",
    "probing": "waits for SSH",
}
NOT_UP = "did not come up"
NOTHING_STARTED = (
    "No VM was started in order since this host booted. vm-lifecycle boot --plan shows what the next boot starts."
)


def timeline(last: Result) -> str:
    """What vm-lifecycle boot --timeline prints: a line a VM with a bar in time. last: of tasks/boot_timeline.last_boot."""
    if last["boot"] is None:
        return NOTHING_STARTED
    rows = last["vms"]
    name = min(max(len("VM"), *(width(printable(row["name"])) for row in rows)), NAME)
    after = min(max(width(printable(row["start"]["waited_for"] or "")) for row in rows), AFTER)
    after = max(after, len("WAITED FOR"))
    room = COLUMNS - len("* ") - name - len("  ") - STATE - len("  ") - after - len("  ")
    total = last["boot"]["seconds"]
    axis = fit("0 s", room - width(duration(total))) + duration(total)
    lines = [summary(last), "", f"  {fit('VM', name)}  {fit('READY', STATE)}  {axis}  WAITED FOR"]
    for row in rows:
        mark = "*" if row["name"] in last["critical_path"] else " "
        drawn = _bar(row["start"], total, room)
        waited = fit(row["start"]["waited_for"] or "", after)
        lines.append(f"{mark} {fit(row['name'], name)}  {fit(_state(row), STATE)}  {drawn}  {waited}".rstrip())
    legend = [*(f"{BARS[phase]} {said}" for phase, said in PHASES.items()), "● ready", f"✗ {NOT_UP}"]
    lines += ["", "  ".join(legend), *path_taken(last, "*", COLUMNS)]
    return "\n".join([*lines, *troubles(rows)])


def summary(last: Result) -> str:
    """One sentence about a boot."""
    rows, boot = last["vms"], last["boot"]
    outcomes = [row["start"]["outcome"] for row in rows]
    told = [f"{outcomes.count('ready')} of {counted(len(rows), 'VM', 'VMs')} ready after {duration(boot['seconds'])}"]
    told += [
        f"{outcomes.count(word)} {said}"
        for word, said in (("failed", "failed"), ("skipped", "not started"), ("later", "started later"))
        if word in outcomes
    ]
    if not boot["over"]:
        told.append("which goes on, or was interrupted")
    return f"Boot of {boot['began_at']}: {', '.join(told)}"


def path_taken(last: Result, mark: str, columns: int) -> List[str]:
    """The critical path with what each VM took of it. mark: how its VMs are shown."""
    starts = {row["name"]: row["start"] for row in last["vms"]}
    path = [
        f"{printable(name)} {duration(starts[name]['ended_seconds'] - starts[name]['turn_seconds'])}"
        for name in last["critical_path"]
    ]
    return chained(f"Critical path ({mark}): ", path, columns) if path else []


def _state(row: Row) -> str:
    outcome = row["start"]["outcome"]
    return duration(row["start"]["ended_seconds"]) if outcome == "ready" else str(outcome)


def phases(start: Row) -> List[Any]:
    """(phase, from, to) of a start, in seconds."""
    turn, begun, started, ended = (start[f"{key}_seconds"] for key in ("turn", "begun", "started", "ended"))
    found = [("waiting", 0.0, turn)]
    if start["attempts"]:
        ran = started or ended  # a VM that never ran was being started until it was given up
        found += [("delayed", turn, begun), ("starting", begun, ran), ("probing", ran, ended)]
    return [(phase, since, until) for phase, since, until in found if until > since]


def _bar(start: Row, total: float, room: int) -> str:
    """The phases of a start, and a mark where it ended."""
    scale = max(total, 0.001) / (room - 1)
    end = min(round(start["ended_seconds"] / scale), room - 1)
    parts = phases(start)
    drawn = []
    for column in range(end):
        moment = min((column + 0.5) * scale, start["ended_seconds"])
        drawn.append(next((BARS[phase] for phase, since, until in parts if since <= moment <= until), " "))
    return "".join([*drawn, ENDS[start["outcome"]]]).ljust(room)


def troubles(rows: Sequence[Row]) -> List[str]:
    """What went wrong, a line a VM, and what to do about each kind of it."""
    failed = [row for row in rows if row["decision"] == "failed"]
    lines = [f"{printable(row['name'])}: {printable(why(row))} [{row['reason']}]" for row in failed]
    return ["", *lines, *remedies(rows)] if failed else []
