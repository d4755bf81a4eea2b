# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks go with a VM. Every rule must agree; doubt keeps a disk, with the reason (virt-manager's rules, and ours)."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Set, Tuple

from ..model import Attachment, FileIdentity, Image, Storage, Volume, VolumeVerdict

#: How a file is known: by device and inode where it exists, else by its path.
Key = Tuple[object, ...]


def key_of(path: str, identity: Optional[FileIdentity]) -> Key:
    """Two references mean the same file exactly when their keys are equal, whatever path, link or mount they use."""
    return ("file", *identity.file) if identity else ("path", path)


class Usage:
    """Who uses which file: built once for a view of the host's storage, asked for each disk."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.direct: Dict[Key, List[Attachment]] = {}
        self.below: Dict[Key, Set[Tuple[str, str]]] = {}
        self.volumes: Dict[Key, Volume] = {}
        self.unreadable: List[str] = []
        for volume in sorted(storage.volumes, key=_rank):
            self.volumes.setdefault(_key(volume.image), volume)
            self._add_chain(volume.image, ("", volume.name))
        for attachment in storage.attachments:
            self.direct.setdefault(_key(attachment.image), []).append(attachment)
            self._add_chain(attachment.image, (attachment.uuid, attachment.vm))

    def _add_chain(self, image: Image, user: Tuple[str, str]) -> None:
        for path, identity in image.chain:
            self.below.setdefault(key_of(path, identity), set()).add(user)
        if image.chain_error:
            self.unreadable.append(image.path)


def verdicts(uuid: str, usage: Usage) -> Tuple[VolumeVerdict, ...]:
    """A verdict for every disk of a VM, and for every file that those disks are built on."""
    found: Dict[Key, VolumeVerdict] = {}
    own = [attachment for attachment in usage.storage.attachments if attachment.uuid == uuid]
    own_volumes = {usage.volumes[_key(use.image)].name for use in own if _key(use.image) in usage.volumes}
    for attachment in own:
        if attachment.role in ("disk", "cdrom", "floppy"):
            verdict = _verdict(uuid, attachment, usage)
            known = found.get(_key(attachment.image))
            if known is None or known.remove:
                found[_key(attachment.image)] = verdict
    for attachment in own:
        for path, identity in attachment.image.chain:
            key = key_of(path, identity)
            if key not in found or found[key].remove:
                users = usage.below.get(key, set()) | _direct_users(key, usage)
                used_by = _others(uuid, users - {("", name) for name in own_volumes})
                volume = usage.volumes.get(key)
                found[key] = VolumeVerdict(
                    path, False, "backing_file", *_place(volume), used_by=used_by, identity=identity
                )
    return tuple(sorted(found.values(), key=lambda verdict: (verdict.target, verdict.path)))


def _verdict(uuid: str, attachment: Attachment, usage: Usage) -> VolumeVerdict:
    key = _key(attachment.image)
    volume = usage.volumes.get(key)
    reason, used_by = _reason(uuid, attachment, volume, usage)
    place = _place(volume)
    return VolumeVerdict(
        path=volume.image.path if volume else attachment.image.path,
        remove=reason == "only_user",
        reason=reason,
        pool=place[0],
        name=place[1],
        target=attachment.target,
        used_by=used_by,
        identity=attachment.image.identity,
    )


def _reason(uuid: str, attachment: Attachment, volume: Optional[Volume], usage: Usage) -> Tuple[str, Tuple[str, ...]]:
    """The first rule that keeps the disk, or only_user."""
    key = _key(attachment.image)
    own = _own_reason(attachment, volume)
    if own in ("not_in_pool", "missing") and usage.storage.problems:
        return "storage_problem", ()  # it may be in what could not be looked at
    if own:
        return own, ()
    users = [use for use in usage.direct.get(key, ()) if use.uuid != uuid]
    snapshots = tuple(
        sorted({use.vm for use in usage.direct.get(key, ()) if use.role == "snapshot" and use.uuid != uuid})
    )
    if snapshots:
        return "in_snapshot", snapshots
    if users:
        return "in_use", tuple(sorted({use.vm for use in users}))
    sharing = _sharing(uuid, volume, usage)
    if sharing:
        return "in_shared_directory", sharing
    if any(use.role not in ("disk", "snapshot") or use.shareable or use.read_only for use in usage.direct.get(key, ())):
        return "in_use", (attachment.vm,)
    if key in usage.below:
        return "backing_file", _others(uuid, usage.below[key])
    if usage.unreadable:
        return "chain_unreadable", ()
    if usage.storage.problems:
        return "storage_problem", ()
    return "only_user", ()


def _sharing(uuid: str, volume: Optional[Volume], usage: Usage) -> Tuple[str, ...]:
    """Other VMs that are given a directory above a volume."""
    path = volume.image.path if volume else ""
    shares = (use for use in usage.storage.attachments if use.role == "share" and use.uuid != uuid)
    return tuple(sorted({use.vm for use in shares if path.startswith(use.image.path.rstrip("/") + "/")}))


def _own_reason(attachment: Attachment, volume: Optional[Volume]) -> str:
    """What the attachment and the volume say by themselves; empty when nothing speaks for keeping."""
    identity = attachment.image.identity
    if attachment.role in ("cdrom", "floppy"):
        return "removable_medium"
    if attachment.read_only:
        return "read_only"
    if attachment.shareable:
        return "shareable"
    if attachment.kind not in ("file", "volume"):
        return "not_supported_yet"
    if identity is None:
        return "chain_unreadable" if attachment.image.chain_error else "missing"
    if volume is None:
        return "not_in_pool"
    if volume.pool_type == "inactive":
        return "pool_inactive"
    if volume.pool_type == "folder":
        return "not_in_pool"
    if volume.pool_type != "dir":
        return "not_supported_yet"
    if volume.symlink:
        return "symlink"
    return "hard_linked" if identity.links != 1 else ""


def _rank(volume: Volume) -> Tuple[bool, bool, bool]:
    """Several pools may show one file: the one that may delete it counts first, the one in which it is nothing last."""
    return volume.pool_type == "folder", volume.pool_type != "dir", volume.symlink


def _key(image: Image) -> Key:
    return key_of(image.path, image.identity)


def _place(volume: Optional[Volume]) -> Tuple[str, str]:
    return (volume.pool, volume.name) if volume else ("", "")


def _direct_users(key: Key, usage: Usage) -> Set[Tuple[str, str]]:
    return {(use.uuid, use.vm) for use in usage.direct.get(key, ())}


def _others(uuid: str, users: Set[Tuple[str, str]]) -> Tuple[str, ...]:
    return _names({user for user in users if user[0] != uuid})


def _names(users: Set[Tuple[str, str]]) -> Tuple[str, ...]:
    return tuple(sorted({name for _uuid, name in users}))


def narrowed(planned: Tuple[VolumeVerdict, ...], fresh: Tuple[VolumeVerdict, ...]) -> Tuple[VolumeVerdict, ...]:
    """Verdicts of the last look, of which a removal stands only if the plan had it for the very same file."""
    earlier = {verdict.identity.file: verdict for verdict in planned if verdict.identity}
    return tuple(
        _agreed(earlier.get(verdict.identity.file) if verdict.identity else None, verdict) for verdict in fresh
    )


def _agreed(planned: Optional[VolumeVerdict], fresh: VolumeVerdict) -> VolumeVerdict:
    if not fresh.remove or (planned is not None and planned.remove):
        return fresh
    if planned is None:
        return replace(fresh, remove=False, reason="identity_changed")
    return replace(planned, identity=fresh.identity)  # kept in the plan for a reason of its own, which stands


def still_unused(verdict: VolumeVerdict, usage: Usage) -> Tuple[str, Tuple[str, ...]]:
    """Last look after the VM is undefined: ("only_user", ()) when nothing refers to the file now, else why to keep it."""
    identity = verdict.identity
    key = key_of(verdict.path, identity)
    at_place = next((v for v in usage.storage.volumes if (v.pool, v.name) == (verdict.pool, verdict.name)), None)
    if at_place is None and usage.storage.problems:
        return "storage_problem", ()
    if at_place is None:
        if verdict.pool in usage.storage.inactive_pools:
            return "pool_inactive", ()
        return ("already_gone" if verdict.pool in usage.storage.pools else "not_in_pool"), ()
    if at_place.image.identity != identity:
        return "identity_changed", ()
    users = _direct_users(key, usage)
    if users:
        return "in_use", _names(users)
    sharing = _sharing("", at_place, usage)
    if sharing:
        return "in_shared_directory", sharing
    if key in usage.below:
        return "backing_file", _names(usage.below[key])
    if usage.unreadable:
        return "chain_unreadable", ()
    return ("storage_problem" if usage.storage.problems else "only_user"), ()


#: Where libvirt itself puts NVRAM files. A file elsewhere may be anything, a firmware's own template for one.
NVRAM_DIRECTORY = "/var/lib/libvirt/qemu/nvram/"
#: Reasons that speak of the host and not of the disk: a VM waits until they are gone, or nobody would know its disks.
DOUBTS = ("chain_unreadable", "storage_problem", "pool_inactive")


def doubtful(judged: Tuple[VolumeVerdict, ...]) -> str:
    """The first reason for which disks could not be judged, empty when all of them could."""
    return next((verdict.reason for verdict in judged if verdict.reason in DOUBTS), "")


def must_keep_nvram(uuid: str, usage: Usage) -> bool:
    """Whether undefining has to leave a VM's NVRAM: unless each file of it is libvirt's own and this VM's alone."""
    own = [use.image for use in usage.storage.attachments if use.uuid == uuid and use.role == "nvram"]
    if own and (usage.unreadable or usage.storage.problems):
        return True
    return any(_is_not_own_nvram(uuid, image, usage) for image in own)


def _is_not_own_nvram(uuid: str, image: Image, usage: Usage) -> bool:
    if not image.path.startswith(NVRAM_DIRECTORY) or ".." in image.path or _key(image) in usage.below:
        return True
    if image.identity is not None and image.identity.links != 1:
        return True
    users = usage.direct.get(_key(image), ())
    return any(use.uuid != uuid or use.role not in ("nvram", "snapshot") for use in users)


def obstacles(usage: Usage) -> Tuple[str, ...]:
    """What keeps every disk of the host, in words: images and pools that could not be read."""
    images = [f"the backing chain of {path} can't be read" for path in sorted(set(usage.unreadable))]
    return tuple(f"{problem}: no disk is removed" for problem in (*images, *usage.storage.problems))
