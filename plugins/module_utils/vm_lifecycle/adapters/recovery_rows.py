# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept for recovery, from rows and files of the store. Whatever is not of its shape raises ValueError, TypeError or KeyError."""

from __future__ import annotations

from typing import Any, Optional
from xml.etree import ElementTree

from ..recoveries import Configuration, DiskMark, Machine, Manifest, Memory, Recovery
from ..times import iso


def decode_recovery(stored: Any) -> Recovery:
    """A Recovery, whose XML is whole."""
    configuration = Configuration(**stored["configuration"])
    recovery = Recovery(**{**stored, "configuration": configuration, "memory": _memory(stored.get("memory"))})
    _require(recovery, str, "uuid", "name")
    _require(recovery, int, "created_unix", "checkpoint_unix")
    _require(recovery, bool, "removed")
    _require(configuration, str, "xml")
    _require(configuration, bool, "omitted_secrets")
    _require(configuration, dict, "summary")
    iso(recovery.created_unix)
    iso(recovery.checkpoint_unix)
    try:
        ElementTree.fromstring(configuration.xml)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    return recovery


def decode_manifest(stored: Any) -> Manifest:
    """A Manifest."""
    memory = _memory(stored["memory"])
    if memory is None:
        raise ValueError("it is of no memory")
    machine = Machine(**stored["machine"])
    disks = tuple(DiskMark(**disk) for disk in stored["disks"])
    manifest = Manifest(**{**stored, "memory": memory, "machine": machine, "disks": disks})
    _require(manifest, str, "uuid", "name")
    _require(manifest, int, "made_unix")
    _require(machine, int, "qemu")
    _require(machine, str, "machine", "cpu")
    for disk in disks:
        _require(disk, str, "path")
        _require(disk, int, "size", "modified_ns")
    iso(manifest.made_unix)
    return manifest


def unreadable(uuid: str, path: str) -> Manifest:
    """Stands for a manifest that can't be understood: its machine is none that there is, so that nothing is loaded."""
    return Manifest(
        uuid, "", 0, Memory(""), Machine(machine=f"that nobody knows any more ({path} can't be understood)")
    )


def _memory(stored: Any) -> Optional[Memory]:
    if stored is None:
        return None
    memory = Memory(**stored)
    _require(memory, str, "path")
    _require(memory, int, "size", "modified_ns")
    _require(memory, bool, "managed")
    return memory


def _require(value: Any, kind: type, *names: str) -> None:
    """A field of another type is as bad as a missing one; True is no number."""
    for name in names:
        found = getattr(value, name)
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise ValueError(f"{name} is not of its type")
