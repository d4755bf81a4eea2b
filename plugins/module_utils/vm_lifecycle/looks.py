# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a host's storage together with the VMs that were removed and can be brought back."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List

from .disks import Storage, VolumeVerdict
from .errors import EffectError
from .ports import World
from .removals import UndoRecord

#: Looks that are tried while other runs remove VMs.
TRIES = 5


def storage(world: World, but: str = "") -> Storage:
    """Everything that uses a file. but: UUID of a removed VM that does not count, since its own disks are in question.

    A VM that another run undefines during the look is in its undo record by then, or in the record of its removal: these
    come first. One that appears and that the look did not meet as a domain asks for another look. Raises EffectError.
    """
    removed, leaving = _removed(world, but), _leaving(world)
    for _attempt in range(TRIES):
        seen = world.hypervisor.storage(removed, [disk for disks in leaving.values() for disk in disks])
        known, met = leaving, {use.uuid for use in seen.attachments} | {record.uuid for record in removed}
        removed, leaving = _removed(world, but), _leaving(world)
        told = all(uuid in met or disks == known.get(uuid) for uuid, disks in leaving.items())
        if told and all(record.uuid in met for record in removed if record.volumes):
            # what can't be understood of the store may be all that speaks for a disk
            return replace(seen, problems=(*seen.problems, *world.store.damage()))
    raise EffectError("storage_unreadable", "VMs are removed faster than their storage can be looked at")


def _removed(world: World, but: str) -> List[UndoRecord]:
    return [record for record in world.store.undo_records() if record.uuid != but]


def _leaving(world: World) -> Dict[str, List[VolumeVerdict]]:
    """Raw disks of removals that are under way, by UUID: what their guests wrote into them is no header, whoever still has them."""
    found = {intent.uuid: [disk for disk in intent.volumes if disk.raw] for intent in world.store.intents()}
    return {uuid: disks for uuid, disks in found.items() if disks}
