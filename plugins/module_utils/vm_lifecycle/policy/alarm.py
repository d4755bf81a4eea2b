# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses that no single VM shows: metadata that went away on many VMs at once, storage pools that are not there any more.

Either may be somebody's mistake, or a disk that was not mounted; a sweep that trusts what is left would do harm.
"""

from __future__ import annotations

from typing import Dict, Iterable, Mapping, Sequence, Tuple

#: Domains whose metadata must have gone before it counts as a loss, and their share of those that the store knows.
LOST_FROM, LOST_SHARE = 3, 0.25
#: Seconds after which a pool that is missed counts as gone for good.
POOL_LIFE = 24 * 3600
#: What reading metadata says when it is not there, or is no document of ours.
GONE = ("not_managed", "metadata_not_json", "metadata_invalid", "metadata_unreadable")


def lost_metadata(known: Mapping[str, str]) -> str:
    """known: name -> what reading the metadata says ("" when valid) of each existing VM that the store has a declaration of."""
    lost = sorted(name for name, reason in known.items() if reason in GONE)
    if len(lost) < LOST_FROM or len(lost) < LOST_SHARE * len(known):
        return ""
    some = ", ".join(lost[:5]) + (" and others" if len(lost) > 5 else "")
    return f"{len(lost)} of {len(known)} managed VMs lost their metadata: {some}"


def pools_now(known: Mapping[str, int], active: Sequence[str], now: float) -> Tuple[Dict[str, int], Tuple[str, ...]]:
    """What to remember of the host's pools, and the names of those that are missed."""
    memory = dict.fromkeys(active, 0)
    for name, since in known.items():
        if name not in memory and (not since or 0 <= now - since < POOL_LIFE):
            memory[name] = since or int(now)
    return memory, tuple(sorted(name for name, since in memory.items() if since))


def missed(names: Iterable[str]) -> str:
    """The loss in words."""
    return "storage pools that this host had are missing: " + ", ".join(names)
