# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of JSON files, one for each VM, each durable as a whole: what must survive the loss of the database."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, Generic, Iterable, List, Optional, Protocol, Tuple, TypeVar, Union


class OfVm(Protocol):
    """Something that says whose it is."""

    @property
    def uuid(self) -> str:
        """UUID of the VM."""


Value = TypeVar("Value", bound=OfVm)
Row = TypeVar("Row")

#: Two writes may have one time; a file that was not written for so many seconds gets another one with the next.
QUIET = 2.0
#: What a decoder raises for what it can't understand.
NOT_UNDERSTOOD = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


class JsonFiles(Generic[Value]):
    """<directory>/<uuid>.json (0600 in 0700), each naming that UUID inside, too.

    decode raises ValueError, TypeError or KeyError for what it can't understand.
    """

    def __init__(self, directory: Path, decode: Callable[[Any], Value]) -> None:
        self._directory = directory
        self._decode = decode

    def read(self) -> Dict[str, Value]:
        """What can be understood, by UUID, in the order of the UUIDs."""
        return self.look()[0]

    def look(self) -> Tuple[Dict[str, Value], List[str]]:
        """(what can be understood, paths of the rest), in one look: other runs write and drop files meanwhile."""
        found: Dict[str, Value] = {}
        damaged: List[str] = []
        for path in self._paths():
            try:
                value = self._decode(json.loads(path.read_text("ascii")))
            except FileNotFoundError:
                continue  # dropped since it was listed
            except (OSError, *NOT_UNDERSTOOD):
                damaged.append(str(path))
                continue
            if value.uuid == path.stem:
                found[value.uuid] = value
            else:
                damaged.append(str(path))
        return found, damaged

    def damaged(self) -> List[str]:
        """Paths of the files that can't be read or understood."""
        return self.look()[1]

    def write(self, uuid: str, value: Any) -> None:
        """Replace the file: it holds either the old text or the new one, whenever the power goes."""
        make_directory(self._directory)
        self._drop_unfinished(uuid)
        write_durably(self._directory / f"{uuid}.json", json.dumps(value))

    def drop(self, uuid: str) -> None:
        """Remove the file, if there is one, and what a run left that was killed while it wrote: it may hold secrets."""
        self._drop_unfinished(uuid)
        path = self._directory / f"{uuid}.json"
        if path.exists():
            path.unlink()
            sync_directory(self._directory)

    def _drop_unfinished(self, uuid: str) -> None:
        """One VM's alone, which its claim keeps to one run: other VMs' files are being written at this moment."""
        for left in self._directory.glob(f".{uuid}.json.*"):
            left.unlink()

    def _paths(self) -> List[Path]:
        """A directory that can't be listed is an error and not an empty one."""
        try:
            names = os.listdir(self._directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self._directory / name for name in sorted(names) if name.endswith(".json")]


def decoded(rows: Iterable[Tuple[str, str]], decode: Callable[[Any], Row]) -> Dict[str, Row]:
    """What can be decoded. A row that can't counts as unknown, which keeps its VM: one of them must not stop a host."""
    found: Dict[str, Row] = {}
    for key, text in rows:
        try:
            found[key] = decode(json.loads(text))
        except NOT_UNDERSTOOD:
            continue
    return found


def make_directory(directory: Path) -> None:
    """A directory (0700) whose own name is durable too: a file in it is no safer than that."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(directory.parent)


def write_durably(path: Path, text: str) -> None:
    """The file holds either the old text or the new one, whenever the power goes."""
    import tempfile  # reading needs none of it

    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(paths: Iterable[Union[str, Path]]) -> Optional[Tuple[object, ...]]:
    """What tells that none of the files was written since; None within QUIET seconds of a write, which another may follow unseen."""
    found: List[object] = []
    for path in paths:
        try:
            seen = os.stat(path)
        except OSError:
            found.append(None)
            continue
        if abs(time.time() - seen.st_mtime) < QUIET:
            return None
        found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)
