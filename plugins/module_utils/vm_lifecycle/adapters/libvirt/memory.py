# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that was saved: what there is of it and what it would be loaded over, keeping it aside, and loading it from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple
from xml.etree import ElementTree

from ...errors import EffectError
from ...recoveries import Machine, Memory, MemoryFacts
from ..memory_files import disk_mark, image_problem, is_unfinished, keep_aside, memory_of
from .places import saves

try:
    import libvirt
except ImportError:
    libvirt = None

#: Devices among the disks that a guest writes to, unless they are read-only.
WRITABLE = ("disk", "lun", "floppy")


def image_path(handle: Any, uri: str) -> str:
    """Where libvirt keeps a domain's saved memory."""
    return str(saves(uri) / f"{handle.name()}.save")


def memory_facts(connection: Any, uri: str, uuid: str, path: str) -> MemoryFacts:
    """What is there of a domain's saved memory, or in a file, and what it would be loaded over. Raises libvirtError."""
    handle = connection.lookupByUUIDString(uuid)
    definition = ElementTree.fromstring(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    memory, problem = _memory(handle, uri, path)
    definitions = [definition]
    if memory is not None and not problem:
        within, problem = _definition_within(connection, handle, path)
        definitions += [within] if within is not None else []
    paths = dict.fromkeys(found for each in definitions for found in _writable(connection, each))
    machine = _machine(definition, connection.getVersion())
    interrupted = memory is not None and not path and is_unfinished(memory.path)
    return MemoryFacts(memory, machine, tuple(disk_mark(each) for each in paths), problem, interrupted)


def _memory(handle: Any, uri: str, path: str) -> Tuple[Optional[Memory], str]:
    """(what is there, why it can't be read). A file that is missing is a problem where one was named, or libvirt has one."""
    if not path and not handle.hasManagedSaveImage():
        return None, ""
    where = path or image_path(handle, uri)
    try:
        return memory_of(where, managed=not path), image_problem(where)
    except OSError as error:
        return Memory(where, managed=not path), f"the saved memory {where} can't be read: {error.strerror}"


def _definition_within(connection: Any, handle: Any, path: str) -> Tuple[Optional[ElementTree.Element], str]:
    """(the definition in an image, why it can't be read): a VM is started by that one, with the disks that it names."""
    try:
        root = ElementTree.fromstring(connection.saveImageGetXMLDesc(path) if path else handle.managedSaveGetXMLDesc())
    except libvirt.libvirtError as error:
        unknown = error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT
        return None, "" if unknown else f"libvirt can't read the saved memory: {error}"
    except ElementTree.ParseError as error:
        return None, f"the definition in the saved memory can't be read: {error}"
    return root, _of_another(root, handle.UUIDString())


def _of_another(root: ElementTree.Element, uuid: str) -> str:
    found = root.findtext("uuid", "").strip().lower()
    return "" if found == uuid else f"the saved memory is that of {root.findtext('name', '')}, {found}"


def _machine(root: ElementTree.Element, qemu: int) -> Machine:
    kind, cpu = root.find("os/type"), root.find("cpu")
    processor = ""
    if cpu is not None:
        processor = f"{cpu.get('mode', 'custom')} {cpu.findtext('model', '').strip()}".strip()
    return Machine(qemu, kind.get("machine", "") if kind is not None else "", processor)


def _writable(connection: Any, root: ElementTree.Element) -> Iterator[str]:
    """Files and devices of the disks that a guest writes to. Those on other machines can't be looked at."""
    for disk in root.findall("devices/disk"):
        source = disk.find("source")
        if source is None or disk.find("readonly") is not None or disk.get("device", "disk") not in WRITABLE:
            continue
        path = source.get("file") or source.get("dev")
        if disk.get("type") == "volume":
            path = _volume_path(connection, source.get("pool", ""), source.get("volume", ""))
        if path:
            yield path


def _volume_path(connection: Any, pool: str, volume: str) -> str:
    """A pool that is not active knows no volume: then it is where it would be."""
    steps: List[Callable[[], str]] = [
        lambda: str(connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()),
        lambda: os.path.join(_pool_path(connection.storagePoolLookupByName(pool)), volume),
    ]
    for step in steps:
        try:
            return step()
        except libvirt.libvirtError:
            continue
    return f"{pool}/{volume}"


def _pool_path(pool: Any) -> str:
    return ElementTree.fromstring(pool.XMLDesc()).findtext("target/path", "")


def drop_interrupted_memory(handle: Any, uri: str) -> None:
    """What is left of a save that a power cut ended was never anybody's memory. Raises EffectError, libvirtError."""
    if not handle.hasManagedSaveImage():
        return
    if not is_unfinished(image_path(handle, uri)):
        raise EffectError("effect_failed", "the saved memory is whole, and is not dropped")
    handle.managedSaveRemove(0)


def set_memory_aside(handle: Any, uri: str, directory: str) -> str:
    """Keep a domain's saved memory as a file, then have libvirt drop it. Raises EffectError, libvirtError."""
    if not handle.hasManagedSaveImage():
        raise EffectError("effect_failed", "there is no saved memory to set aside")
    try:
        kept = keep_aside(image_path(handle, uri), Path(directory), handle.UUIDString())
    except OSError as error:
        raise EffectError("effect_failed", f"the saved memory can't be set aside: {error}") from error
    handle.managedSaveRemove()
    return str(kept)


def require_loadable(handle: Any, uri: str) -> None:
    """Of a domain that is off and has saved memory. libvirt drops an image that is incomplete, and starts cold: whoever starts it
    should decide that. Raises EffectError.
    """
    path = image_path(handle, uri)
    problem = image_problem(path) if os.path.exists(path) else ""
    if problem:
        raise EffectError("effect_failed", problem)


def restore_memory(connection: Any, handle: Any, path: str, paused: bool) -> None:
    """Start a domain that is off from a file of its own memory. Raises EffectError, libvirtError."""
    if handle.isActive():
        raise EffectError("effect_failed", "it runs, and what it has in memory would be lost")
    if handle.hasManagedSaveImage():  # it would stay, and be loaded by a later start over disks that went on
        raise EffectError(
            "effect_failed", "it has other saved memory, which its next start takes: set that aside first"
        )
    problem = image_problem(path)
    if not problem:
        problem = _of_another(ElementTree.fromstring(connection.saveImageGetXMLDesc(path)), handle.UUIDString())
    if problem:
        raise EffectError("effect_failed", problem)
    connection.restoreFlags(path, None, libvirt.VIR_DOMAIN_SAVE_PAUSED if paused else libvirt.VIR_DOMAIN_SAVE_RUNNING)
