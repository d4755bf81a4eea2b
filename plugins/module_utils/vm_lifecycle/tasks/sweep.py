# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sweep over the VMs in question: who is due, who may go by itself, who waits for a person, and the steps of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from .. import actions as do
from .. import metadata
from ..changes import QueueNotice, StoreChange
from ..model import HOUR, Document, Domain, Observed
from ..policy import departure, notice
from ..policy import schedule as schedules
from ..policy.gate import Circumstances, Decision, Subject, decide, may_resume, timing
from ..policy.host_boot import doomed
from ..policy.storage import Usage, unjudged, verdicts
from ..policy.undo import earlier_owner, leaving_before, without
from ..removals import Intent, Notice
from ..times import iso
from .asking import ask, waits
from .converge import observed_record
from .resuming import put_away
from .scope import Request, circumstances, plan_of, targets


class Candidate(NamedTuple):
    """A domain in question, what its metadata is worth, its schedule, and the gate's word on it."""

    domain: Domain
    carried: metadata.Declaration
    schedule: Optional[Document]
    decision: Decision


@dataclass(frozen=True)
class Judged(Observed):
    """What a sweep saw, and what the gate makes of it: the same for deciding whether to look at storage, and for the plan.

    known: what reading the metadata says of each existing VM that the store has a declaration of, by name.
    """

    candidates: Tuple[Candidate, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)


def judged(request: Request, observed: Observed) -> Judged:
    """Put every VM in question in front of the gate. VMs that are not ours are only spoken of when they were named."""
    at = circumstances(request, observed)
    wanted, _unknown = targets(request, observed)
    domains = {domain.uuid: domain for domain in observed.domains}
    told = notice.by_key(observed.notices)
    found: List[Candidate] = []
    known: Dict[str, str] = {}
    for domain in (domains[uuid] for uuid in wanted if uuid in domains):
        record = observed.records.get(domain.uuid)
        carried = metadata.read(domain, record)
        if record is not None and record.document and domain.persistent:
            known[domain.name] = carried.reason
        if carried.reason == "not_managed" and not request.named:
            continue
        if request.at_boot and (domain.active or not (carried.valid and doomed(carried.document))):
            continue  # it was started, or declared otherwise, since the boot asked
        current, said = None, None
        if carried.valid:
            kept = observed.schedules.get(domain.uuid, {})
            current = schedules.current(domain, carried.document, kept, False)  # a sweep rolls back
            scheduled = carried.document["persistence"].get("scheduled_cleanup")
            said = told.get(notice.key_of(domain.uuid, scheduled)) if told and scheduled is not None else None
        subject = Subject(domain.name, carried, domain.persistent, record is not None, current, said)
        found.append(Candidate(domain, carried, current, decide(subject, at)))
    return Judged(**vars(observed), candidates=tuple(found), known=known)


@dataclass
class Sweep:
    """Builds the entries of one sweep. books: what is written to the store with them. alarm: (reason, detail)."""

    request: Request
    observed: Judged
    at: Circumstances
    alarm: Tuple[str, str] = ("", "")
    books: List[StoreChange] = field(default_factory=list)
    told: Mapping[str, Notice] = field(init=False)

    def __post_init__(self) -> None:
        self.told = notice.by_key(self.observed.notices)

    def resumptions(self) -> List[do.Entry]:
        """What earlier runs left: finished when the VM was undefined already, rolled back when it still exists."""
        only: Optional[FrozenSet[str]] = None
        if self.request.named:
            only = frozenset(targets(self.request, self.observed)[0])
        elif self.request.state == "confirmed":
            only = frozenset(vm.uuid for vm in plan_of(self.request, self.observed).vms)
        existing = {domain.uuid for domain in self.observed.domains}
        left = [intent for intent in self.observed.intents if only is None or intent.uuid in only]
        return [resumption(intent, intent.uuid in existing, self.observed, self.at) for intent in left]

    def entries(self) -> List[do.Entry]:
        """An entry for each VM in question."""
        _wanted, unknown = targets(self.request, self.observed)
        usage = None
        if self.observed.storage is not None:
            existing = frozenset(domain.uuid for domain in self.observed.domains)
            leaving = leaving_before(self.observed.undo, self._undo_until(), existing)
            usage = Usage(without(self.observed.storage, leaving) if leaving else self.observed.storage)
        candidates = self.observed.candidates
        entries = {found.domain.uuid: self._judged(found, usage) for found in candidates}
        due = [found for found in candidates if entries[found.domain.uuid].decision == "removed"]
        for found in _followers(due, entries, self.observed):
            uuid = found.domain.uuid
            entries[uuid] = waits(entries[uuid], "users_leave_first", "a VM that goes first still uses its disk")
        due = [found for found in due if entries[found.domain.uuid].decision == "removed"]
        self.books += ask(self.request, self.observed, self.at, [found.domain.uuid for found in due], entries)
        self._time(due, entries)
        for found in candidates:
            uuid = found.domain.uuid
            if entries[uuid].decision == "removed":
                entries[uuid] = replace(entries[uuid], actions=self._steps(found, entries[uuid]))
            else:
                self._tell(found)
        missing = [
            do.Entry(wish.uuid or "", wish.label, "kept", "unknown_vm", f"{wish.label}: no such VM here")
            for wish in unknown
        ]
        return [*entries.values(), *self._dropped_out(), *missing]

    def _judged(self, found: Candidate, usage: Optional[Usage]) -> do.Entry:
        """One VM with the verdicts on its disks, where they could be looked at."""
        domain, decision = found.domain, found.decision
        books = self._seen(found) if self.at.clock.sane else ()
        entry = do.Entry(
            domain.uuid, domain.name, decision.decision, decision.reason, decision.message, books,
            schedule=found.schedule, due_unix=_due(found),
        )  # fmt: skip
        if decision.reason == "gave_up" and found.schedule is not None:
            entry = replace(entry, schedule={**found.schedule, "cleanup_status": "failed"})
        if decision.decision != "removed":
            return entry
        earlier = earlier_owner(domain.uuid, self.observed)
        if earlier:
            return waits(entry, "superseded", earlier)
        if self.alarm[0]:
            return waits(entry, *self.alarm)
        if usage is None and self.observed.storage_problem:
            return waits(entry, "storage_unreadable", self.observed.storage_problem)
        if usage is None:
            return entry  # nobody looked, since the host lets nothing go now
        judged = verdicts(domain.uuid, usage, bool(self.request.policy.document["remove_unpooled_files"]))
        entry = replace(entry, verdicts=judged)
        doubt = unjudged(judged, usage)  # undefined now, its disks would be nobody's, whatever they turn out to be
        return waits(entry, doubt, "its disks can't be judged now") if doubt else entry

    def _seen(self, found: Candidate) -> Tuple[do.Action, ...]:
        """The store's mirror, where it is behind what was seen."""
        if not found.carried.valid:
            return ()
        record, domain = self.observed.records.get(found.domain.uuid), found.domain
        if record is not None and (record.digest, record.name, record.power_state) == (
            found.carried.digest, domain.name, domain.power_state,
        ):  # fmt: skip
            return ()
        now = int(self.observed.clock.now)
        seen = observed_record(domain, record, found.carried.document, found.carried.digest or "", now)
        return (do.KeepRecord(seen),) if seen != record else ()

    def _time(self, due: List[Candidate], entries: Dict[str, do.Entry]) -> None:
        """What the host allows at this moment."""
        reason, detail = timing(self.at)
        for found in due if reason else ():
            entry = entries[found.domain.uuid]
            if entry.decision == "removed":
                entries[entry.uuid] = waits(entry, reason, detail)

    def _dropped_out(self) -> List[do.Entry]:
        """VMs of the confirmed plan that are not there any more."""
        if self.request.state != "confirmed" or self.request.named:
            return []
        existing = {domain.uuid for domain in self.observed.domains}
        existing |= {intent.uuid for intent in self.observed.intents}
        gone = [vm for vm in plan_of(self.request, self.observed).vms if vm.uuid not in existing]
        done = {uuid for uuid, kept in self.observed.schedules.items() if kept.get("cleanup_status") == "completed"}
        return [
            do.Entry(vm.uuid, vm.name, "kept", "already_removed", f"{vm.name}: it was removed before")
            if vm.uuid in done
            else do.Entry(vm.uuid, vm.name, "kept", "dropped_out", f"{vm.name}: it is not there any more")
            for vm in gone
        ]

    def _tell(self, found: Candidate) -> None:
        """The notice that is due, when somebody wants to be told."""
        if not self.request.policy.limit("notify_before_hours"):
            return
        document = found.carried.document if found.carried.valid else None
        if document is None or found.schedule is None or "hold" in document or not self.at.clock.sane:
            return
        persistence, known = document["persistence"], self.told
        message = notice.expiring(
            found.domain.uuid, found.domain.name, persistence, self.request.policy, known, self.at.now
        )
        if message is not None:
            self.books.append(QueueNotice(message))

    def _undo_until(self) -> int:
        """Until when a VM that goes now can be brought back; 0: not at all."""
        hours = self.request.policy.limit("undo_hours")
        return int(self.at.now) + hours * HOUR if hours else 0

    def _steps(self, found: Candidate, entry: do.Entry) -> Tuple[do.Action, ...]:
        """The whole removal, as the interpreter carries it out."""
        domain, carried, policy = found.domain, found.carried, self.request.policy
        guard, until = do.Guard(domain.uuid, carried.digest), self._undo_until()
        schedule = entry.schedule or {}
        if schedules.given_up(schedule, policy.limit("max_cleanup_attempts")):
            schedule = schedules.cleared(schedule)  # a person named it
        intent = Intent(
            domain.uuid, domain.name, carried.digest or "", "", entry.verdicts, schedule=schedule, undo_until=until,
            revision=carried.revision,
        )  # fmt: skip
        closing = policy.closing(self.at.now, "window" in self.request.ignore)
        persistence = carried.document["persistence"]
        lifted = "expiry" in self.request.ignore
        begin = do.Begin(
            guard, intent, None if closing in (None, float("inf")) else closing,
            None if lifted else float(persistence["scheduled_cleanup"]),
        )  # fmt: skip
        grace = 0 if persistence["force_cleanup"] else int(persistence["cleanup_grace_period"])
        stop: List[do.Action] = []
        if domain.power_state == "running" and grace:  # a paused guest can't obey, so nobody waits for it
            stop.append(do.ShutDown(guard, grace))
        stop += [*([] if self.request.at_boot else [do.PowerOff(guard)]), do.Arm(guard)]
        if until:
            return (begin, *stop, do.KeepUndo(guard, carried.document), do.Undefine(guard), do.Finish(domain.uuid))
        return (begin, *stop, do.Undefine(guard), do.DeleteVolumes(domain.uuid), do.Finish(domain.uuid))


def _due(found: Candidate) -> Optional[float]:
    """The deadline, or the end of a back-off that comes after it; None for a VM that does not go by itself."""
    if found.schedule is None or (found.decision.decision == "kept" and found.decision.reason != "not_expired"):
        return None
    return max(float(found.carried.document["persistence"]["scheduled_cleanup"]), schedules.next_try(found.schedule))


def _followers(due: List[Candidate], entries: Mapping[str, do.Entry], observed: Observed) -> List[Candidate]:
    """VMs with a disk that only those use which go, too.

    Others that are due, removed VMs whose time for an undo is over, and volumes that an interrupted removal has yet to delete.
    """
    used: Dict[str, List[FrozenSet[str]]] = {
        found.domain.name: [
            others for _disk, others in departure.shared(found.domain.name, entries[found.domain.uuid].verdicts)
        ]
        for found in due
    }
    used.update(
        {gone.name: [] for gone in observed.undo if gone.until_unix <= observed.clock.now and gone.name not in used}
    )
    used.update({name: [] for name in departure.yet_to_go(observed.intents) if name not in used})
    waits = departure.waiting(used)
    return [found for found in due if found.domain.name in waits]


def resumption(intent: Intent, exists: bool, observed: Observed, at: Circumstances) -> do.Entry:
    """What becomes of a removal that an earlier run left. exists: libvirt has the VM."""
    done = _completed(intent, observed)
    if exists or not intent.armed or done:
        message = put_away(intent, exists, done)
        step = do.DropIntent(intent.uuid, done and not exists)
        return do.Entry(intent.uuid, intent.name, "rolled_back", "resumed", message, (step,))
    reason, detail = may_resume(at)
    if reason:
        message = f"{intent.name}: its interrupted removal waits: {detail}"
        return do.Entry(intent.uuid, intent.name, "waiting", reason, message, schedule=intent.schedule)
    finish = do.Finish(intent.uuid)
    steps: Tuple[do.Action, ...] = (finish,) if intent.undo_until else (do.DeleteVolumes(intent.uuid), finish)
    message = f"{intent.name}: finishing the removal that began {iso(intent.started_unix)}"
    return do.Entry(
        intent.uuid, intent.name, "removed", "resumed", message, steps,
        verdicts=intent.volumes, schedule=intent.schedule,
    )  # fmt: skip


def _completed(intent: Intent, observed: Observed) -> bool:
    schedule = observed.schedules.get(intent.uuid, {})
    same = schedule.get("last_cleanup_attempt") == intent.schedule.get("last_cleanup_attempt")
    return same and schedule.get("cleanup_status") == "completed"
