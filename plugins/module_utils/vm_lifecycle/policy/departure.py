# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order VMs go that use each other's disks: the last user of a disk takes it along, so that none is left behind."""

from __future__ import annotations

from typing import AbstractSet, FrozenSet, Iterable, Mapping, Sequence, Set, Tuple

from ..disks import VolumeVerdict
from ..removals import Intent


def waiting(used: Mapping[str, Sequence[FrozenSet[str]]]) -> Set[str]:
    """VMs that let others go first. used: for each VM that is due, the other users of each disk that they make it keep.

    A disk that somebody who stays uses is no reason to wait. Of VMs that use each other's disks the first by name goes first;
    and when all would wait for each other, nobody does.
    """
    waits = set()
    for name, disks in used.items():
        for users in disks:
            if users and users <= set(used) - {name} and (min(users) < name or not _uses_back(name, users, used)):
                waits.add(name)
    return waits if waits != set(used) else set()


def _uses_back(name: str, users: FrozenSet[str], used: Mapping[str, Sequence[FrozenSet[str]]]) -> bool:
    """Whether the named VM uses a disk of one of those that use one of its own."""
    return any(name in others for user in users for others in used[user])


def freed(name: str, agreed: Sequence[VolumeVerdict], fresh: Sequence[VolumeVerdict]) -> Sequence[VolumeVerdict]:
    """Disks that the plan leaves to other VMs, and that nobody uses any more: those VMs went meanwhile, and left them, too.

    agreed: what becomes of the disks, beginning with one for each of fresh, which is what the last look alone would say.
    """
    return [then for then, now in zip(agreed, fresh) if now.remove and not then.remove and _others(name, then)]


def left_to(
    name: str, fresh: Sequence[VolumeVerdict], leaving: AbstractSet[str]
) -> Sequence[Tuple[VolumeVerdict, str]]:
    """Disks that stay for VMs which are all on their way out themselves, each with the first of those.

    leaving: names of VMs whose removal, by another run or another thread, has begun and goes on, and of volumes that go.
    """
    return [(verdict, min(others)) for verdict, others in shared(name, fresh) if others <= leaving]


def shared(name: str, found: Sequence[VolumeVerdict]) -> Sequence[Tuple[VolumeVerdict, FrozenSet[str]]]:
    """Disks of a VM's own that stay for others, each with the names of those."""
    kept = [(verdict, _others(name, verdict)) for verdict in found if verdict.target and not verdict.remove]
    return [(verdict, others) for verdict, others in kept if others]


def yet_to_go(intents: Iterable[Intent]) -> Set[str]:
    """Names of the volumes that removals, interrupted or not, have yet to delete: their VMs may be gone before."""
    armed = [intent for intent in intents if intent.armed and not intent.undo_until]
    return {verdict.name for intent in armed for verdict in intent.volumes if verdict.remove}


def _others(name: str, verdict: VolumeVerdict) -> FrozenSet[str]:
    return frozenset(verdict.used_by) - {name}
