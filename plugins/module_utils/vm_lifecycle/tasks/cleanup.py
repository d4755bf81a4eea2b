# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_cleanup: remove the temporary VMs whose time is over, with the disks that are theirs alone, and say why others stay."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, List, Mapping, Optional

from .. import actions as do
from ..changes import DropPlan, Prune, RememberPools, StoreChange
from ..errors import EffectError, refuse
from ..looks import storage
from ..model import HOUR, Observed, Pressure
from ..policy import consent
from ..policy.alarm import pools_now
from ..policy.gate import Circumstances, timing
from ..policy.storage import Usage, obstacles
from ..ports import World
from ..removal import REMOVAL
from ..run import Task
from . import observe as reads
from . import undo
from .cleanup_report import report
from .scope import Request, circumstances, losses
from .sweep import Judged, Sweep, judged
from .targets import IGNORABLE, wishes

STATES = ("swept", "planned", "confirmed", "restored", "purged")
#: What a plan may be called: it appears in file names, on command lines and in AWX.
PLAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def decode(document: Mapping[str, Any], world: World) -> Request:
    """ignore lifts conditions for VMs that were named, never for a whole host; a plan names its VMs."""
    state = document.get("state", "swept")
    if state not in STATES:
        raise refuse("invalid_option", f"must be one of: {', '.join(STATES)}", field="state")
    named = wishes(document, (), required=state in undo.STATES)
    ignore = frozenset(document.get("ignore") or ())
    unknown = sorted(ignore - set(IGNORABLE))
    if unknown:
        raise refuse("invalid_option", f"{unknown[0]!r} is not one of: {', '.join(IGNORABLE)}", field="ignore")
    if ignore and not named and state != "confirmed":
        raise refuse("no_target", "ignore lifts conditions for named VMs only: give name, uuid or vms", field="ignore")
    given = document.get("policy")
    given = None if given is None else {key: value for key, value in given.items() if value is not None}
    policy = reads.cleanup_policy(world.host, given)
    skip = document.get("missing", "fail") == "skip"
    return Request(tuple(named), skip, ignore, policy, state, _plan_id(document, state), bool(document.get("at_boot")))


def _plan_id(document: Mapping[str, Any], state: str) -> Optional[str]:
    given = document.get("plan_id")
    if given is None:
        if state == "confirmed":
            raise refuse("no_target", "state confirmed needs the id of the plan", field="plan_id")
        return None
    if state not in ("planned", "confirmed"):
        raise refuse("invalid_option", f"belongs to the states planned and confirmed, not to {state}", field="plan_id")
    if not PLAN_ID.match(str(given)):
        raise refuse("invalid_option", "must be 1 to 64 letters, digits, dots, dashes or underscores", field="plan_id")
    return str(given)


def observe(request: Request, world: World) -> Observed:
    """Storage is read only when some VM is due and may go, or when its disks have to be known for a confirmation."""
    observed = reads.whole(world, cleanup=True)
    if request.state not in undo.STATES:
        observed = judged(request, observed)
    if isinstance(observed, Judged) and not _needs_storage(request, observed) and not undo.is_over(request, observed):
        return observed
    try:
        return replace(observed, storage=storage(world))
    except EffectError as error:
        return replace(observed, storage_problem=error.message)


def _needs_storage(request: Request, observed: Judged) -> bool:
    due = sum(found.decision.decision == "removed" for found in observed.candidates)
    if not due:
        return False
    managed = sum(bool(record.document) for record in observed.records.values())
    asked = request.state in ("planned", "confirmed") or request.policy.confirmation
    allowed = timing(circumstances(request, observed))[0] in ("", "dry_run_mode")
    return asked or allowed or consent.may_be_over(request.policy, due, managed)


def plan(request: Request, observed: Observed) -> do.Plan:
    """Interrupted removals first, then undo records, then one entry for each managed VM, or for each that was named."""
    usage = Usage(observed.storage) if observed.storage is not None else None
    doubts = (*observed.damage, *(obstacles(usage) if usage is not None and request.state != "restored" else ()))
    if not isinstance(observed, Judged):
        entries = undo.restored(request, observed) if request.state == "restored" else undo.purged(request, observed)
        return do.Plan(tuple(entries), doubts, (), _conduct(request))
    _check_plan_id(request, observed)
    at = circumstances(request, observed)
    # a person who names VMs is not stopped by what others lost
    lost = ("", "") if request.by_person else losses(observed, observed.known)
    sweep = Sweep(request, observed, at, lost)
    begun = [] if request.state == "planned" else sweep.resumptions()  # a plan does nothing, not even that
    entries = sweep.entries()
    entries = [
        *begun,
        *undo.over(request, observed, at, [e.name for e in entries if e.decision == "removed"]),
        *entries,
    ]
    warnings = (*doubts, *filter(None, [lost[1]]))
    return do.Plan(tuple(entries), warnings, (*sweep.books, *_books(request, observed, at)), _conduct(request))


def _check_plan_id(request: Request, observed: Observed) -> None:
    """cleanup --plan ci-1 reads as a plan for ci-1, and is one of the whole host: an id is never what a VM is called."""
    wanted = request.plan_id or ""
    names = {text for domain in observed.domains for text in (domain.name, domain.uuid)}
    if request.state == "planned" and names & {wanted, wanted.lower()}:
        raise refuse(
            "plan_id_is_vm",
            f"{wanted} is a VM of this host; to plan for that VM write `vm-lifecycle cleanup {wanted} --plan`, VMs before --plan, "
            "and an id as --plan=ID; in a playbook give name and another plan_id",
            field="plan_id",
        )


def _conduct(request: Request) -> do.Conduct:
    policy = request.policy
    return do.Conduct(
        batch_size=policy.limit("cleanup_batch_size"),
        workers=policy.limit("max_concurrent_cleanups"),
        limits=Pressure() if "load" in request.ignore else policy.pressure_limits,
        max_attempts=policy.limit("max_cleanup_attempts"),
        log=bool(policy.document["log_cleanup_operations"]),
        alert=policy.alerts,
        unpooled=bool(policy.document["remove_unpooled_files"]),
    )


def _books(request: Request, observed: Observed, at: Circumstances) -> List[StoreChange]:
    """What a sweep of the whole host keeps in order: pools that it saw, plans and history that are over."""
    if request.named or not at.clock.sane or request.policy.dry_run:
        return []
    books: List[StoreChange] = [DropPlan(plan_id) for plan_id in consent.stale(observed.plans, at.now)]
    if observed.storage is not None:
        memory, _missed = pools_now(observed.pools, observed.storage.pools, at.now)
        if memory != dict(observed.pools):
            books.append(RememberPools(memory))
    existing = frozenset(domain.uuid for domain in observed.domains)
    now = int(at.now)
    books.append(Prune(now - request.policy.limit("retention_days") * 24 * HOUR, existing, now))
    return books


TASK = Task("vm_cleanup", decode, observe, plan, report, REMOVAL)
