# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of storage pools, as files of directories and as block devices; and what lies beside files that are in no pool."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple
from xml.etree import ElementTree

from ...disks import Attachment, FileIdentity, Image, Volume, VolumeVerdict
from ...policy.disk_rules import BESIDE, BLOCK, LOGICAL, UNPOOLED, judged
from ..images import Images, identity
from ..open_files import has_snapshots, is_logical_volume, on_network

#: Pool types whose volumes are files in one directory.
DIRECTORY_TYPES = ("dir", "fs", "netfs", "vstorage")
#: Most files that are looked at below one pool's directory.
MOST_FILES = 200000

File = Tuple[int, int]


class Pools:
    """Reads pools for one view of a host. raw: files that a VM has as raw disks, whose content is no header."""

    def __init__(self, images: Images, raw: Set[File], problems: List[str]) -> None:
        self._images = images
        self._raw = raw
        self._problems = problems
        #: Directory of each pool, as libvirt names it -> as it really is.
        self.directories: Dict[str, str] = {}

    def volumes(self, pool: Any, name: str, active: bool) -> List[Volume]:
        """All volumes of a pool. Of one that is not active, what can be seen of them, with the type "inactive"."""
        root = ElementTree.fromstring(pool.XMLDesc())
        kind = root.get("type", "")
        directory = root.findtext("target/path")
        if directory:
            self.directories[directory] = os.path.realpath(directory)
        if directory and (kind in DIRECTORY_TYPES or (kind == LOGICAL and not active)):
            if not active and not os.path.isdir(directory):
                return []
            if kind in ("dir", "fs") and on_network(directory):
                kind = "netfs"
            return list(self._directory(name, kind if active or kind == "netfs" else "inactive", directory))
        if not active:
            return []
        if kind == LOGICAL:
            return [found for volume in pool.listAllVolumes() for found in self._logical(name, volume)]
        return [Volume(name, kind, volume.name(), self._image(volume.path())) for volume in pool.listAllVolumes()]

    def _logical(self, pool: str, volume: Any) -> Iterator[Volume]:
        """A logical volume, below it the one that it is a snapshot of: removing that one takes its snapshots along.

        libvirt's list is as old as the last refresh, so the kernel is asked, too, whether there are snapshots.
        """
        image = self._image(volume.path())
        if image.identity is not None and image.identity.device == BLOCK:
            image = replace(image, identity=replace(image.identity, serial=volume.key()))
            if has_snapshots(image.path):
                snapshot = Image(f"{image.path} (snapshots)", None, ((image.path, image.identity),))
                yield Volume(pool, "folder", f"{volume.name()} (snapshots)", snapshot)
        origin = ElementTree.fromstring(volume.XMLDesc()).findtext("backingStore/path")
        if origin:
            image = replace(image, chain=(*image.chain, (origin, identity(origin))))
        yield Volume(pool, LOGICAL, volume.name(), image)

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
                if self._identity(path) is None or not _is_file_or_block(path):
                    continue
                own = kind if folder == directory else "folder"
                yield Volume(pool, own, os.path.relpath(path, directory), self._image(path), os.path.islink(path))

    def _image(self, path: str) -> Image:
        found = self._identity(path) if path.startswith("/") else None
        return self._images.image(path, "raw" if found is not None and found.file in self._raw else "")

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

    def unpooled(self, attachments: Iterable[Attachment], volumes: Iterable[Volume]) -> Iterator[Volume]:
        """Regular files that VMs have as disks and that lie in no pool, each with what lies beside it.

        A path that is not its own real path counts as a symbolic link, wherever on the way the link is.
        """
        pooled = {volume.image.identity.file for volume in volumes if volume.image.identity is not None}
        seen: Set[str] = set()
        for use in attachments:
            mark, path = use.image.identity, use.image.path
            if mark is None or mark.device == BLOCK or mark.file in pooled or path in seen:
                continue
            if (
                use.role not in ("disk", "snapshot")
                or not judged(use)
                or use.kind != "file"
                or not os.path.isfile(path)
            ):
                continue
            seen.add(path)
            real = os.path.realpath(path)
            if any(_is_below(real, directory) for directory in self.directories.values()):
                continue
            remote = on_network(os.path.dirname(real))
            yield Volume("", "netfs" if remote else UNPOOLED, path, use.image, real != path)
            if not remote and os.path.dirname(path) not in seen:
                seen.add(os.path.dirname(path))
                yield from self._beside(path)

    def _beside(self, path: str) -> Iterator[Volume]:
        try:
            for image in self._images.beside(path):
                raw = image.identity is not None and image.identity.file in self._raw
                yield Volume("", BESIDE, image.path, replace(image, chain=(), chain_error="") if raw else image)
        except OSError as error:
            unknown = os.path.join(os.path.dirname(path), "")
            yield Volume("", BESIDE, unknown, Image(unknown, None, (), str(error)))

    def shares(self, uses: Iterable[Attachment]) -> Iterator[Attachment]:
        """Directories that VMs are given, under all names that matter: their own, their real one, and those of pools below.

        A volume's path begins with its pool's directory as libvirt names it, and there may be links on the way to it.
        """
        for use in uses:
            real = os.path.realpath(use.image.path)
            yield replace(use, image=Image(real))
            for name, place in self.directories.items():
                if place == real or _is_below(place, real):
                    yield replace(use, image=Image(name))


def raw_file(disk: VolumeVerdict) -> List[File]:
    """The file of a disk that was raw, while it is the one that was judged; of none that can't be looked at."""
    judged_as = disk.identity
    try:
        now = identity(disk.path) if disk.raw and judged_as is not None else None
        if now is None or judged_as is None:
            return []
        same = is_logical_volume(disk.path, judged_as.serial) if judged_as.serial else now.lasting == judged_as.lasting
    except OSError:
        return []
    return [now.file] if same else []


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _is_file_or_block(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
