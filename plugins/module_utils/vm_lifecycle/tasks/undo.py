# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that were removed and can be brought back: restoring them, and removing their disks when the time for it is over."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Sequence, Tuple

from .. import actions as do
from .. import metadata
from ..disks import VolumeVerdict
from ..errors import LifecycleError, Problem
from ..extent import MENTIONED, first
from ..model import Document, Domain, Observed, Record
from ..policy import declaration, departure
from ..policy.gate import Circumstances, may_resume, timing
from ..policy.storage import Usage, doubtful
from ..policy.undo import SHARED, changed_disks, left_by_us, still_own
from ..removals import UndoRecord
from ..times import iso
from .scope import Request, circumstances
from .sweep import resumption
from .targets import Wish, resolve

#: States of vm_cleanup that speak of VMs which were removed.
STATES = ("restored", "purged")
#: How the reason of the hold ends with which a VM comes back.
BROUGHT_BACK = ", after it was removed"


def is_over(request: Request, observed: Observed) -> bool:
    """Whether the disks of some removed VM have to be looked at in a sweep."""
    whole = not request.named and request.state == "swept"
    return whole and any(record.until_unix <= observed.clock.now for record in observed.undo)


def over(request: Request, observed: Observed, at: Circumstances, leaving: Sequence[str]) -> List[do.Entry]:
    """Undo records that are over, and those whose VM exists again by somebody else's hand. Whole sweeps only.

    leaving: names of VMs that this very sweep removes.
    """
    if request.named or request.state != "swept":
        return []
    existing = {domain.uuid for domain in observed.domains}
    begun = {intent.uuid for intent in observed.intents}
    idle = [record for record in observed.undo if record.uuid not in begun]  # an interrupted removal comes first
    back = [record for record in idle if record.uuid in existing]
    superseded = [_again(record, observed, at) for record in back]
    ended = [record for record in idle if record.uuid not in existing and record.until_unix <= at.now]
    return [*superseded, *_purges(ended, observed, at, ("undo_over", "the time for an undo is over"), leaving)]


def _again(record: UndoRecord, observed: Observed, at: Circumstances) -> do.Entry:
    """A VM that was being brought back when that call was killed, or one that has nothing to do with the record."""
    if not _half_back(record, observed):
        disks = first([verdict.place for verdict in record.volumes if verdict.remove], "disks", MENTIONED)
        left = f", and its disks are left alone: {', '.join(disks)}" if disks else ""
        message = f"{record.name}: a VM with its UUID exists again{left}"
        return do.Entry(record.uuid, record.name, "kept", "superseded", message, (do.DropUndo(record.uuid),))
    if at.policy.dry_run:
        return do.Entry(record.uuid, record.name, "waiting", "dry_run_mode", f"{record.name}: dry_run_mode is on")
    return _restore(record, observed)


def _purges(
    records: Sequence[UndoRecord], observed: Observed, at: Circumstances, why: Tuple[str, str], leaving: Sequence[str]
) -> List[do.Entry]:
    """A disk that other removed VMs still use goes with the last of them, so their records are purged first."""
    removed = left_by_us(observed.schedules, observed.records, observed.undo)
    disks = {
        record.uuid: record.volumes if observed.storage is None else still_own(record, observed.storage, removed)
        for record in records
    }
    used: Dict[str, List[FrozenSet[str]]] = {name: [] for name in (*leaving, *(kept.name for kept in observed.undo))}
    for record in records:
        used[record.name] = [
            frozenset(verdict.used_by) - {record.name}
            for verdict in disks[record.uuid]
            if verdict.target and verdict.reason in SHARED
        ]
    first = departure.waiting(used)
    return [
        _purge(record, disks[record.uuid], at, why, _against(disks[record.uuid], observed, record.name in first))
        for record in records
    ]


def _against(disks: Tuple[VolumeVerdict, ...], observed: Observed, others_first: bool) -> Tuple[str, str]:
    """Why disks don't go now, empty when they do. In doubt they wait: nobody would know them without the record."""
    if observed.storage is None and observed.storage_problem:
        return "storage_unreadable", observed.storage_problem
    if doubtful(disks):
        return doubtful(disks), "its disks can't be judged now"
    return ("users_leave_first", "a removed VM that is purged first still uses its disk") if others_first else ("", "")


def _purge(
    record: UndoRecord,
    disks: Tuple[VolumeVerdict, ...],
    at: Circumstances,
    why: Tuple[str, str],
    against: Tuple[str, str],
) -> do.Entry:
    reason, detail = may_resume(at)
    if not reason:
        reason, detail = timing(at)
    if not reason:
        reason, detail = against
    if reason:
        return do.Entry(record.uuid, record.name, "waiting", reason, f"{record.name}: {detail}", verdicts=disks)
    purge = do.Purge(record.uuid, disks, record.removed_unix, record.until_unix)
    steps = (purge, do.DeleteVolumes(record.uuid), do.Finish(record.uuid))
    return do.Entry(
        record.uuid, record.name, "removed", why[0], f"{record.name}: {why[1]}", steps,
        verdicts=disks, schedule=record.schedule,
    )  # fmt: skip


def purged(request: Request, observed: Observed) -> List[do.Entry]:
    """state: purged. The disks of named VMs go before the time for an undo is over."""
    found, entries = _records(request, observed)
    at, left = circumstances(request, observed), {intent.uuid: intent for intent in observed.intents}
    existing = {domain.uuid for domain in observed.domains}
    begun = [
        resumption(left[record.uuid], record.uuid in existing, observed, at) for record in found if record.uuid in left
    ]
    idle = [record for record in found if record.uuid not in left]
    return [*begun, *_purges(idle, observed, at, ("purged", "purged before its time"), ()), *entries]


def restored(request: Request, observed: Observed) -> List[do.Entry]:
    """state: restored. Every VM that can't be brought back refuses the call, with the reason."""
    found, entries = _records(request, observed)
    problems: List[Problem] = []
    usage = Usage(observed.storage) if observed.storage is not None else None
    names: Dict[str, Domain] = {domain.name: domain for domain in observed.domains}
    existing = {domain.uuid for domain in observed.domains}
    # those that come back in this very call are users, unless they were when it was removed
    removed = frozenset(record.uuid for record in observed.undo) - existing - {record.uuid for record in found}
    for record in found:
        if _half_back(record, observed):
            continue
        if record.name in names:
            message = f"another VM, {names[record.name].uuid}, has the name now"
            problems.append(Problem("name_taken", message, record.name))
        if record.uuid in existing:
            problems.append(Problem("uuid_taken", f"a VM has the UUID {record.uuid} now", record.name))
        if usage is None:
            problems.append(Problem("storage_unreadable", observed.storage_problem, record.name))
        else:
            problems += [Problem("disk_changed", text, record.name) for text in changed_disks(record, usage, removed)]
    if problems:
        raise LifecycleError(problems)
    return [*(_restore(record, observed) for record in found), *entries]


def _half_back(record: UndoRecord, observed: Observed) -> bool:
    """Whether an earlier call was killed after it had defined the VM, which is still as it was defined, or held by now.

    What that call left on record tells it from another VM that was declared under the same UUID.
    """
    domain = next((domain for domain in observed.domains if domain.uuid == record.uuid), None)
    known = observed.records.get(record.uuid)
    revision = int(record.document["revision"]) + 1
    if known is None or domain is None or (known.revision, known.document.get("revision")) != (revision, revision):
        return False
    hold = known.document.get("hold")
    ours = isinstance(hold, dict) and str(hold.get("reason")).endswith(BROUGHT_BACK)
    if not ours or _bare(known.document) != _bare(record.document):
        return False
    return metadata.digest(domain.metadata) in (record.digest, known.digest)


def _bare(document: Document) -> Document:
    """What bringing a VM back leaves as it is."""
    return {key: value for key, value in document.items() if key not in ("hold", "revision")}


def _held(record: UndoRecord, now: int) -> Document:
    """It comes back held: it is expired, and the next sweep would remove it again."""
    subject = declaration.Subject(record.uuid, record.name, record.document, record.saved.autostart)
    document = declaration.hold(subject, "deletion", f"restored {iso(now)}{BROUGHT_BACK}", now)
    return {**document, "revision": int(record.document["revision"]) + 1}


def _restore(record: UndoRecord, observed: Observed) -> do.Entry:
    """From the beginning, or from where a call was killed."""
    now, begun = int(observed.clock.now), _half_back(record, observed)
    document = observed.records[record.uuid].document if begun else _held(record, now)
    text = metadata.encode(document)
    mark = metadata.digest(text) or ""
    seen = Record(record.uuid, record.name, document["revision"], mark, document, "shutoff", now)
    write, drop = do.WriteMetadata(do.Guard(record.uuid, record.digest), text), do.DropUndo(record.uuid)
    steps: Tuple[do.Action, ...] = (do.Define(record.uuid, seen), write, drop)
    if begun:
        carried = next(metadata.digest(domain.metadata) for domain in observed.domains if domain.uuid == record.uuid)
        complete = do.Complete(do.Guard(record.uuid, record.digest))  # its snapshots may not have been back yet
        steps = (complete, do.KeepRecord(seen), write, drop) if carried == record.digest else (drop,)
    message = f"{record.name} is back as it was when it was removed {iso(record.removed_unix)}, shut off and held"
    return do.Entry(record.uuid, record.name, "restored", "restored", message, steps, after=document)


def _records(request: Request, observed: Observed) -> Tuple[List[UndoRecord], List[do.Entry]]:
    """Undo records of the VMs that were named, and entries for VMs that exist and need no undo."""
    known = {record.uuid: record for record in observed.undo}
    ambiguous = [problem for wish in request.named for problem in _several(wish, observed)]
    if ambiguous:
        raise LifecycleError(ambiguous)
    found, unknown, problems = resolve(request.named, _as_domains(observed), {})
    entries: List[do.Entry] = []
    records: List[UndoRecord] = []
    for _wish, uuid, name in found:
        if uuid in known:
            records.append(known[uuid])
        elif request.state == "restored":
            entries.append(do.Entry(uuid, name, "kept", "restored", f"{name} exists"))
        else:
            problems.append(Problem("nothing_to_restore", "it was not removed, so there is nothing to purge", name))
    problems += _missing(request, unknown)
    if problems:
        raise LifecycleError(problems)
    return records, entries


def _several(wish: Wish, observed: Observed) -> List[Problem]:
    """A name that more than one removed VM had says nothing, and what is purged does not come back."""
    meant = [record for record in observed.undo if record.name == wish.name]
    if len(meant) < 2 or wish.uuid is not None:
        return []
    meant.sort(key=lambda record: (record.removed_unix, record.uuid))
    listed = ", ".join(f"{record.uuid} (removed {iso(record.removed_unix)})" for record in meant)
    message = f"{len(meant)} VMs of that name were removed; give the uuid of the one that is meant: {listed}"
    return [Problem("ambiguous_name", message, wish.label, "name")]


def _as_domains(observed: Observed) -> Sequence[Domain]:
    """Removed VMs answer to their names; one that exists under the same name is only meant by its UUID."""
    removed = {record.name for record in observed.undo}
    existing = [domain for domain in observed.domains if domain.name not in removed]
    uuids = {domain.uuid for domain in existing}
    return [*existing, *(Domain(r.uuid, r.name, "shutoff") for r in observed.undo if r.uuid not in uuids)]


def _missing(request: Request, unknown: Sequence[Wish]) -> List[Problem]:
    if request.skip_missing:
        return []
    return [
        Problem("nothing_to_restore", "no VM of that name or UUID was removed within undo_hours", wish.label)
        for wish in unknown
    ]
