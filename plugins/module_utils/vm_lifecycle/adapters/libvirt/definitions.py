# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's XML says of files: parsing only, no call to libvirt."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Callable, Iterator, List, Optional, Sequence, Tuple
from xml.etree import ElementTree

from ...frozen import dataclass

#: Roles that a reader of a verdict will look for; every other mention of a path has the role "other".
NAMED_ROLES = ("kernel", "initrd", "nvram")
#: A path inside an argument that is handed to QEMU as it is: up to what ends a value, or a JSON string.
PATH_IN_ARGUMENT = re.compile(r'/[^,"\n]+')
#: Stands for a comma that is part of a value, which QEMU writes twice.
COMMA = "\0"
QEMU_ARGUMENT = "{http://libvirt.org/schemas/domain/qemu/1.0}arg"


@dataclass(frozen=True)
class FileReference:
    """A file that a definition names. below: further files that the XML itself names under it (chains, mirrors)."""

    role: str
    path: str
    kind: str = "file"
    target: str = ""
    image_format: str = ""
    read_only: bool = False
    shareable: bool = False
    below: Tuple[str, ...] = ()


#: Path of a volume by (pool, volume); None when the pool or the volume does not answer.
VolumePath = Callable[[str, str], Optional[str]]


def metadata_text(element: str) -> str:
    """The text of our metadata element as libvirt returns it. Raises ValueError when it is not a plain text element."""
    return plain_text(ElementTree.fromstring(element))


def plain_text(element: ElementTree.Element) -> str:
    """The same of an element that was read already."""
    if len(element):
        raise ValueError("it has elements inside")
    return element.text or ""


def metadata_element(text: str) -> str:
    """The element to give to libvirt, which adds the namespace."""
    element = ElementTree.Element("lifecycle")
    element.text = text
    return ElementTree.tostring(element, encoding="unicode")


def domain_files(xml: str, volume_path: VolumePath) -> List[FileReference]:
    """Every file that a domain definition names. Raises ValueError for a volume whose path can't be found."""
    root = ElementTree.fromstring(xml)
    return list(_files(root, volume_path))


def snapshot_files(xml: str, volume_path: VolumePath) -> List[FileReference]:
    """Every file that a snapshot names: its overlays, its memory image, and the disks of the definition it kept.

    Disks and memory have a target. What else the definition mentions, its firmware and media for example, has none.
    """
    root = ElementTree.fromstring(xml)
    found: List[FileReference] = []
    for disk in root.findall("disks/disk"):
        found += [replace(each, target=disk.get("name") or each.target) for each in _disk(disk, volume_path)]
    for memory in root.findall("memory[@file]"):
        found.append(FileReference("disk", memory.get("file", ""), target="memory"))
    for kept in (*root.findall("domain"), *root.findall("inactiveDomain")):
        found.extend(_files(kept, volume_path))
    return [
        replace(each, role="snapshot", target=(each.target or "disk") if each.role == "disk" else "") for each in found
    ]


def parents_first(snapshots: Sequence[str]) -> List[str]:
    """XML of snapshots in an order in which they can be defined again."""
    read = [(ElementTree.fromstring(xml), xml) for xml in snapshots]
    waiting = {root.findtext("name", ""): (root.findtext("parent/name"), xml) for root, xml in read}
    found: List[str] = []
    while waiting:
        ready = [name for name, (parent, _xml) in waiting.items() if parent not in waiting]
        found += [waiting.pop(name)[1] for name in ready or list(waiting)]
    return found


def qemu_arguments(xml: str) -> str:
    """All arguments that are handed to QEMU as they are, with its escapes of comma and slash undone."""
    arguments = [element.get("value", "") for element in ElementTree.fromstring(xml).iter(QEMU_ARGUMENT)]
    return _unescaped("\n".join(arguments)).replace(COMMA, ",")


def _unescaped(argument: str) -> str:
    """An argument of QEMU with its slashes plain, and with the commas that do not separate marked."""
    return argument.replace(",,", COMMA).replace("\\/", "/")


def has_nvram(xml: str) -> bool:
    """Whether undefining has to say what becomes of NVRAM."""
    root = ElementTree.fromstring(xml)
    return root.find("os/nvram") is not None or root.find("os[@firmware='efi']") is not None


def has_tpm(xml: str) -> bool:
    """Whether the domain has an emulated TPM, whose state is kept by libvirt."""
    return ElementTree.fromstring(xml).find("devices/tpm/backend[@type='emulator']") is not None


def _files(root: ElementTree.Element, volume_path: VolumePath) -> Iterator[FileReference]:
    for disk in root.findall("devices/disk"):
        yield from _disk(disk, volume_path)
    for child in root:
        if child.tag not in ("metadata", "devices"):
            yield from _mentions(child, "other")
    for device in root.findall("devices/*"):
        if device.tag != "disk":
            yield from _mentions(device, "other")


def _mentions(element: ElementTree.Element, role: str) -> Iterator[FileReference]:
    """Every absolute path in an element, whatever it is for: firmware, NVDIMMs, ROMs, shares, arguments for QEMU.

    A list of the elements that may name a file would be wrong with the next release of libvirt; a path too many only
    keeps a file.
    """
    role = element.tag if element.tag in NAMED_ROLES else role
    text = (element.text or "").strip()
    if text.startswith("/"):
        yield FileReference(role, text)
    if element.tag == QEMU_ARGUMENT:
        for path in PATH_IN_ARGUMENT.findall(_unescaped(element.get("value", ""))):
            yield FileReference("other", path.replace(COMMA, ","))
    for name, value in element.attrib.items():
        if value.startswith("/"):  # an attribute of <nvram> is its template, which is not the VM's own
            yield FileReference("other" if element.tag == "nvram" else "share" if name == "dir" else role, value)
    for child in element:
        yield from _mentions(child, role)


def _disk(disk: ElementTree.Element, volume_path: VolumePath) -> Iterator[FileReference]:
    source, driver, target = disk.find("source"), disk.find("driver"), disk.find("target")
    path = _source_path(source, volume_path)
    kind = disk.get("type", "file")
    if path is None and source is not None and kind not in ("file", "block"):
        # a device or a server without a path or a name
        path = f"{kind}:{target.get('dev', '') if target is not None else ''}"
    if path is None:
        return  # a drive without a medium
    below = [
        found
        for inner in disk.iter("source")
        if inner is not source
        for found in [_source_path(inner, volume_path)]
        if found is not None
    ]
    device = disk.get("device", "disk")
    yield FileReference(
        role=device if device in ("disk", "cdrom", "floppy") else "disk",
        path=path,
        kind=kind if device != "lun" else "lun",
        target=target.get("dev", "") if target is not None else "",
        image_format=driver.get("type", "") if driver is not None else "",
        read_only=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        below=tuple(below),
    )


def _source_path(source: Optional[ElementTree.Element], volume_path: VolumePath) -> Optional[str]:
    if source is None:
        return None
    pool, volume = source.get("pool"), source.get("volume")
    if pool and volume:
        path = volume_path(pool, volume)
        if path is None:
            raise ValueError(f"the path of volume {volume} of pool {pool} can't be found")
        return path
    return source.get("file") or source.get("dev") or source.get("dir") or source.get("name")
