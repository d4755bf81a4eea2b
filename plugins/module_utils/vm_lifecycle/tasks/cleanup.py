# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_cleanup: remove the temporary VMs whose time is over, with the disks that are theirs alone, and say why others stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, FrozenSet, List, Mapping, Optional, Tuple

from .. import actions as do
from .. import metadata
from ..errors import EffectError, LifecycleError, refuse
from ..model import Document, Domain, Intent, Observed, VolumeVerdict
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.clock import judge
from ..policy.gate import Circumstances, Decision, decide, may_resume
from ..policy.storage import Usage, doubtful, obstacles, verdicts
from ..ports import World
from ..removal import REMOVAL
from ..run import Task
from ..times import iso
from . import observe as reads
from .cleanup_report import report
from .converge import observed_record
from .targets import Wish, resolve, unknown_problems, wishes

IGNORABLE = ("expiry", "window", "disabled")


@dataclass(frozen=True)
class Request:
    """named empty: every managed VM of the host."""

    named: Tuple[Wish, ...]
    skip_missing: bool
    ignore: FrozenSet[str]
    policy: CleanupPolicy


def decode(document: Mapping[str, Any], world: World) -> Request:
    """ignore lifts conditions for VMs that were named, never for a whole host."""
    named = wishes(document, (), required=False)
    ignore = frozenset(document.get("ignore") or ())
    unknown = sorted(ignore - set(IGNORABLE))
    if unknown:
        raise refuse("invalid_option", f"{unknown[0]!r} is not one of: {', '.join(IGNORABLE)}", field="ignore")
    if ignore and not named:
        raise refuse("no_target", "ignore lifts conditions for named VMs only: give name, uuid or vms", field="ignore")
    given = document.get("policy")
    given = None if given is None else {key: value for key, value in given.items() if value is not None}
    policy = reads.cleanup_policy(world, given)
    return Request(tuple(named), document.get("missing", "fail") == "skip", ignore, policy)


def observe(request: Request, world: World) -> Observed:
    """Storage is read only when some VM is due: on most sweeps nothing is."""
    observed = reads.host(world)
    wanted, _unknown = _targets(request, observed)
    candidates = _candidates(request, observed, wanted, _circumstances(request, observed))
    decisions = [candidate.decision for candidate in candidates]
    if any(decision.decision == "removed" or decision.reason == "dry_run_mode" for decision in decisions):
        try:
            return replace(observed, storage=world.hypervisor.storage())
        except EffectError as error:
            return replace(observed, storage_problem=error.message)
    return observed


def _circumstances(request: Request, observed: Observed) -> Circumstances:
    clock = judge(observed.clock, observed.memory)
    return Circumstances(observed.clock.now, clock, observed.clock.synchronised, request.policy, request.ignore)


def _targets(request: Request, observed: Observed) -> Tuple[List[str], List[Wish]]:
    """UUIDs in question, those of interrupted removals included, and wishes for VMs that don't exist."""
    pending = {intent.uuid: intent.name for intent in observed.intents}
    if not request.named:
        return [domain.uuid for domain in observed.domains], []
    found, unknown, problems = resolve(request.named, observed.domains, pending)
    if not request.skip_missing:
        problems += unknown_problems(unknown)
    if problems:
        raise LifecycleError(problems)
    return [uuid for _wish, uuid, _name in found], unknown


@dataclass(frozen=True)
class Candidate:
    """A domain in question, what its metadata is worth, and the gate's word on it."""

    domain: Domain
    carried: metadata.Declaration
    decision: Decision


def _candidates(
    request: Request, observed: Observed, wanted: List[str], circumstances: Circumstances
) -> List[Candidate]:
    """VMs that are not ours are only spoken of when they were named."""
    domains = {domain.uuid: domain for domain in observed.domains}
    found = []
    for domain in (domains[uuid] for uuid in wanted if uuid in domains):
        record = observed.records.get(domain.uuid)
        carried = metadata.read(domain, record)
        if carried.reason != "not_managed" or request.named:
            decision = decide(domain.name, carried, domain.persistent, record is not None, circumstances)
            found.append(Candidate(domain, carried, decision))
    return found


def plan(request: Request, observed: Observed) -> do.Plan:
    """Interrupted removals first, then one entry for each managed VM."""
    wanted, unknown = _targets(request, observed)
    circumstances = _circumstances(request, observed)
    entries = _resumptions(observed, circumstances, frozenset(wanted) if request.named else None)
    usage = Usage(observed.storage) if observed.storage is not None else None
    for candidate in _candidates(request, observed, wanted, circumstances):
        books = _books(candidate, observed) if circumstances.clock.sane else ()
        entries.append(_entry(request, observed, candidate, usage, books))
    for wish in unknown:
        entries.append(do.Entry(wish.uuid or "", wish.label, "kept", "unknown_vm", f"{wish.label}: no such VM here"))
    return do.Plan(tuple(entries), (*observed.damage, *(obstacles(usage) if usage is not None else ())))


def _resumptions(observed: Observed, circumstances: Circumstances, named: Optional[FrozenSet[str]]) -> List[do.Entry]:
    """What earlier runs left: finished when the VM was undefined already, rolled back when it still exists.

    named: UUIDs that the call speaks of, None for all.
    """
    existing = {domain.uuid for domain in observed.domains}
    reason, detail = may_resume(circumstances)
    entries = []
    for intent in observed.intents:
        if named is not None and intent.uuid not in named:
            continue
        if intent.uuid in existing or not intent.armed or _completed(intent, observed):
            entries.append(_put_away(intent, _completed(intent, observed) and intent.uuid not in existing))
        elif reason:
            message = f"{intent.name}: its interrupted removal waits: {detail}"
            entries.append(do.Entry(intent.uuid, intent.name, "waiting", reason, message, schedule=intent.schedule))
        else:
            steps: Tuple[do.Action, ...] = (do.DeleteVolumes(intent.uuid), do.Finish(intent.uuid))
            message = f"{intent.name}: finishing the removal that began {iso(intent.started_unix)}"
            entries.append(
                do.Entry(
                    intent.uuid, intent.name, "removed", "resumed", message, steps,
                    verdicts=intent.volumes, schedule=intent.schedule,
                )
            )  # fmt: skip
    return entries


def _completed(intent: Intent, observed: Observed) -> bool:
    schedule = observed.schedules.get(intent.uuid, {})
    same = schedule.get("last_cleanup_attempt") == intent.schedule.get("last_cleanup_attempt")
    return same and schedule.get("cleanup_status") == "completed"


def _put_away(intent: Intent, completed: bool) -> do.Entry:
    did = "was complete, its record is put away" if completed else "was rolled back before anything was deleted"
    message = f"{intent.name}: an interrupted removal {did}"
    return do.Entry(
        intent.uuid, intent.name, "rolled_back", "resumed", message, (do.DropIntent(intent.uuid, completed),)
    )


def _books(candidate: Candidate, observed: Observed) -> Tuple[do.Action, ...]:
    """The store's mirror, where it is behind what was seen."""
    if not candidate.carried.valid:
        return ()
    domain, carried = candidate.domain, candidate.carried
    record = observed.records.get(domain.uuid)
    seen = observed_record(domain, record, carried.document, carried.digest or "", int(observed.clock.now))
    return (do.KeepRecord(seen),) if seen != record else ()


def _entry(
    request: Request, observed: Observed, candidate: Candidate, usage: Optional[Usage], books: Tuple[do.Action, ...]
) -> do.Entry:
    domain, carried, decision = candidate.domain, candidate.carried, candidate.decision
    schedule = _schedule(domain, carried.document, observed) if carried.valid else None
    entry = do.Entry(
        domain.uuid, domain.name, decision.decision, decision.reason, decision.message, books, schedule=schedule
    )
    if decision.decision != "removed" and decision.reason != "dry_run_mode":
        return entry
    if usage is None:
        problem = f"{domain.name}: {observed.storage_problem}"
        return replace(entry, decision="waiting", reason="storage_unreadable", message=problem)
    judged = verdicts(domain.uuid, usage)
    entry = replace(entry, verdicts=judged)
    doubt = doubtful(judged)
    if doubt:  # undefined now, its disks would be nobody's, whatever they turn out to be
        return replace(entry, decision="waiting", reason=doubt, message=f"{domain.name}: its disks can't be judged now")
    if decision.decision != "removed" or schedule is None:
        return entry
    return replace(entry, actions=_steps(request, observed, domain, carried, judged, schedule))


def _steps(
    request: Request,
    observed: Observed,
    domain: Domain,
    carried: metadata.Declaration,
    judged: Tuple[VolumeVerdict, ...],
    schedule: Document,
) -> Tuple[do.Action, ...]:
    """The whole removal, as the interpreter carries it out."""
    guard = do.Guard(domain.uuid, carried.digest)
    intent = Intent(domain.uuid, domain.name, carried.digest or "", "", judged, schedule=schedule)
    closing = request.policy.closing(observed.clock.now, "window" in request.ignore)
    begin = do.Begin(guard, intent, None if closing in (None, float("inf")) else closing)
    persistence = carried.document["persistence"]
    grace = 0 if persistence["force_cleanup"] else int(persistence["cleanup_grace_period"])
    stop: List[do.Action] = []
    if domain.power_state == "running" and grace:  # a paused guest can't obey, so nobody waits for it
        stop.append(do.ShutDown(guard, grace))
    stop.append(do.PowerOff(guard))
    ending = (do.Undefine(guard), do.DeleteVolumes(domain.uuid), do.Finish(domain.uuid))
    return (begin, *stop, do.Arm(guard), *ending)


def _schedule(domain: Domain, document: Document, observed: Observed) -> Optional[Document]:
    """The VmCleanupSchedule of a temporary VM: declared times, and what the store knows of attempts."""
    persistence = document["persistence"]
    if persistence["mode"] != "temporary":
        return None
    kept = observed.schedules.get(domain.uuid, {})
    known = kept if kept.get("cleanup_status") != "completed" else {}
    return {
        "cleanup_status": "pending",
        "cleanup_attempts": 0,
        **{key: known[key] for key in ("cleanup_attempts", "last_cleanup_attempt", "cleanup_error") if key in known},
        "vm_name": domain.name,
        "vm_id": domain.uuid,
        "mode": "temporary",
        "created_at": iso(persistence["created_at_unix"]),
        "scheduled_cleanup_at": iso(persistence["scheduled_cleanup"]),
        "ttl_hours": persistence["ttl_hours"],
    }


TASK = Task("vm_cleanup", decode, observe, plan, report, REMOVAL)
