# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One view of everything that could use a file: pools, the files that definitions and snapshots name, loop devices."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, FrozenSet, Iterator, List, Optional, Sequence, Set, Tuple
from xml.etree import ElementTree

from ...disks import Attachment, FileIdentity, Image, Storage, Volume
from ..images import Images
from ..open_files import loop_devices
from .definitions import FileReference, VolumePath, domain_files, qemu_arguments, snapshot_files
from .pools import File, Pools, raw_file

if TYPE_CHECKING:
    from ...disks import VolumeVerdict
    from ...removals import UndoRecord

try:
    import libvirt
except ImportError:
    libvirt = None


class StorageReader:
    """Reads the storage of a connection; what it learned of images lasts from look to look. For one look at a time."""

    def __init__(self) -> None:
        self._images = Images()
        #: Files that the last look found to be raw disks of some VM.
        self.raw: FrozenSet[File] = frozenset()

    def read(
        self, connection: Any, removed: Sequence[UndoRecord] = (), leaving: Sequence[VolumeVerdict] = ()
    ) -> Storage:
        """The whole view; what could not be looked at is named in problems. Nothing is refreshed or opened for writing."""
        look = _Look(connection, self._images, {file for disk in leaving for file in raw_file(disk)})
        seen = look.storage(removed)
        self.raw = frozenset(look.raw)
        return seen


class _Look:
    def __init__(self, connection: Any, images: Images, raw: Set[File]) -> None:
        self._connection = connection
        self._images = images
        self._problems: List[str] = []
        self.raw = raw
        self._arguments: Dict[Tuple[str, str], str] = {}
        self._pools = Pools(images, self.raw, self._problems)

    def storage(self, removed: Sequence[UndoRecord]) -> Storage:
        """Definitions come first: they tell which files are raw disks, whose content is no header."""
        attachments: List[Attachment] = []
        there: Set[str] = set()
        for domain in self._connection.listAllDomains():
            attachments += self._of_domain(domain, there)
        for record in removed:
            if record.uuid not in there:
                attachments += self._of_record(record)
        attachments += [Attachment("", device, "other", self._images.image(path)) for device, path in loop_devices()]
        volumes, active, inactive = self._all_pools()
        volumes += list(self._pools.unpooled(attachments, volumes))
        attachments += list(self._pools.shares(use for use in attachments if use.role == "share" or use.kind == "dir"))
        attachments += self._named_in_arguments(volumes, attachments)
        return Storage(tuple(volumes), tuple(attachments), tuple(active), tuple(self._problems), tuple(inactive))

    def _all_pools(self) -> Tuple[List[Volume], List[str], List[str]]:
        """(volumes, active pools, inactive pools). A pool that can't be read is neither: nothing is gone from it."""
        volumes: List[Volume] = []
        active: List[str] = []
        inactive: List[str] = []
        for pool in self._connection.listAllStoragePools():
            name = pool.name()
            try:
                running = bool(pool.isActive())
                volumes.extend(self._pools.volumes(pool, name, running))
                (active if running else inactive).append(name)
            except (libvirt.libvirtError, OSError, ValueError, ElementTree.ParseError) as error:
                self._problems.append(f"pool {name}: {error}")
        return volumes, active, inactive

    def _of_domain(self, domain: Any, there: Set[str]) -> List[Attachment]:
        """Uses of a domain, whose UUID joins those that are there, unless it went away while it was looked at."""
        uuid, name = domain.UUIDString(), domain.name()
        try:
            definitions, snapshots = _definitions(domain)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                there.add(uuid)
                self._problems.append(f"VM {name}: {error}")
            return []
        there.add(uuid)
        return self._uses(uuid, name, definitions, snapshots, self._volume_path)

    def _of_record(self, record: UndoRecord) -> List[Attachment]:
        """Uses of a VM that was removed and can be brought back. Where its volumes were, it says itself: they, or the pool, may be gone."""
        known = {(verdict.pool, verdict.name): verdict.path for verdict in record.volumes}

        def path(pool: str, volume: str) -> Optional[str]:
            return known.get((pool, volume)) or self._volume_path(pool, volume)

        return self._uses(record.uuid, record.name, [record.saved.xml], record.saved.snapshots, path)

    def _uses(
        self, uuid: str, name: str, definitions: List[str], snapshots: Sequence[str], volume_path: VolumePath
    ) -> List[Attachment]:
        try:
            found = [reference for xml in definitions for reference in domain_files(xml, volume_path)]
            found += [reference for xml in snapshots for reference in snapshot_files(xml, volume_path)]
            arguments = "\n".join(filter(None, map(qemu_arguments, definitions)))
        except (ValueError, ElementTree.ParseError) as error:
            self._problems.append(f"VM {name}: {error}")
            return []
        if arguments:
            self._arguments[uuid, name] = arguments
        return [self._attachment(uuid, name, reference) for reference in dict.fromkeys(found)]

    def _attachment(self, uuid: str, name: str, reference: FileReference) -> Attachment:
        return Attachment(
            uuid,
            name,
            reference.role,
            self._image(reference),
            reference.target,
            reference.kind,
            reference.read_only,
            reference.shareable,
        )

    def _image(self, reference: FileReference) -> Image:
        """The XML's own word on what lies below an image counts as well as the image's header.

        A raw disk has no header: its content is its guest's, who could name any file there.
        """
        image = self._images.image(reference.path, reference.image_format, reference.role == "disk")
        if image.identity is not None and reference.image_format == "raw":
            self.raw.add(image.identity.file)
        if reference.role == "cdrom":
            image = self._images.medium(image)
        if not reference.below:
            return image
        named: List[Tuple[str, Optional[FileIdentity]]] = list(image.chain)
        problem = image.chain_error
        for path in reference.below:
            lower = self._images.image(path)
            named += [(path, lower.identity), *lower.chain]
            problem = problem or lower.chain_error
        own = image.identity.file if image.identity else None
        chain = tuple(item for item in dict.fromkeys(named) if item[1] is None or item[1].file != own)
        return replace(image, chain=chain, chain_error=problem)

    def _named_in_arguments(self, volumes: List[Volume], attachments: List[Attachment]) -> Iterator[Attachment]:
        """Files that raw arguments for QEMU mention, by path or by name: their syntax is QEMU's own, and changes."""
        if not self._arguments:
            return
        images = {image.path: image for image in (*(v.image for v in volumes), *(a.image for a in attachments))}
        for (uuid, name), text in self._arguments.items():
            for path, image in images.items():
                if os.path.basename(path) and os.path.basename(path) in text:
                    yield Attachment(uuid, name, "other", image)

    def _volume_path(self, pool: str, volume: str) -> Optional[str]:
        try:
            path: str = self._connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()
        except libvirt.libvirtError:
            return None
        return path


def _definitions(domain: Any) -> Tuple[List[str], List[str]]:
    """XML of the persistent definition, the running one and the saved one, and of every snapshot: they may all differ."""
    definitions: List[str] = []
    if domain.isPersistent():
        definitions.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        if domain.hasManagedSaveImage():
            definitions.append(domain.managedSaveGetXMLDesc())
    if domain.isActive():
        definitions.append(domain.XMLDesc())
    return definitions, [snapshot.getXMLDesc() for snapshot in domain.listAllSnapshots()]
