# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files behind paths: identity, and the backing chain as the headers of images tell it.

A guest writes its own disk, and an image header may name any file, device or address. So nothing is opened but the
image itself, and no program is asked that would open more.
"""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Tuple
from urllib.parse import unquote, urlsplit

from ..disks import FileIdentity, Image
from .image_headers import is_seed, references

#: Longest chain that is followed.
DEPTH = 64
#: Most files that are looked at beside one that lies in no pool.
NEIGHBOURS = 10000
#: Block drivers of QEMU that reach another machine, whose files can't be of this one.
NETWORK = "http|https|ftp|ftps|nbd|rbd|iscsi|ssh|gluster|nfs|sheepdog|vxhs"
REMOTE = re.compile(rf"({NETWORK})(\+[a-z]+)?:", re.IGNORECASE)
#: Prefixes that QEMU takes off a path.
LOCAL = re.compile(r"(file|host_device|host_cdrom):")
#: A colon before the first slash makes a name something else than a path.
PROTOCOL = re.compile(r"[^/:]*:")
#: Block drivers that add no file to those that their options name as "filename".
DRIVERS = {*NETWORK.split("|"), "file", "host_device", "host_cdrom"}
DRIVERS |= {"raw", "qcow", "qcow2", "qed", "vmdk", "vdi", "vpc", "vhdx", "luks"}

#: Takes the place of a file system in the identity of a block device.
BLOCK = -1

Reference = Tuple[str, Optional[FileIdentity]]
#: The path of a file below, and whether that file's own header counts.
Below = Tuple[str, bool]


class Images:
    """Looks files up; remembers what it read for as long as a file's identity stays the same."""

    def __init__(self) -> None:
        self._known: Dict[Tuple[FileIdentity, str], Tuple[List[Below], str]] = {}

    def image(self, path: str, declared_format: str = "", disk: bool = False) -> Image:
        """A path with its identity and chain. declared_format: what the domain's XML says; raw has no chain.

        disk: a VM has it as a disk, so that it is a matter of doubt when it is not there.
        """
        if not path.startswith("/"):
            return Image(path)  # the name of an image on another machine
        try:
            found = identity(path)
        except OSError as error:
            return Image(path, None, (), str(error))
        if found is None:
            return Image(path, None, (), _absence(path) if disk else "")
        if declared_format == "raw":
            return Image(path, found, raw=True)
        return Image(path, found, *self._chain(path, found))

    def medium(self, image: Image) -> Image:
        """The image of a CD-ROM, with what its label says of it. What can't be read is no medium of a known kind."""
        if image.identity is None or image.identity.device == BLOCK:
            return image
        try:
            with _opened(image.path, image.identity) as stream:
                return replace(image, seed=stream is not None and is_seed(stream))
        except (OSError, ValueError):
            return image

    def beside(self, path: str) -> List[Image]:
        """All images in the directory of a file, but for itself: some of them may be built on it.

        Raises OSError when the directory can't be read, or holds more than NEIGHBOURS files.
        """
        directory = os.path.dirname(path)
        with os.scandir(directory) as listing:
            names = sorted(entry.name for entry in listing if entry.is_file(follow_symlinks=False))
        if len(names) > NEIGHBOURS:
            raise OSError(f"more than {NEIGHBOURS} files in {directory}")
        return [self.image(os.path.join(directory, name)) for name in names if name != os.path.basename(path)]

    def _chain(self, path: str, start: FileIdentity) -> Tuple[Tuple[Reference, ...], str]:
        chain: List[Reference] = []
        todo: List[Tuple[str, FileIdentity]] = [(path, start)]
        seen = {start.file}
        while todo:
            if len(chain) > DEPTH:
                return tuple(chain), f"more than {DEPTH} files"
            current, mark = todo.pop(0)
            below, problem = self._below(current, mark)
            if problem:
                return tuple(chain), f"{current}: {problem}"
            for reference, layered in below:
                try:
                    found = identity(reference)
                except OSError as error:
                    return tuple(chain), str(error)
                chain.append((reference, found))
                if layered and found is not None and found.file not in seen:
                    seen.add(found.file)
                    todo.append((reference, found))
        return tuple(chain), ""

    def _below(self, path: str, mark: FileIdentity) -> Tuple[List[Below], str]:
        """What one image is built on (its backing file, its data file, its extents), or why that can't be told."""
        key = (mark, path)
        if mark.device == BLOCK:  # a device keeps its identity when its content changes
            return _look(path, mark)
        if key not in self._known:
            self._known[key] = _look(path, mark)
        return self._known[key]


def identity(path: str) -> Optional[FileIdentity]:
    """Identity of the file that a path leads to; of a block device, the device's own. None when there is none.

    Raises OSError for a file that may be there and can't be looked at (a dead mount, no permission).
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if stat.S_ISBLK(found.st_mode):
        return FileIdentity(BLOCK, found.st_rdev)
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_nlink)


def _absence(path: str) -> str:
    """Why a missing image can't be believed to be gone: an empty directory is what an unmounted file system leaves."""
    directory = os.path.dirname(path)
    try:
        if os.listdir(directory):
            return ""
    except OSError:
        pass
    return f"{path} is missing, and nothing is in its directory: is its file system mounted?"


def _look(path: str, mark: FileIdentity) -> Tuple[List[Below], str]:
    try:
        with _opened(path, mark) as stream:
            named = references(stream) if stream else []
        return [
            (below, reference.layered)
            for reference in named
            for below in _paths(reference.name, path)
            if os.path.realpath(below) != os.path.realpath(path)
        ], ""
    except (OSError, ValueError) as error:
        return [], str(error)


@contextmanager
def _opened(path: str, mark: FileIdentity) -> Iterator[Optional[BinaryIO]]:
    """The very file of that identity, to read from; None for what is neither a file nor a block device.

    Opening a socket, a pipe or a directory might wait for ever, or do something. Raises OSError and ValueError.
    """
    if not _readable(os.stat(path).st_mode):
        yield None
        return
    with open(path, "rb", opener=_open) as stream:
        found = os.fstat(stream.fileno())
        file = (BLOCK, found.st_rdev) if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)
        if not _readable(found.st_mode) or file != mark.file:
            raise ValueError("it was replaced while it was looked at")
        yield stream


def _readable(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _paths(name: str, image: str) -> List[str]:
    """Paths that a name may mean in an image of this path; none when it means another machine. Raises ValueError."""
    if name.startswith("json:"):
        found = [path for inner in _filenames(name) for path in _paths(inner, image)]
    elif REMOTE.match(name):
        found = []
    elif LOCAL.match(name):
        plain = name.split(":", 1)[1]
        found = [plain]
        if plain.startswith("//"):
            # QEMU takes what follows the colon for a path; libvirt reads a URI
            found = ["/" + plain.lstrip("/"), "/" + unquote(urlsplit(name).path).lstrip("/")]
    elif PROTOCOL.match(name):
        raise ValueError(f"{name[:200]!r} can't be followed")
    else:
        found = [name]
    return [os.path.join(os.path.dirname(image), path) for path in dict.fromkeys(found)]


def _filenames(name: str) -> List[str]:
    """Every file that a json: pseudo-filename names, however deep, in nested objects or in dotted keys."""
    options: List[Tuple[str, Any]] = []

    def collect(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        options.extend((key.rsplit(".", 1)[-1], value) for key, value in pairs)
        return dict(pairs)

    try:
        whole = json.loads(name[len("json:") :], object_pairs_hook=collect)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name[:200]!r} can't be read: {error}") from error
    found = [value for key, value in options if key == "filename"]
    drivers = [value for key, value in options if key == "driver"]
    known = all(isinstance(driver, str) and driver in DRIVERS for driver in drivers)
    files = all(isinstance(value, str) and value and not value.startswith("json:") for value in found)
    remote = any(driver in NETWORK.split("|") for driver in drivers if isinstance(driver, str))
    if not isinstance(whole, dict) or not known or not files or not (found or remote):
        raise ValueError(f"{name[:200]!r} can't be followed")
    return found
