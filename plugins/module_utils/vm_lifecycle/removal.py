# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a removal: begin, stop, arm, undefine, delete, finish. Each step may be the last one before a power cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Type

from . import actions as do
from .apply import DECLARATIONS, check
from .chain import Chain, Handler, Run
from .changes import Forget, Remember, RememberSchedule
from .disks import VolumeVerdict
from .errors import EffectError
from .extent import MENTIONED, first
from .leaving import last_of_its_users, nobody_left_behind, others_begun
from .looks import storage
from .model import Record
from .patience import POLL
from .policy import schedule as schedules
from .policy.clock import judge
from .policy.storage import Usage, must_keep_nvram, narrowed, obstacles, still_unused, unjudged, verdicts
from .policy.undo import leaving_before, own_nvram, sharers, without
from .removals import Intent, UndoRecord
from .restoring import RESTORATION, undo_record
from .times import iso, unix

#: Reasons for which a volume is looked at again by the next sweep; for any other it is kept, and that is the end of it.
UNFINISHED = ("delete_failed", "pool_inactive", "chain_unreadable", "storage_problem")
#: Error of a deletion that was refused in the last moment -> why the volume is kept.
REFUSED = {"changed_meanwhile": "identity_changed", "open_elsewhere": "open_elsewhere"}


def _begin(run: Run, chain: Chain, action: do.Begin) -> None:
    """The plan is durable before anything is done; time and clock are looked at once more."""
    now = _believed_now(run)
    if action.not_after is not None and now >= action.not_after:
        raise EffectError("outside_window", "the window closed before its turn came")
    if action.not_before is not None and now < action.not_before:
        raise EffectError("changed_meanwhile", "the clock was set back, and its deadline is ahead again")
    check(run, action.guard)
    definition = _definition(run, action.intent)
    schedule = schedules.attempted(action.intent.schedule, now)
    chain.intent = replace(action.intent, definition=definition, started_unix=int(now), schedule=schedule)
    run.save_now(
        RememberSchedule(action.intent.uuid, schedule), run.log(chain.entry, "remove", "begun", chain.entry.message)
    )
    run.world.store.write_intent(chain.intent)
    chain.schedule = schedule


def _definition(run: Run, intent: Intent) -> str:
    """What the removal begins with, under the name that was planned: by it the VM is asked back. From here on it may not change."""
    definition = run.world.hypervisor.definition(intent.uuid)
    domain = run.world.hypervisor.domain(intent.uuid)
    if domain is None or domain.name != intent.name:
        raise EffectError("changed_meanwhile", f"it is called {domain.name} by now" if domain else "the VM is gone")
    return definition


def _believed_now(run: Run) -> float:
    """The time, by a clock that can still be believed."""
    reading = run.world.host.clock()
    run.now = reading.now
    verdict = judge(reading, run.clock)
    if not verdict.sane:
        raise EffectError("insane_clock", verdict.problem)
    return reading.now


def _look(run: Run, but: str = "") -> Usage:
    return Usage(storage(run.world, but))


def _shut_down(run: Run, chain: Chain, action: do.ShutDown) -> None:
    check(run, action.guard)
    host, hypervisor = run.world.host, run.world.hypervisor
    if not _active(run, action.guard.uuid):
        return
    try:
        chain.touched = True
        hypervisor.request_shutdown(action.guard.uuid)
    except EffectError:
        return  # a guest that can't be asked is powered off, which is the next step
    began = host.clock().boottime
    host.progress(f"{chain.entry.name}: waiting up to {action.grace} s for the guest to shut down")
    while _active(run, action.guard.uuid) and host.clock().boottime - began < action.grace:
        host.sleep(POLL)


def _power_off(run: Run, chain: Chain, action: do.PowerOff) -> None:
    check(run, action.guard)
    if _active(run, action.guard.uuid):
        chain.touched = True
        run.world.hypervisor.power_off(action.guard.uuid)


def _active(run: Run, uuid: str) -> bool:
    domain = run.world.hypervisor.domain(uuid)
    if domain is None:
        raise EffectError("changed_meanwhile", "the VM is gone")
    return domain.active


def _arm(run: Run, chain: Chain, action: do.Arm) -> None:
    """Judge the disks again now that nothing writes to them; a disk may only move from removed to kept."""
    intent = _own_intent(chain)
    _still(run, intent, action.guard)
    begun = others_begun(run, intent.uuid)  # before the look: whose record is gone by now has left its disks by then
    usage = _look(run, action.guard.uuid)
    fresh = verdicts(action.guard.uuid, _for_undo(run, intent, usage), run.conduct.unpooled)
    doubt = unjudged(fresh, usage)
    if doubt:
        what = "; ".join(obstacles(usage)) or doubt
        raise EffectError("storage_unreadable", f"it is off, and its disks can't be judged any more: {what}")
    chain.nvram = own_nvram(action.guard.uuid, usage)
    chain.sharers = sharers(action.guard.uuid, fresh, usage)
    chain.keep_nvram = bool(intent.undo_until) or must_keep_nvram(action.guard.uuid, usage)
    chain.verdicts = narrowed(intent.volumes, fresh)
    if not intent.undo_until:  # with an undo, the last one to be purged takes a shared disk along
        nobody_left_behind(run, chain, fresh, begun)
    chain.intent = replace(intent, volumes=chain.verdicts)


def _for_undo(run: Run, intent: Intent, usage: Usage) -> Usage:
    """Who keeps a disk that stays for an undo: not those whose own time for that is over before."""
    if not intent.undo_until:
        return usage
    records, find = run.world.store.undo_records(), run.world.hypervisor.domain
    existing = frozenset(record.uuid for record in records if find(record.uuid) is not None)
    leaving = leaving_before(records, intent.undo_until, existing)
    return Usage(without(usage.storage, leaving)) if leaving else usage


def _still(run: Run, intent: Intent, guard: do.Guard) -> None:
    """It is off, with the metadata and the definition that the removal began with."""
    check(run, guard)
    if run.world.hypervisor.definition(guard.uuid) != intent.definition:
        raise EffectError("changed_meanwhile", "its definition changed after the removal began")
    if _active(run, guard.uuid):
        raise EffectError("changed_meanwhile", "the VM was started while it was being removed")


def _keep_undo(run: Run, chain: Chain, action: do.KeepUndo) -> None:
    """Written before the VM goes: killed after this, the VM exists, and the record is dropped with the intent."""
    intent = _own_intent(chain)
    check(run, action.guard)
    saved = run.world.hypervisor.saved(action.guard.uuid)
    record = UndoRecord(
        intent.uuid, intent.name, int(run.now), intent.undo_until, saved, intent.digest, action.document,
        (*intent.volumes, *chain.nvram), schedules.completed(intent.schedule), chain.sharers,
    )  # fmt: skip
    run.world.store.write_undo(record)


def _undefine(run: Run, chain: Chain, action: do.Undefine) -> None:
    """The intent is armed, and only the guard lies between that and the deed."""
    intent = _own_intent(chain)
    _still(run, intent, action.guard)
    chain.intent = replace(intent, armed=True)
    run.world.store.write_intent(chain.intent)
    _still(run, intent, action.guard)
    chain.irreversible = chain.touched = True
    run.world.hypervisor.undefine(action.guard.uuid, chain.keep_nvram, bool(intent.undo_until))
    if run.world.hypervisor.domain(action.guard.uuid) is not None:
        # libvirt undefines a running domain and leaves it running, transient: its disks are in use.
        raise EffectError("effect_failed", "the VM is still there after it was undefined")


def _delete_volumes(run: Run, chain: Chain, action: do.DeleteVolumes) -> None:
    """Each volume after a last look of its own: the very file that was judged, used by nobody at that moment."""
    intent = _intent(run, chain, action.uuid)
    final = list(intent.volumes)
    trouble: List[str] = []
    for index, verdict in enumerate(intent.volumes):
        if not verdict.remove:
            continue
        final[index] = _delete_one(run, action.uuid, verdict)
        chain.verdicts = tuple(final)
        if final[index].remove:
            chain.touched = True
            chain.deleted.add(verdict.path)
        elif final[index].reason in UNFINISHED:
            trouble.append(f"{verdict.pool}/{verdict.name}: {final[index].reason}")
    if trouble:
        raise EffectError("effect_failed", "volumes are left: " + ", ".join(trouble))


def _delete_one(run: Run, uuid: str, verdict: VolumeVerdict) -> VolumeVerdict:
    if run.world.hypervisor.domain(uuid) is not None:
        raise EffectError("changed_meanwhile", "a VM has that UUID again")
    reason, used_by = still_unused(verdict, _look(run, uuid))
    if reason != "only_user":
        return replace(verdict, remove=False, reason=reason, used_by=used_by)
    try:
        run.world.hypervisor.delete_volume(verdict)
    except EffectError as error:
        return replace(verdict, remove=False, reason=REFUSED.get(error.code, "delete_failed"))
    return verdict


def _own_intent(chain: Chain) -> Intent:
    if chain.intent is None:
        raise EffectError("changed_meanwhile", "its record of the removal is gone")
    return chain.intent


def _intent(run: Run, chain: Chain, uuid: str) -> Intent:
    """The chain's own intent, or, when an earlier run was interrupted, the one that it left."""
    if chain.intent is None:
        chain.intent = next((intent for intent in run.world.store.intents() if intent.uuid == uuid), None)
    if chain.intent is None or not chain.intent.armed:
        raise EffectError("changed_meanwhile", "its record of the removal is gone")
    chain.irreversible = True  # an earlier run may have undefined it, and then its undo record is all that is left
    return chain.intent


def _kept(chain: Chain) -> str:
    """Which disks stayed, and why, for whoever finds them later; the first of them, as a line is no list."""
    kept = [verdict for verdict in chain.verdicts if verdict.path not in chain.deleted]
    said = [
        f"{each.place} [{each.reason}{', used by ' + ', '.join(each.used_by[:MENTIONED]) if each.used_by else ''}]"
        for each in kept
    ]
    return f" ({', '.join(first(said, 'disks', MENTIONED))})" if kept else ""


def _finish(run: Run, chain: Chain, action: do.Finish) -> None:
    intent = _intent(run, chain, action.uuid)
    schedule = schedules.completed(intent.schedule)
    run.now = run.world.host.clock().now
    gone = len(chain.deleted)
    said = f"removed {gone} volumes, kept {len(chain.verdicts) - gone}"
    line = run.log(chain.entry, "remove", "done", said + (" for an undo" if intent.undo_until else _kept(chain)))
    # Its revision stays known: should somebody define the VM again as it was, its metadata counts as reverted.
    last = Remember(Record(action.uuid, intent.name, intent.revision, ""))
    run.save_now(Forget(action.uuid), last, RememberSchedule(action.uuid, schedule), line)
    chain.schedule, chain.complete = schedule, True
    if not intent.undo_until:
        run.world.store.drop_undo(action.uuid)
    run.world.store.drop_intent(action.uuid)


def _purge(run: Run, chain: Chain, action: do.Purge) -> None:
    """From here on it is an interrupted removal like any other; the undo record goes last."""
    record = undo_record(run, action.uuid)
    if (record.removed_unix, record.until_unix) != (action.removed_unix, action.until_unix):
        raise EffectError(
            "changed_meanwhile", "it came back and was removed again, so its time for an undo is another one"
        )
    if run.world.hypervisor.domain(action.uuid) is not None:
        raise EffectError("changed_meanwhile", "a VM has that UUID again")
    now = _believed_now(run)
    chain.verdicts = action.volumes
    # a moment of its own tells this removal from the one that undefined the VM, should it be interrupted at its end
    begun = max(now, unix(record.schedule.get("last_cleanup_attempt")) + 1)
    schedule = {**record.schedule, "cleanup_status": "in-progress", "last_cleanup_attempt": iso(begun)}
    intent = Intent(
        record.uuid, record.name, record.digest, record.saved.xml, action.volumes,
        started_unix=int(now), schedule=schedule, purge=True, revision=int(record.document["revision"]),
    )  # fmt: skip
    last_of_its_users(run, chain, record, intent)
    chain.intent = replace(intent, armed=True)
    run.world.store.write_intent(chain.intent)


#: What a sweep may do: all that a declaration may, the removal itself, and bringing a VM back from it.
REMOVAL: Dict[Type[object], Handler] = {
    **DECLARATIONS,
    **RESTORATION,
    do.Begin: _begin,
    do.ShutDown: _shut_down,
    do.PowerOff: _power_off,
    do.Arm: _arm,
    do.KeepUndo: _keep_undo,
    do.Undefine: _undefine,
    do.DeleteVolumes: _delete_volumes,
    do.Finish: _finish,
    do.Purge: _purge,
}
