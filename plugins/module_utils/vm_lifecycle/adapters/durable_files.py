# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of JSON files, one for each VM, each durable as a whole: what must survive the loss of the database."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Generic, Iterable, List, Protocol, Tuple, TypeVar


class OfVm(Protocol):
    """Something that says whose it is."""

    @property
    def uuid(self) -> str:
        """UUID of the VM."""


Value = TypeVar("Value", bound=OfVm)
Row = TypeVar("Row")


class JsonFiles(Generic[Value]):
    """<directory>/<uuid>.json (0600 in 0700), each naming that UUID inside, too.

    decode raises ValueError, TypeError or KeyError for what it can't understand.
    """

    def __init__(self, directory: Path, decode: Callable[[Any], Value]) -> None:
        self._directory = directory
        self._decode = decode

    def read(self) -> Dict[str, Value]:
        """What can be understood, by UUID, in the order of the UUIDs."""
        rows = [(path.stem, path.read_text("utf-8", "replace")) for path in self._paths()]
        return {uuid: value for uuid, value in decoded(rows, self._decode).items() if value.uuid == uuid}

    def damaged(self) -> List[str]:
        """Paths of the files that can't be understood."""
        sound = self.read()
        return [str(path) for path in self._paths() if path.stem not in sound]

    def write(self, uuid: str, value: Any) -> None:
        """Replace the file: it holds either the old text or the new one, whenever the power goes."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._directory.glob(f".{uuid}.json.*"):  # by a run that was killed while it wrote
            left.unlink()
        write_durably(self._directory / f"{uuid}.json", json.dumps(value))

    def drop(self, uuid: str) -> None:
        """Remove the file, if there is one."""
        path = self._directory / f"{uuid}.json"
        if path.exists():
            path.unlink()
            sync_directory(self._directory)

    def _paths(self) -> List[Path]:
        return sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []


def decoded(rows: Iterable[Tuple[str, str]], decode: Callable[[Any], Row]) -> Dict[str, Row]:
    """What can be decoded. A row that can't counts as unknown, which keeps its VM: one of them must not stop a host."""
    found: Dict[str, Row] = {}
    for key, text in rows:
        try:
            found[key] = decode(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            continue
    return found


def write_durably(path: Path, text: str) -> None:
    """The file holds either the old text or the new one, whenever the power goes."""
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
