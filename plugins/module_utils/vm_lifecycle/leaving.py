# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that share a disk and are removed by several runs at once: none goes that would leave it to another one that goes."""

from __future__ import annotations

from typing import Sequence

from .chain import Chain, Run
from .disks import VolumeVerdict
from .errors import EffectError
from .looks import storage
from .policy.departure import freed, left_to, shared, yet_to_go
from .policy.undo import left_by_us, still_own
from .removals import Intent, UndoRecord


def others_begun(run: Run, uuid: str) -> Sequence[Intent]:
    """Removals of other VMs that have begun.

    Each removal puts its own beginning on record before it looks for others, so that of two at least one sees the other.
    """
    return [intent for intent in run.world.store.intents() if intent.uuid != uuid]


def nobody_left_behind(run: Run, chain: Chain, fresh: Sequence[VolumeVerdict], begun: Sequence[Intent]) -> None:
    """Raise EffectError where a disk that chain.verdicts keep for others would stay for good; the next sweep takes it along.

    begun must be older than the look that fresh comes from.
    """
    name = chain.entry.name
    for disk in freed(name, chain.verdicts, fresh):
        users = ", ".join(disk.used_by)
        raise EffectError("changed_meanwhile", f"{disk.place} was to stay for {users}, which does not use it any more")
    going = yet_to_go(begun)
    if not left_to(name, fresh, going | {intent.name for intent in begun}):
        return
    going |= {intent.name for intent in begun if intent.armed or _goes_on(run, intent.uuid)}
    for disk, other in left_to(name, fresh, going):
        raise EffectError("busy", f"{disk.place} would be left to {other}, whose removal has begun, too")


def _goes_on(run: Run, uuid: str) -> bool:
    """Whether a run works on it: killed before it was armed, a removal says nothing about what becomes of its VM."""
    with run.world.host.claim(uuid) as free:
        return not free


def last_of_its_users(run: Run, chain: Chain, record: UndoRecord, intent: Intent) -> None:
    """As nobody_left_behind, for a removed VM whose disks go now, before its purge is armed. Raises EffectError."""
    if not shared(record.name, chain.verdicts):
        return
    store = run.world.store
    store.write_intent(intent)
    try:
        begun = others_begun(run, record.uuid)
        seen = storage(run.world, record.uuid)
        removed = left_by_us(store.schedules(), store.records(), store.undo_records())
        nobody_left_behind(run, chain, still_own(record, seen, removed), begun)
    except EffectError:
        store.drop_intent(record.uuid)
        raise
