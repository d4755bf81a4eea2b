# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks go with a VM. Every rule must agree; doubt keeps a disk, with the reason (virt-manager's rules, and ours)."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Dict, Iterable, List, Optional, Set, Tuple

from ..disks import Attachment, Image, Volume, VolumeVerdict
from .disk_rules import UNPOOLED, Key, judged, key_of, own_reason, plain
from .usage import Upper, Usage
from .usage import image_key as _key

__all__ = [
    "DOUBTS",
    "NVRAM_DIRECTORY",
    "Usage",
    "doubtful",
    "key_of",
    "must_keep_nvram",
    "narrowed",
    "obstacles",
    "still_unused",
    "unjudged",
    "verdicts",
]


def verdicts(uuid: str, usage: Usage, unpooled: bool = False) -> Tuple[VolumeVerdict, ...]:
    """A verdict for every disk of a VM, and for every file that those disks are built on.

    Disks that go come in the order in which they can be deleted: an overlay before the file that it is built on.
    unpooled: whether plain files of no pool may go.
    """
    own = [attachment for attachment in usage.storage.attachments if attachment.uuid == uuid]
    found: Dict[Key, VolumeVerdict] = {}
    for attachment in sorted(filter(judged, own), key=lambda use: use.role == "snapshot"):
        verdict = _verdict(uuid, attachment, usage, unpooled)
        known = found.get(_key(attachment.image))
        if known is None or (known.remove and not verdict.remove):
            found[_key(attachment.image)] = verdict
    turns = _turns(found, usage, {_key(use.image) for use in own if use.role == "snapshot" and judged(use)})
    for key, verdict in found.items():
        if verdict.remove and key not in turns:
            found[key] = replace(verdict, remove=False, reason="backing_file", used_by=_above(uuid, key, usage))
        elif verdict.remove and _doubt(usage):
            found[key] = replace(verdict, remove=False, reason=_doubt(usage))
    _add_lower(uuid, own, usage, found)
    order = sorted(found.items(), key=lambda item: (turns.get(item[0], 0), item[1].target, item[1].path))
    return tuple(verdict for _key_of_it, verdict in order)


def _turns(found: Dict[Key, VolumeVerdict], usage: Usage, in_snapshots: Set[Key]) -> Dict[Key, int]:
    """Of the files that nothing else keeps, those that nothing needs that stays, each with its turn to be deleted.

    A file that others are built on goes only after all of them, and only where an external snapshot of the VM itself
    made them out of each other. What is built on itself in a circle never has a turn.
    """
    turns: Dict[Key, int] = {}
    waiting = [key for key, verdict in found.items() if verdict.remove]
    for turn in range(len(waiting)):
        ready = [
            key
            for key in waiting
            if key not in turns
            and all(
                upper.key in turns and (key in in_snapshots or upper.key in in_snapshots)
                for upper in usage.below.get(key, ())
            )
        ]
        if not ready:
            break
        turns.update(dict.fromkeys(ready, turn))
    return turns


def _add_lower(uuid: str, own: List[Attachment], usage: Usage, found: Dict[Key, VolumeVerdict]) -> None:
    """Files that libvirt names nowhere and that the VM's images are built on: templates, which stay."""
    own_volumes = {usage.volumes[_key(use.image)].name for use in own if _key(use.image) in usage.volumes}
    for attachment in own:
        for path, identity in attachment.image.chain:
            key = key_of(path, identity)
            if key in found:
                continue
            users = _built_on(usage.below.get(key, ())) | _direct_users(key, usage)
            used_by = _others(uuid, users - {("", name) for name in own_volumes})
            place = _place(usage.volumes.get(key))
            found[key] = VolumeVerdict(path, False, "backing_file", *place, used_by=used_by, identity=identity)


def _verdict(uuid: str, attachment: Attachment, usage: Usage, unpooled: bool) -> VolumeVerdict:
    volume = usage.volumes.get(_key(attachment.image))
    reason, used_by = _reason(uuid, attachment, volume, usage, unpooled)
    identity = attachment.image.identity
    if identity and volume and volume.image.identity and volume.image.identity.serial:
        identity = replace(identity, serial=volume.image.identity.serial)
    return VolumeVerdict(
        volume.image.path if volume else attachment.image.path,
        reason == "only_user",
        reason,
        *_place(volume),
        target=attachment.target,
        used_by=used_by,
        identity=identity,
        raw=attachment.image.raw or (volume is not None and volume.image.raw),
    )


def _reason(
    uuid: str, attachment: Attachment, volume: Optional[Volume], usage: Usage, unpooled: bool
) -> Tuple[str, Tuple[str, ...]]:
    """The first rule that keeps the disk, or only_user. What is built on it is judged afterwards, all disks together."""
    own = own_reason(attachment, volume, unpooled)
    if own in ("not_in_pool", "missing") and usage.storage.problems:
        return "storage_problem", ()  # it may be in what could not be looked at
    if own:
        return own if attachment.role != "cdrom" or own in DOUBTS else "removable_medium", ()
    path = volume.image.path if volume else attachment.image.path
    if volume and volume.pool_type == UNPOOLED and posixpath.dirname(path) in usage.unsure:
        return "not_in_pool", ()
    reason, used_by = _other_use(uuid, attachment, path, usage)
    if attachment.role == "cdrom" and (reason or usage.below.get(_key(attachment.image))):
        return "removable_medium", ()
    return reason or "only_user", used_by


def _other_use(uuid: str, attachment: Attachment, path: str, usage: Usage) -> Tuple[str, Tuple[str, ...]]:
    """Why somebody else, or the VM itself in another role, needs the file; empty when nobody does."""
    uses = usage.direct.get(_key(attachment.image), ())
    users = {use.vm for use in uses if use.uuid != uuid}
    snapshots = {use.vm for use in uses if use.uuid != uuid and use.role == "snapshot"}
    if snapshots:
        return "in_snapshot", tuple(sorted(snapshots))
    if users:
        return "in_use", tuple(sorted(users))
    sharing = _sharing(uuid, path, usage)
    if sharing:
        return "in_shared_directory", sharing
    ordinary = [use.role in ("cdrom", "snapshot") if attachment.role == "cdrom" else plain(use) for use in uses]
    return ("", ()) if all(ordinary) else ("in_use", (attachment.vm,))


def _doubt(usage: Usage) -> str:
    """Why nothing on the host can be said to be unused; empty when all of it could be read."""
    return "chain_unreadable" if usage.unreadable else "storage_problem" if usage.storage.problems else ""


def _sharing(uuid: str, path: str, usage: Usage) -> Tuple[str, ...]:
    """Other VMs that are given a directory above a file, as a file system or as a disk that QEMU makes of it."""
    shares = (
        use for use in usage.storage.attachments if (use.role == "share" or use.kind == "dir") and use.uuid != uuid
    )
    return tuple(sorted({use.vm for use in shares if path.startswith(use.image.path.rstrip("/") + "/")}))


def _place(volume: Optional[Volume]) -> Tuple[str, str]:
    return (volume.pool, volume.name) if volume and volume.pool else ("", "")


def _direct_users(key: Key, usage: Usage) -> Set[Tuple[str, str]]:
    return {(use.uuid, use.vm) for use in usage.direct.get(key, ())}


def _above(uuid: str, key: Key, usage: Usage) -> Tuple[str, ...]:
    return _others(uuid, _built_on(usage.below.get(key, ())))


def _built_on(uppers: Iterable[Upper]) -> Set[Tuple[str, str]]:
    """Who has the images above a file: VMs, and by its own name only a volume that no VM has."""
    attached = {upper.key for upper in uppers if upper.uuid}
    return {(upper.uuid, upper.name) for upper in uppers if upper.uuid or upper.key not in attached}


def _others(uuid: str, users: Set[Tuple[str, str]]) -> Tuple[str, ...]:
    return _names({user for user in users if user[0] != uuid})


def _names(users: Set[Tuple[str, str]]) -> Tuple[str, ...]:
    return tuple(sorted({name for _uuid, name in users}))


def narrowed(planned: Tuple[VolumeVerdict, ...], fresh: Tuple[VolumeVerdict, ...]) -> Tuple[VolumeVerdict, ...]:
    """Verdicts of the last look, of which a removal stands only if the plan had it for the very same file.

    A disk that was to go and that the VM does not have any more stays, and is spoken of: nobody else may know of it.
    """
    earlier = {_name_of(verdict): verdict for verdict in planned if verdict.identity}
    seen = {verdict.path for verdict in fresh}
    lost = [verdict for verdict in planned if verdict.remove and verdict.path not in seen]
    return (
        *(_agreed(earlier.get(_name_of(verdict)) if verdict.identity else None, verdict) for verdict in fresh),
        *(replace(verdict, remove=False, reason="identity_changed") for verdict in lost),
    )


def _name_of(verdict: VolumeVerdict) -> Tuple[object, ...]:
    """Place and file, without what a guest changes by writing (size, ctime) and a reboot (the device's number)."""
    identity = verdict.identity
    file = (identity.serial or identity.inode) if identity else None
    return (verdict.pool, verdict.name, verdict.path, file)


def _agreed(planned: Optional[VolumeVerdict], fresh: VolumeVerdict) -> VolumeVerdict:
    if not fresh.remove or (planned is not None and planned.remove):
        return fresh
    if planned is None:
        return replace(fresh, remove=False, reason="identity_changed")
    return replace(planned, identity=fresh.identity)  # kept in the plan for a reason of its own, which stands


def still_unused(verdict: VolumeVerdict, usage: Usage) -> Tuple[str, Tuple[str, ...]]:
    """Last look after the VM is undefined: ("only_user", ()) when nothing refers to the file now, else why to keep it."""
    keys = usage.keys_now(verdict.path, verdict.identity)
    if verdict.pool:
        place = (verdict.pool, verdict.name)
        found = next((volume for volume in usage.storage.volumes if (volume.pool, volume.name) == place), None)
        reason = _not_there(verdict, found, usage)
        if found is None or reason:
            return reason, ()
    users = {user for key in keys for user in _direct_users(key, usage)}
    if users:
        return "in_use", _names(users)
    sharing = _sharing("", verdict.path, usage)
    if sharing:
        return "in_shared_directory", sharing
    above = _built_on([upper for key in keys for upper in usage.below.get(key, ())])
    if above:
        return "backing_file", _names(above)
    return _doubt(usage) or "only_user", ()


def _not_there(verdict: VolumeVerdict, found: Optional[Volume], usage: Usage) -> str:
    """Why a volume is not the one that was judged, empty when it is. Without its pool nobody knows whether it is gone."""
    if found is None and usage.storage.problems:
        return "storage_problem"
    if found is None and verdict.pool in usage.storage.inactive_pools:
        return "pool_inactive"
    if found is None:
        return "already_gone" if verdict.pool in usage.storage.pools else "not_in_pool"
    now, judged_as = found.image.identity, verdict.identity
    return "" if now is not None and judged_as is not None and now.lasting == judged_as.lasting else "identity_changed"


#: Where libvirt itself puts NVRAM files. A file elsewhere may be anything, a firmware's own template for one.
NVRAM_DIRECTORY = "/var/lib/libvirt/qemu/nvram/"
#: Reasons that speak of the host and not of the disk: a VM waits until they are gone, or nobody would know its disks.
DOUBTS = ("chain_unreadable", "storage_problem", "pool_inactive")


def doubtful(found: Tuple[VolumeVerdict, ...]) -> str:
    """The first reason for which disks could not be judged, empty when all of them could."""
    return next((verdict.reason for verdict in found if verdict.reason in DOUBTS), "")


def unjudged(found: Tuple[VolumeVerdict, ...], usage: Usage) -> str:
    """As doubtful, of all verdicts on a VM that exists: one that nothing could be read of has none at all."""
    return doubtful(found) or ("storage_problem" if not found and usage.storage.problems else "")


def must_keep_nvram(uuid: str, usage: Usage) -> bool:
    """Whether undefining has to leave a VM's NVRAM: unless each file of it is libvirt's own and this VM's alone."""
    own = [use.image for use in usage.storage.attachments if use.uuid == uuid and use.role == "nvram"]
    if own and _doubt(usage):
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
