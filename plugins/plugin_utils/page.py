# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a fleet: one HTML file that needs nothing else, and that the browser is told to give nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Mapping, Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import attention, host_views, views
from .attention import Concern
from .fleet import Host
from .reader import Reader, plural, span

#: Nothing is loaded, and only the style and the script of this very page are obeyed, whatever a name smuggles in.
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {style}; script-src {script}"
)


def render(
    directory: Path,
    hosts: Sequence[Host],
    found: Sequence[Concern],
    reader: Reader,
    title: str,
    explained: Mapping[str, str],
) -> str:
    """directory: of the template, its style and its script; explained: what a code means."""
    environment = Environment(
        loader=FileSystemLoader(str(directory)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(plural=plural, span=span, words=host_views.words, kinds=attention.KINDS)
    style, script = (Markup(directory.joinpath(name).read_text("utf-8")) for name in ("style.css", "script.js"))
    concerns = [(kind, attention.remedy(kind, explained), some) for kind, some in attention.by_kind(found)]
    return environment.get_template("page.html.j2").render(
        **views.context(hosts, found, reader, explained),
        title=title,
        concerns=concerns,
        anchors={host.name: f"host-{at}" for at, host in enumerate(hosts, 1)},
        style=style,
        script=script,
        policy=POLICY.format(style=_digest(style), script=_digest(script)),
    )


def _digest(text: str) -> str:
    """By which a policy names a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
