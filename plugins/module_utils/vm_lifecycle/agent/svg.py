# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's boot as an SVG file that stands by itself: no script, nothing loaded, readable on light and on dark ground."""

from __future__ import annotations

from typing import Any, List, Mapping, Tuple
from xml.sax.saxutils import escape

from ..adapters.linux_host import printable
from .columns import fit
from .pictures import NOT_UP, PHASES, path_taken, phases, summary
from .words import duration, remedy, why

Row = Mapping[str, Any]

#: Pixels: of the whole, where the bars begin, where they end at the latest, where the first row is, and of a row.
WIDTH, LEFT, RIGHT, TOP, ROW = 1000, 230, 770, 84, 24
#: Columns of a name, and of what is said beside a bar.
NAME, BESIDE = 24, 32
#: Distances between the lines of the axis that people can count in, in seconds.
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
#: Class -> colour on light and on dark ground.
COLOURS = {
    "ground": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "pale": ("#656d76", "#8d96a0"),
    "grid": ("#d8dee4", "#30363d"),
    "waiting": ("#afb8c1", "#484f58"),
    "delayed": ("#8250df", "#a371f7"),
    "starting": ("#bf8700", "#d29922"),
    "probing": ("#0969da", "#4493f8"),
    "ready": ("#1a7f37", "#3fb950"),
    "failed": ("#cf222e", "#f85149"),
    "path": ("#bc4c00", "#f0883e"),
}
LINES = ("grid", "waiting", "delayed", "failed", "path")


def timeline_svg(last: Mapping[str, Any]) -> str:
    """The text of an SVG file. last: of tasks/boot_timeline.last_boot, with a boot."""
    rows = last["vms"]
    scale = (RIGHT - LEFT) / max(last["boot"]["seconds"], 0.001)
    bottom = TOP + ROW * len(rows)
    path = path_taken(last, "bold", 124)
    height = bottom + 64 + 18 * len(path)
    places = {row["name"]: TOP + ROW * number + ROW // 2 for number, row in enumerate(rows)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{_safe(summary(last))}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        _text(24, 32, summary(last), "ink head"),
        *_axis(last["boot"]["seconds"], scale, bottom),
        *_connections(last, places, scale),
    ]
    for row in rows:
        parts += _bar(row, places[row["name"]], scale, row["name"] in last["critical_path"])
    parts += _legend(bottom + 34)
    parts += [_text(24, bottom + 64 + 18 * number, line, "ink") for number, line in enumerate(path)]
    return "\n".join([*parts, "</svg>", ""])


def _style() -> str:
    """Every colour twice; a viewer that knows nothing of dark ground shows the light one."""
    light, dark = ("".join(_rule(name, pair[ground]) for name, pair in COLOURS.items()) for ground in (0, 1))
    common = (
        "text{font:13px system-ui,'DejaVu Sans',sans-serif}.head{font-size:16px;font-weight:600}.bold{font-weight:700}"
        ".line{fill:none}.end{text-anchor:end}.mid{text-anchor:middle}.small{font-size:12px}"
    )
    return f"{common}{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _rule(name: str, colour: str) -> str:
    line = f".line.{name}{{stroke:{colour}}}" if name in LINES else ""
    return f".{name}{{fill:{colour}}}{line}"


def _axis(total: float, scale: float, bottom: int) -> List[str]:
    """Lines at moments that people can count in, ten at most."""
    step = next((step for step in STEPS if total / step <= 10), STEPS[-1])
    parts = []
    for number in range(int(total // step) + 1):
        x = LEFT + number * step * scale
        parts.append(f'<path class="line grid" d="M{x:.1f} {TOP - 4}V{bottom}"/>')
        parts.append(_text(x, TOP - 12, duration(number * step), "pale small mid"))
    return parts


def _connections(last: Mapping[str, Any], places: Mapping[str, int], scale: float) -> List[str]:
    """From the end of each VM of the critical path to the turn of the next one."""
    ends = {row["name"]: LEFT + row["start"]["ended_seconds"] * scale for row in last["vms"]}
    pairs = zip(last["critical_path"], last["critical_path"][1:])
    return [
        f'<path class="line path" stroke-width="2" d="M{ends[name]:.1f} {places[name]}V{places[following]}"/>'
        for name, following in pairs
    ]


def _bar(row: Row, y: int, scale: float, critical: bool) -> List[str]:
    parts = ["<g>", f"<title>{_safe(_told(row))}</title>"]
    weight = "ink end bold" if critical else "ink end"
    parts.append(_text(LEFT - 12, y + 4, fit(row["name"], NAME).rstrip(), weight))
    for phase, since, until in phases(row["start"]):
        x, length = LEFT + since * scale, (until - since) * scale
        if phase in ("starting", "probing"):
            parts.append(f'<rect class="{phase}" x="{x:.1f}" y="{y - 6}" width="{length:.1f}" height="12"/>')
        else:
            dashes = ' stroke-dasharray="4 3"' if phase == "delayed" else ""
            parts.append(f'<path class="line {phase}" stroke-width="2"{dashes} d="M{x:.1f} {y}h{length:.1f}"/>')
    end = LEFT + row["start"]["ended_seconds"] * scale
    parts.append(_mark(end, y, row["start"]["outcome"] == "ready"))
    beside, style = _beside(row)
    return [*parts, _text(end + 12, y + 4, beside, style), "</g>"]


def _mark(x: float, y: int, good: bool) -> str:
    if good:
        return f'<circle class="ready" cx="{x:.1f}" cy="{y}" r="5"/>'
    return f'<path class="line failed" stroke-width="3" d="M{x - 5:.1f} {y - 5}l10 10m0 -10l-10 10"/>'


def _beside(row: Row) -> Tuple[str, str]:
    """What is said at the end of a bar, and how."""
    if row["start"]["outcome"] == "ready":
        return duration(row["start"]["ended_seconds"]), "pale small"
    if row["start"]["outcome"] == "later":
        return "started later", "pale small"
    word = "not started" if row["start"]["outcome"] == "skipped" else "failed"
    return fit(f"{word} [{row['reason']}]", BESIDE).rstrip(), "failed small"


def _told(row: Row) -> str:
    """All that is known of a start, for whoever points at it."""
    start = row["start"]
    told = [row["name"]]
    if start["waited_for"]:
        told.append(f"waited for {start['waited_for']}")
    told += [f"{PHASES[phase]}: {duration(until - since)}" for phase, since, until in phases(start)]
    if row["decision"] == "failed":
        told += [f"{why(row)} [{row['reason']}]", remedy(row["reason"])]
    return "; ".join(part for part in told if part)


def _legend(y: int) -> List[str]:
    parts, x = [], 24.0
    for phase, said in PHASES.items():
        if phase in ("starting", "probing"):
            parts.append(f'<rect class="{phase}" x="{x}" y="{y - 10}" width="22" height="12"/>')
        else:
            dashes = ' stroke-dasharray="4 3"' if phase == "delayed" else ""
            parts.append(f'<path class="line {phase}" stroke-width="2"{dashes} d="M{x} {y - 4}h22"/>')
        parts.append(_text(x + 28, y, said, "pale small"))
        x += 52 + 6.4 * len(said)
    for good, said in ((True, "ready"), (False, NOT_UP)):
        parts += [_mark(x + 6, y - 4, good), _text(x + 16, y, said, "pale small")]
        x += 40 + 6.4 * len(said)
    return parts


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Text that stays text in an SVG, whatever a VM is called."""
    return escape(printable(text), {'"': "&quot;"})
