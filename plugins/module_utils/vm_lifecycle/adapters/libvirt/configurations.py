# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's definition as it is kept to make it again, and its main figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional
from xml.etree import ElementTree

from ...recoveries import Configuration

if TYPE_CHECKING:
    from ...model import Document

try:
    import libvirt
except ImportError:
    libvirt = None

#: What libvirt counts memory in -> bytes; without a unit it is KiB.
UNITS = {
    "b": 1, "bytes": 1, "KB": 10**3, "k": 2**10, "KiB": 2**10, "MB": 10**6, "M": 2**20, "MiB": 2**20,
    "GB": 10**9, "G": 2**30, "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40,
}  # fmt: skip
#: Where the source of a disk or an interface is named, the plainest first.
NAMES = ("file", "dev", "dir", "network", "bridge", "name")


def configuration(handle: Any) -> Configuration:
    """Inactive XML without secrets, and whether it had any. Raises libvirtError."""
    xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    secure = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    return Configuration(xml, omitted_secrets=xml != secure, summary=summary(xml))


def summary(xml: str) -> Document:
    """The main figures of a definition. Raises ParseError."""
    root = ElementTree.fromstring(xml)
    memory = root.find("memory")
    figure = int((memory.text or "0").strip()) if memory is not None else 0
    unit = memory.get("unit", "KiB") if memory is not None else "KiB"
    return {
        "name": root.findtext("name", ""),
        "uuid": root.findtext("uuid", ""),
        "vcpus": int(root.findtext("vcpu", "1").strip()),
        "memory_mb": figure * UNITS.get(unit, 2**10) // 2**20,
        "disks": [_disk(disk) for disk in root.findall("devices/disk")],
        "interfaces": [_interface(interface) for interface in root.findall("devices/interface")],
    }


def _disk(disk: ElementTree.Element) -> Dict[str, str]:
    return {
        "target": _attribute(disk.find("target"), "dev"),
        "source": _source(disk.find("source")),
        "device": disk.get("device", "disk"),
    }


def _interface(interface: ElementTree.Element) -> Dict[str, str]:
    return {
        "mac": _attribute(interface.find("mac"), "address"),
        "type": interface.get("type", ""),
        "source": _source(interface.find("source")),
    }


def _attribute(element: Optional[ElementTree.Element], name: str) -> str:
    return element.get(name, "") if element is not None else ""


def _source(source: Optional[ElementTree.Element]) -> str:
    """A path, a name, or pool/volume; "" for a drive without a medium."""
    if source is None:
        return ""
    if source.get("pool"):
        return f"{source.get('pool')}/{source.get('volume', '')}"
    return next((source.get(name, "") for name in NAMES if source.get(name)), "")
