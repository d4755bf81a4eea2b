# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VmRecoveryState documents, and whether a VM is still as its record says."""

from __future__ import annotations

import difflib
from typing import List, Mapping, Optional
from xml.etree import ElementTree

from ..boots import LastState
from ..metadata import NAMESPACE
from ..model import Document
from ..recoveries import Configuration, Memory, MemoryFacts, Recovery
from ..times import iso, unix
from .power import before

#: libvirt's word -> the schema's.
WORDS: Mapping[str, str] = {
    "running": "running",
    "blocked": "running",
    "paused": "paused",
    "pmsuspended": "paused",
}
MIB = 1024 * 1024


def state_of(last: Optional[LastState], boot_id: str) -> str:
    """What a VM is to be again: what it was when its host went down, or what it is if that has not happened since.

    A managed save counts as running, and so does a VM that a boot is about to start.
    """
    if last is None:
        return "stopped"
    if last.boot_id != boot_id or last.reason in ("host_down", "host_shutdown"):
        word = last.state if last.state in WORDS else before(last, boot_id)
    else:
        word = "running" if last.reason in ("saved", "starting") else last.state
    return WORDS.get(word, "stopped")


def document(kept: Recovery, last: Optional[LastState], boot_id: str, facts: Optional[MemoryFacts] = None) -> Document:
    """The VmRecoveryState. facts: what is there of libvirt's own saved memory, unless the record names a file."""
    memory = kept.memory or (facts.memory if facts is not None else None)
    found: Document = {
        "vm_name": kept.name,
        "vm_id": kept.uuid,
        "state_before_shutdown": state_of(last, boot_id),
        "creation_timestamp": iso(kept.created_unix),
        "last_checkpoint": iso(kept.checkpoint_unix),
        "config_snapshot": {
            "domain_xml": kept.configuration.xml,
            "omitted_secrets": kept.configuration.omitted_secrets,
            **kept.configuration.summary,
        },
    }
    if memory is not None and memory.path:
        found["memory_snapshot"] = memory.path
        found["memory_size_mb"] = -(-memory.size // MIB)
    return found


def recovery_of(given: Document) -> Recovery:
    """The record that a VmRecoveryState of elsewhere stands for. Raises KeyError, ValueError and TypeError for one that is none."""
    snapshot = dict(given["config_snapshot"])
    xml, omitted = str(snapshot.pop("domain_xml")), bool(snapshot.pop("omitted_secrets", False))
    root = ElementTree.fromstring(xml)
    if root.findtext("uuid") != given["vm_id"] or root.findtext("name") != given["vm_name"]:
        raise ValueError("its domain_xml is of another VM than vm_name and vm_id say")
    memory = given.get("memory_snapshot")
    return Recovery(
        given["vm_id"], given["vm_name"], int(unix(given["creation_timestamp"])), int(unix(given["last_checkpoint"])),
        Configuration(xml, omitted, snapshot), Memory(memory, managed=False) if memory else None,
    )  # fmt: skip


def difference(kept: str, now: str) -> List[str]:
    """A unified diff of two definitions, without our own metadata; [] when they mean the same to libvirt as far as text tells."""
    left, right = _plain(kept), _plain(now)
    return (
        [] if left == right else list(difflib.unified_diff(left, right, "on record", "on this host", lineterm="", n=2))
    )


def _plain(xml: str) -> List[str]:
    root = ElementTree.fromstring(xml)
    for metadata in root.findall("metadata"):
        for element in list(metadata):
            if element.tag.startswith(f"{{{NAMESPACE}}}"):
                metadata.remove(element)
        if not len(metadata):
            root.remove(metadata)
    canonical = ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"), strip_text=True)
    return canonical.replace("><", ">\n<").splitlines()
