# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses which file of a host: one view of its storage, turned so that it can be asked for each disk."""

from __future__ import annotations

import posixpath
from typing import Dict, List, NamedTuple, Optional, Set

from ..disks import Attachment, FileIdentity, Image, Storage, Volume
from .disk_rules import BESIDE, UNPOOLED, Key, key_of, rank


class Upper(NamedTuple):
    """An image that is built on another one: who has it (uuid "" for a volume by itself), and which it is."""

    uuid: str
    name: str
    key: Key


class Usage:
    """Who uses which file: built once for a view of the host's storage, asked for each disk."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.direct: Dict[Key, List[Attachment]] = {}
        self.below: Dict[Key, Set[Upper]] = {}
        self.volumes: Dict[Key, Volume] = {}
        self.unreadable: List[str] = []
        #: Directories outside pools in which something can't be read: no file of theirs is known to be unused.
        self.unsure: Set[str] = set()
        self._keys: Dict[object, Set[Key]] = {}
        for volume in sorted(storage.volumes, key=rank):
            self.volumes.setdefault(image_key(volume.image), volume)
            self._add_volume(volume)
        for attachment in storage.attachments:
            self.direct.setdefault(image_key(attachment.image), []).append(attachment)
            self._add_chain(attachment.image, attachment.uuid, attachment.vm)

    def _add_volume(self, volume: Volume) -> None:
        if volume.pool_type == BESIDE and volume.image.chain_error:
            self.unsure.add(posixpath.dirname(volume.image.path))
        elif volume.pool_type != UNPOOLED:  # its attachment has the same chain
            self._add_chain(volume.image, "", volume.name)

    def _add_chain(self, image: Image, uuid: str, name: str) -> None:
        own = image_key(image)
        self._learn(image.path, image.identity, own)
        for path, identity in image.chain:
            key = key_of(path, identity)
            self._learn(path, identity, key)
            self.below.setdefault(key, set()).add(Upper(uuid, name, own))
        if image.chain_error:
            self.unreadable.append(image.path)

    def _learn(self, path: str, identity: Optional[FileIdentity], key: Key) -> None:
        self._keys.setdefault(path, set()).add(key)
        if identity is not None:
            self._keys.setdefault(identity.lasting, set()).add(key)

    def keys_now(self, path: str, judged_as: Optional[FileIdentity]) -> Set[Key]:
        """Under which keys a file that was judged earlier may be used now: devices have other numbers after a reboot."""
        lasting = self._keys.get(judged_as.lasting, set()) if judged_as else set()
        return {key_of(path, judged_as)} | self._keys.get(path, set()) | lasting


def image_key(image: Image) -> Key:
    """The key under which an image is known."""
    return key_of(image.path, image.identity)
