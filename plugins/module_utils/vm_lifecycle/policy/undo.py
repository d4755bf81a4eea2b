# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a removed VM back as it was, and what is left to remove when nobody did."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, FrozenSet, Iterable, List, Optional, Tuple

from ..disks import FileIdentity, Storage, VolumeVerdict
from ..removals import UndoRecord
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


def still_own(record: UndoRecord, storage: Storage, removed: FrozenSet[str]) -> Tuple[VolumeVerdict, ...]:
    """The verdicts on a removed VM's disks as they would be carried out now: one that somebody uses by now stays.

    Disks come in the order in which they go. removed: names of VMs that this host removed. A disk that was kept for
    them alone goes with the last of its users.
    """
    left = replace(storage, attachments=tuple(use for use in storage.attachments if use.uuid != record.uuid))
    found: List[VolumeVerdict] = []
    for verdict in record.volumes:
        shared = verdict.reason in SHARED and verdict.target and verdict.used_by and set(verdict.used_by) <= removed
        if not verdict.remove and not shared:
            found.append(verdict)
            continue
        reason, used_by = still_unused(verdict, Usage(left))
        found.append(replace(verdict, remove=reason == "only_user", reason=reason, used_by=used_by))
        if found[-1].remove:  # an overlay goes before the file that it is built on
            left = replace(left, volumes=tuple(v for v in left.volumes if v.image.path != verdict.path))
    return tuple(found)


def changed_disks(record: UndoRecord, usage: Usage) -> List[str]:
    """What is wrong with the disks of a removed VM, in words: each is there, unchanged, and nobody else's by now.

    A disk that others share may have changed; it must be there.
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
        if now is None:
            found.append(f"{verdict.path} is missing")
        elif verdict.remove and now.lasting != before.lasting:
            found.append(f"{verdict.path} is not the file any more that it was")
        elif verdict.remove:
            users = {use.vm for use in usage.direct.get(key_of(verdict.path, now), ()) if use.uuid != record.uuid}
            found += [f"{verdict.path} is used by {user} now" for user in sorted(users)]
    return found
