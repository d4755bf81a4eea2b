# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order VMs go that use each other's disks: the last user of a disk takes it along, so that none is left behind."""

from __future__ import annotations

from typing import FrozenSet, Mapping, Sequence, Set


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
