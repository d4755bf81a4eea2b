# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks.md: the table, how each row is measured, and the machine that it was measured on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from tests.bench.figures import Row, table
from tests.bench.lab_host import ROOT, LabHost

TEMPLATE = Path(__file__).with_name("benchmarks.md.in")


def circumstances(host: LabHost, peer_version: str, load: float) -> dict[str, str]:
    """What the figures depend on, as the template names it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores of {processor}, {memory:.0f} GiB",
        "load": f"load {load:.1f} at the beginning",
        "controller": f"Python {platform.python_version()}, ansible-core {version('ansible-core')}",
        "collection": _collection_version(),
        "peer": peer_version,
        **{f"host_{name}": value for name, value in host.call("versions").items()},
    }


def _collection_version() -> str:
    lines = (ROOT / "galaxy.yml").read_text("utf-8").splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("version:"))


def render(rows: Sequence[Row], known: Mapping[str, str]) -> str:
    """The page's text."""
    head, *body = table(rows)
    marked = [["row", *head[1:6], "met", *head[7:]], ["---"] * len(head), *body]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in marked]
    return TEMPLATE.read_text("utf-8").format(table="\n".join(lines), **known)
