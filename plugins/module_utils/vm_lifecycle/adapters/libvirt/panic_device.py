# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's panic device: put into its persistent definition, or taken out, and all else left to the letter."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

try:
    import libvirt
except ImportError:
    libvirt = None

#: The devices as libvirt writes them: metadata comes before them, and what could hold such a line is escaped.
DEVICES = re.compile(r"^  <devices>\n(.*)^  </devices>\n", re.MULTILINE | re.DOTALL)
PANIC = re.compile(r"^    <panic\b[^>]*(?:/>|>.*?^    </panic>)\n", re.MULTILINE | re.DOTALL)
#: Architecture -> its model; the others have one of their own, which libvirt knows.
MODELS = {"x86_64": "isa", "i686": "isa", "aarch64": "pvpanic"}


def has_panic_device(xml: str) -> bool:
    """By a definition. Raises ElementTree.ParseError."""
    return ElementTree.fromstring(xml).find("devices/panic") is not None


def set_panic_device(connection: Any, handle: Any, present: bool) -> None:
    """libvirt refuses a machine that can't have one. Raises libvirtError."""
    xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    if has_panic_device(xml) != present:
        connection.defineXML(changed(xml, present))


def changed(xml: str, present: bool) -> str:
    """A definition with a panic device more, or without its panic devices."""
    found = list(DEVICES.finditer(xml))[-1]
    kind = ElementTree.fromstring(xml).find("os/type")
    model = MODELS.get(kind.get("arch", "") if kind is not None else "", "")
    device = f"    <panic model='{model}'/>\n" if model else "    <panic/>\n"
    devices = found[1] + device if present else PANIC.sub("", found[1])
    return xml[: found.start(1)] + devices + xml[found.end(1) :]
