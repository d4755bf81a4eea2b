# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has to be asked before it goes: caps, confirmation, and the plan that is stored for that."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Sequence, Tuple

from .. import actions as do
from ..changes import QueueNotice, RememberPlan, StoreChange
from ..errors import refuse
from ..model import Observed
from ..policy import consent, notice
from ..policy.gate import Circumstances
from ..removals import SeenVm
from .scope import Request, plan_of, targets

Entries = Dict[str, do.Entry]


def waits(entry: do.Entry, reason: str, detail: str) -> do.Entry:
    """The entry, put off."""
    return replace(entry, decision="waiting", reason=reason, message=f"{entry.name}: {detail}")


def seen_vm(entry: do.Entry) -> SeenVm:
    """The VM as a person sees it in a plan, and confirms it."""
    scheduled = (entry.schedule or {}).get("scheduled_cleanup_at")
    return SeenVm(entry.uuid, entry.name, consent.vm_digest(entry.uuid, scheduled, entry.verdicts))


def ask(
    request: Request, observed: Observed, at: Circumstances, due: Sequence[str], entries: Entries
) -> List[StoreChange]:
    """Put off, in entries, what was not confirmed as it is now and can't go without; returns what to store.

    due: UUIDs. Over a cap all of them wait, never the first few: which ones go must not hang on an order.
    """
    seen = [seen_vm(entries[uuid]) for uuid in due]
    if request.state == "confirmed":
        return _confirmed(request, observed, at, seen, entries)
    agreed = consent.confirmed(observed.plans, at.now)
    asking = [vm for vm in seen if vm.digest not in agreed.get(vm.uuid, set())]
    reason, why = _reason(request, observed, asking, entries)
    if request.state == "planned":
        asking, reason, why = seen, "planned", "it was asked for"
    if not reason or not (asking or request.plan_id):
        return []  # a plan that was asked for by name is there to be confirmed, even if it says that nothing goes
    plan_id, books = _stored(request, observed, at, asking, (reason, why))
    for vm in asking:
        entries[vm.uuid] = waits(entries[vm.uuid], reason, f"{why}; confirm plan {plan_id}")
    return books


def _confirmed(
    request: Request, observed: Observed, at: Circumstances, seen: List[SeenVm], entries: Entries
) -> List[StoreChange]:
    """Never more than was seen: what changed since drops out, and needs a plan of its own."""
    only = frozenset(targets(request, observed)[0]) if request.named else None
    known = plan_of(request, observed)
    mine = consent.confirm(known, at.now, only)
    agreed = consent.confirmed((mine,), at.now)
    for vm in seen:
        if vm.digest not in agreed.get(vm.uuid, set()):
            entries[vm.uuid] = waits(entries[vm.uuid], "dropped_out", "it changed since the plan was made")
    return [RememberPlan(mine)] if mine != known and at.clock.sane and not request.policy.dry_run else []


def _reason(request: Request, observed: Observed, asking: List[SeenVm], entries: Entries) -> Tuple[str, str]:
    """Why a person has to be asked, as (code, words)."""
    if request.policy.confirmation:
        return "unconfirmed", "require_confirmation is on"
    mine = {vm.uuid for vm in asking}
    existing = {domain.uuid for domain in observed.domains}
    begun = sum(intent.uuid in existing - mine for intent in observed.intents)
    managed = sum(bool(record.document) for record in observed.records.values())
    size = sum(consent.removed_bytes(entries[vm.uuid].verdicts) for vm in asking)
    over = consent.over_caps(request.policy, len(asking), size, managed, begun)
    return ("over_cap", over) if over else ("", "")


def _stored(
    request: Request, observed: Observed, at: Circumstances, vms: List[SeenVm], why: Tuple[str, str]
) -> Tuple[str, List[StoreChange]]:
    """The plan's id, and what to store; a plan that waits already is left as it is."""
    new = consent.plan_for(vms, request.plan_id, at.now)
    known = consent.by_id(observed.plans).get(new.plan_id)
    if consent.conflict(known, new, at.now):
        raise refuse("plan_id_taken", f"another plan is stored as {new.plan_id}", field="plan_id")
    if not consent.needs_storing(known, at.now) or request.policy.dry_run:
        return new.plan_id, []
    notices = [] if why[0] == "planned" else [QueueNotice(notice.confirmation(new, why[1]))]
    return new.plan_id, [RememberPlan(new), *notices]
