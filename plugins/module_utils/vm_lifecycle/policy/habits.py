# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt does by itself when a guest ends: on_poweroff, on_reboot, on_crash. A restart policy and they must not fight."""

from __future__ import annotations

from typing import Dict, Mapping, Optional, Tuple
from xml.etree import ElementTree

from ..model import Document

#: Values of on_crash and on_poweroff by which libvirt starts a domain again by itself, at once and for ever.
RESTARTING = ("restart", "rename-restart", "coredump-restart")
#: (element, value) -> what it becomes while a restart policy acts. A guest that restarts itself must not look like one that
#: powers off; one that was to be preserved after a crash stays so, since somebody wants to look at it.
INSTEAD: Mapping[Tuple[str, str], str] = {
    ("on_poweroff", "restart"): "destroy",
    ("on_poweroff", "rename-restart"): "destroy",
    ("on_reboot", "destroy"): "restart",
    ("on_crash", "restart"): "destroy",
    ("on_crash", "rename-restart"): "destroy",
    ("on_crash", "coredump-restart"): "coredump-destroy",
}
#: Element -> libvirt's default.
DEFAULTS: Mapping[str, str] = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}
#: In a declaration: what they were before.
BEFORE = "libvirt_actions_before"

#: Values by element.
Actions = Mapping[str, str]


def actions(xml: str) -> Dict[str, str]:
    """What an inactive definition says. Raises ElementTree.ParseError."""
    root = ElementTree.fromstring(xml)
    return {name: root.findtext(name, default) for name, default in DEFAULTS.items()}


def acts(document: Document, supervisor: bool) -> bool:
    """Whether a supervisor restarts the VM, so that libvirt has to leave it alone."""
    persistence = document["persistence"]
    return supervisor and persistence["mode"] == "permanent" and persistence["restart_policy"] != "no"


def settled(document: Document, current: Actions, supervisor: bool) -> Tuple[Document, Dict[str, str]]:
    """The declaration with what its actions were before, and those to be set now, with their values."""
    before: Actions = document.get(BEFORE) or {}
    rest = {key: value for key, value in document.items() if key != BEFORE}
    if not acts(document, supervisor):
        return rest, put_back(before, current)
    fighting = {name: value for name, value in current.items() if (name, value) in INSTEAD}
    known = {**fighting, **before}
    return ({**rest, BEFORE: known} if known else rest), {name: INSTEAD[name, fighting[name]] for name in fighting}


def put_back(before: Optional[Actions], current: Actions) -> Dict[str, str]:
    """Actions that become again what they were. One that somebody changed since stays."""
    return {
        name: value
        for name, value in (before or {}).items()
        if current.get(name) == INSTEAD.get((name, value)) and current.get(name) is not None
    }


def said(changes: Actions, current: Actions) -> str:
    """What is changed, in words."""
    return ", ".join(f"{name} {current.get(name)} becomes {value}" for name, value in sorted(changes.items()))
