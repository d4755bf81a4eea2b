# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One view of everything that could use a file: pool directories, the files that domains and snapshots name, loop devices."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple
from xml.etree import ElementTree

from ...model import Attachment, FileIdentity, Image, Storage, Volume
from ..images import Images, identity
from ..open_files import NETWORK, file_system, loop_devices
from .definitions import FileReference, domain_files, qemu_arguments, snapshot_files

try:
    import libvirt
except ImportError:
    libvirt = None

#: Pool types whose volumes are files in one directory.
DIRECTORY_TYPES = ("dir", "fs", "netfs")
#: Most files that are looked at below one pool's directory.
MOST_FILES = 200000

File = Tuple[int, int]


class StorageReader:
    """Reads the storage of one connection. Nothing is refreshed or opened for writing: looking changes nothing."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._images = Images()
        self._problems: List[str] = []
        self._raw: Set[File] = set()
        self._arguments: Dict[Tuple[str, str], str] = {}

    def read(self) -> Storage:
        """The whole view; what could not be looked at is named in problems."""
        self._problems, self._arguments, self._raw = [], {}, set()
        attachments = [use for domain in self._connection.listAllDomains() for use in self._attachments(domain)]
        attachments += [Attachment("", device, "other", self._images.image(path)) for device, path in loop_devices()]
        volumes: List[Volume] = []
        active: List[str] = []
        inactive: List[str] = []
        for pool in self._connection.listAllStoragePools():
            name = pool.name()
            try:
                running = bool(pool.isActive())
                volumes.extend(self._volumes(pool, name, running))
                (active if running else inactive).append(
                    name
                )  # one that can't be read is neither: nothing is gone from it
            except (libvirt.libvirtError, OSError, ValueError, ElementTree.ParseError) as error:
                self._problems.append(f"pool {name}: {error}")
        attachments += self._named_in_arguments(volumes, attachments)
        return Storage(tuple(volumes), tuple(attachments), tuple(active), tuple(self._problems), tuple(inactive))

    def _volumes(self, pool: Any, name: str, active: bool) -> List[Volume]:
        root = ElementTree.fromstring(pool.XMLDesc())
        kind = root.get("type", "")
        directory = root.findtext("target/path")
        if kind in DIRECTORY_TYPES and directory:
            if not active and not os.path.isdir(directory):
                return []
            below = file_system(directory)
            kind = below if below in NETWORK else kind
            return list(self._directory(name, kind if active else "inactive", directory))
        if not active:
            return []
        return [
            Volume(name, kind, volume.name(), self._images.image(volume.path())) for volume in pool.listAllVolumes()
        ]

    def _directory(self, pool: str, kind: str, directory: str) -> Iterator[Volume]:
        """Files as they lie there, those in folders below included: a pool does not know of all that is built on its files.

        A file in a folder is nobody's volume, but may be built on one.
        """
        count = 0
        os.listdir(directory)  # raises when the pool itself can't be read
        for folder, _folders, names in os.walk(directory, onerror=self._note):
            for name in sorted(names):
                count += 1
                if count > MOST_FILES:
                    raise OSError(f"more than {MOST_FILES} files below {directory}")
                path = os.path.join(folder, name)
                found = self._identity(path)
                if found is None or not _is_file_or_block(path):
                    continue
                image = self._images.image(path, "raw" if found.file in self._raw else "")
                own = folder == directory
                yield Volume(
                    pool, kind if own else "folder", os.path.relpath(path, directory), image, os.path.islink(path)
                )

    def _identity(self, path: str) -> Optional[FileIdentity]:
        """None for what is no file; what may be one and can't be looked at is noted."""
        try:
            return identity(path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                self._note(error)
            return None

    def _note(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a folder that went away while it was walked
            self._problems.append(str(error))

    def _attachments(self, domain: Any) -> List[Attachment]:
        uuid, name = domain.UUIDString(), domain.name()
        try:
            references = self._references(domain, (uuid, name))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                self._problems.append(f"VM {name}: {error}")
            return []
        except (ValueError, ElementTree.ParseError) as error:
            self._problems.append(f"VM {name}: {error}")
            return []
        found = [self._attachment(uuid, name, reference) for reference in references]
        shares = [use for use in found if use.role == "share"]
        return found + [replace(use, image=Image(os.path.realpath(use.image.path))) for use in shares]

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

    def _references(self, domain: Any, owner: Tuple[str, str]) -> List[FileReference]:
        """From the persistent definition, the running one, the saved one, and every snapshot: they may all differ."""
        definitions = []
        if domain.isPersistent():
            definitions.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            if domain.hasManagedSaveImage():
                definitions.append(domain.managedSaveGetXMLDesc())
        if domain.isActive():
            definitions.append(domain.XMLDesc())
        found = [reference for xml in definitions for reference in domain_files(xml, self._volume_path)]
        arguments = "\n".join(filter(None, map(qemu_arguments, definitions)))
        if arguments:
            self._arguments[owner] = arguments
        for snapshot in domain.listAllSnapshots():
            found += snapshot_files(snapshot.getXMLDesc(), self._volume_path)
        return list(dict.fromkeys(found))

    def _image(self, reference: FileReference) -> Image:
        """The XML's own word on what lies below an image counts as well as the image's header.

        A raw disk has no header: its content is its guest's, who could name any file there.
        """
        image = self._images.image(reference.path, reference.image_format, reference.role == "disk")
        if image.identity is not None and reference.image_format == "raw":
            self._raw.add(image.identity.file)
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


def _is_file_or_block(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
