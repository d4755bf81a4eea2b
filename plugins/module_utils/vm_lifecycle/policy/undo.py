# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a removed VM back as it was, and what is left to remove when nobody did."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from ..disks import FileIdentity, Storage, VolumeVerdict
from ..model import Document, Observed, Record
from ..removals import UndoRecord
from ..times import iso
from .disk_rules import plain
from .storage import Usage, key_of, must_keep_nvram, still_unused

#: Reasons to keep a disk that end when its other users are gone.
SHARED = ("in_use", "backing_file", "in_snapshot")


def own_nvram(uuid: str, usage: Usage) -> Tuple[VolumeVerdict, ...]:
    """NVRAM files that would have gone with the VM, as files to remove once the time for an undo is over."""
    if must_keep_nvram(uuid, usage):
        return ()
    return tuple(
        VolumeVerdict(use.image.path, True, "only_user", target="nvram", identity=use.image.identity)
        for use in usage.storage.attachments
        if use.uuid == uuid and use.role == "nvram" and use.image.identity is not None
    )


def leaving_before(records: Iterable[UndoRecord], until: int, existing: FrozenSet[str]) -> FrozenSet[str]:
    """UUIDs of removed VMs whose disks go before until: they don't keep a disk of a VM whose own stay as long as that.

    existing: UUIDs that libvirt has, whose records mean nothing.

    Of two VMs that share a disk and are removed with an undo, the last one takes it along, when nobody uses it then.
    """
    return frozenset(record.uuid for record in records if until and record.until_unix <= until) - existing


def without(storage: Storage, uuids: FrozenSet[str]) -> Storage:
    """A view of storage in which some VMs use nothing, and in which their disks are built on nothing."""
    left = [use for use in storage.attachments if use.uuid not in uuids]
    theirs = {key_of(use.image.path, use.image.identity) for use in storage.attachments if use.uuid in uuids}
    theirs -= {key_of(use.image.path, use.image.identity) for use in left}
    volumes = [
        replace(volume, image=replace(volume.image, chain=()))
        if key_of(volume.image.path, volume.image.identity) in theirs
        else volume
        for volume in storage.volumes
    ]
    return replace(storage, attachments=tuple(left), volumes=tuple(volumes))


def sharers(uuid: str, found: Iterable[VolumeVerdict], usage: Usage) -> Dict[str, List[str]]:
    """Who else uses the disks of a VM that is about to be removed, as UndoRecord.sharers: names are given again, UUIDs tell.

    The VM itself counts where it has a disk in another role, for which that would stay whoever else is gone.
    """
    shared: Dict[str, List[str]] = {}
    for verdict in found:
        keys = usage.keys_now(verdict.path, verdict.identity)
        direct = [use for key in keys for use in usage.direct.get(key, ())]
        above = [upper for key in keys for upper in usage.below.get(key, ())]
        attached = {upper.key for upper in above if upper.uuid}
        users = {use.uuid for use in direct if use.uuid != uuid or not plain(use)}
        users |= {upper.uuid for upper in above if upper.uuid != uuid and (upper.uuid or upper.key not in attached)}
        if users:
            shared[verdict.path] = sorted(users)
    return shared


def shared_with(record: UndoRecord, path: str) -> FrozenSet[str]:
    """UUIDs of those who shared a disk of a removed VM; of a record that says it in another way than ours, nobody."""
    users = record.sharers.get(path) if isinstance(record.sharers, dict) else None
    return frozenset(map(str, users)) if isinstance(users, list) else frozenset()


def earlier_owner(uuid: str, observed: Observed) -> str:
    """What is said of the removed VM that had a VM's UUID before; empty when none had.

    Removing that VM would put its own undo record in the place of the other's, whose disks nobody would know then.
    """
    begun = {intent.uuid for intent in observed.intents if not intent.purge}  # the record is of that very removal
    for record in observed.undo:
        if record.uuid == uuid and uuid not in begun:
            told = f"{record.name}, removed {iso(record.removed_unix)}, had its UUID, and the undo record of that VM would be replaced"
            return f"{told}; a sweep of the whole host drops it first, and says which disks it leaves: vm-lifecycle cleanup"
    return ""


def left_by_us(
    schedules: Mapping[str, Document], records: Mapping[str, Record], undo: Iterable[UndoRecord]
) -> FrozenSet[str]:
    """UUIDs of VMs that this host removed, and that did not come back since: those have a declaration on record again."""
    done = {uuid for uuid, kept in schedules.items() if kept.get("cleanup_status") == "completed"}
    back = {uuid for uuid in done if uuid in records and records[uuid].document}
    return frozenset(done - back) | {record.uuid for record in undo}


def still_own(record: UndoRecord, storage: Storage, removed: FrozenSet[str]) -> Tuple[VolumeVerdict, ...]:
    """The verdicts on a removed VM's disks as they would be carried out now: one that somebody uses by now stays.

    Disks come in the order in which they go. removed: as left_by_us has them. A disk that was kept for them alone goes
    with the last of its users; one that the VM itself has in another role is kept for that.
    """
    gone = removed - {record.uuid}
    left = replace(storage, attachments=tuple(use for use in storage.attachments if use.uuid != record.uuid))
    found: List[VolumeVerdict] = []
    for verdict in record.volumes:
        users = shared_with(record, verdict.path)
        shared = verdict.reason in SHARED and verdict.target and users and users <= gone
        if not verdict.remove and not shared:
            found.append(verdict)
            continue
        reason, used_by = still_unused(verdict, Usage(left))
        found.append(replace(verdict, remove=reason == "only_user", reason=reason, used_by=used_by))
        if found[-1].remove:  # an overlay goes before the file that it is built on
            left = replace(left, volumes=tuple(v for v in left.volumes if v.image.path != verdict.path))
    return tuple(found)


def changed_disks(record: UndoRecord, usage: Usage, removed: FrozenSet[str] = frozenset()) -> List[str]:
    """What is wrong with the disks of a removed VM, in words: each is there, unchanged, and nobody else's by now.

    removed: VMs that have an undo record and nothing else; they use no disk before they come back themselves. A disk that
    others shared when the VM was removed may have changed, and be theirs again; it must be there.
    """
    there: Dict[str, Optional[FileIdentity]] = {}
    for use in usage.storage.attachments:
        there.setdefault(use.image.path, use.image.identity)
    for volume in usage.storage.volumes:
        there[volume.image.path] = volume.image.identity
    found = []
    for verdict in record.volumes:
        before, now = verdict.identity, there.get(verdict.path)
        if before is None:
            continue
        shared = shared_with(record, verdict.path) - {record.uuid}
        if now is None:
            found.append(f"{verdict.path} is missing")
        elif verdict.remove and not _same(before, now, written=bool(shared)):
            found.append(f"{verdict.path} is not the file any more that it was")
        elif verdict.remove:
            others = removed | shared | {record.uuid}
            users = {use.vm for use in usage.direct.get(key_of(verdict.path, now), ()) if use.uuid not in others}
            found += [f"{verdict.path} is used by {user} now" for user in sorted(users)]
    return found


def _same(before: FileIdentity, now: FileIdentity, written: bool) -> bool:
    """Whether it is the very file. written: others may have written to it."""
    if written:
        return (now.serial or now.inode) == (before.serial or before.inode)
    return now.lasting == before.lasting
