# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_recovery: keep what is needed to make VMs again, and bring them to the state that they had, or say why not."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from .. import actions as do
from .. import metadata
from ..chain import Chain
from ..errors import EffectError, LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..model import Document, Domain, Observed
from ..policy.host_boot import policy_of
from ..policy.power import UP, seen
from ..policy.recovery import difference, document, recovery_of, state_of
from ..ports import World
from ..recoveries import Configuration, MemoryFacts, Recovery
from ..recovering import RECOVERY
from ..run import Task
from . import host as reads
from .host import HostSeen
from .recovery_request import Request, decode
from .targets import Wish, resolve, unknown_problems


@dataclass(frozen=True)
class RecoverySeen(HostSeen):
    """What was seen of a host, with what is kept of its VMs."""

    recoveries: Mapping[str, Recovery] = field(default_factory=dict)
    #: Definitions and saved memory as they are now, of VMs that exist and are in question.
    configurations: Mapping[str, Configuration] = field(default_factory=dict)
    saved_memory: Mapping[str, MemoryFacts] = field(default_factory=dict)
    #: VMs whose removal has begun, or can be undone: those are no losses.
    leaving: FrozenSet[str] = frozenset()


def observe(request: Request, world: World) -> RecoverySeen:
    """Definitions and memory of the VMs in question only."""
    seen = reads.whole(world)
    try:
        kept = world.store.recoveries()
        wanted = {wish.uuid or wish.name for wish in request.named}
        asked = [
            domain
            for domain in seen.domains
            if (domain.uuid in wanted or domain.name in wanted or not wanted) and domain.persistent
            and (domain.uuid in kept or metadata.read(domain, seen.records.get(domain.uuid)).valid)
        ]  # fmt: skip
        return RecoverySeen(
            **vars(seen),
            recoveries=kept,
            configurations={domain.uuid: world.hypervisor.configuration(domain.uuid) for domain in asked},
            leaving=frozenset(
                [each.uuid for each in seen.intents] + [each.uuid for each in world.store.undo_records()]
            ),
            saved_memory={domain.uuid: world.hypervisor.memory_facts(domain.uuid) for domain in asked},
        )
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def plan(request: Request, observed: Observed) -> do.Plan:
    """An entry for each VM in question. A named one that can't be served refuses the call before anything is touched.

    Of all that are on record, such a one has failed, and the others go on.
    """
    if not isinstance(observed, RecoverySeen):
        raise TypeError("a recovery observes its host")
    if request.lost:
        lost = [
            kept
            for kept in observed.recoveries.values()
            if not kept.removed and kept.uuid not in observed.leaving and not _exists(observed, kept.uuid)
        ]
        return do.Plan(tuple(_made(kept) for kept in sorted(lost, key=lambda each: each.name)))
    known = {kept.uuid: kept.name for kept in observed.recoveries.values()}
    for wish in request.named:
        if wish.options.get("recovery") is not None:
            kept = recovery_of(wish.options["recovery"])
            known.setdefault(kept.uuid, kept.name)
    found, unknown, problems = resolve(_with_names(request.named), observed.domains, known)
    if not request.skip_missing:
        problems += unknown_problems(unknown)
    chosen = [(uuid, name, wish.options) for wish, uuid, name in found] if request.named else _all(request, observed)
    entries: List[do.Entry] = []
    for uuid, name, options in chosen:
        entry = PLANS[request.state](observed, uuid, name, options)
        if isinstance(entry, Problem) and not request.named:
            entry = do.Entry(uuid, name, "failed", entry.code, f"{name}: {entry.message}")
        problems += [entry] if isinstance(entry, Problem) else []
        entries += [entry] if isinstance(entry, do.Entry) else []
    if problems:
        raise LifecycleError(problems)
    skipped = [
        do.Entry(wish.uuid or "", wish.label, "kept", "unknown_vm", f"{wish.label}: no such VM here")
        for wish in unknown
    ]
    captured = {uuid for uuid, _name, _options in chosen if request.state == "captured"}
    books = [change for change in reads.states_now(observed) if change.state.uuid in captured]
    return do.Plan((*entries, *skipped), observed.damage, tuple(books))


def _with_names(named: Tuple[Wish, ...]) -> List[Wish]:
    """A document of elsewhere names its VM, by its UUID."""
    found = []
    for wish in named:
        given = wish.options.get("recovery")
        found.append(replace(wish, uuid=given["vm_id"]) if given is not None else wish)
    return found


def _all(request: Request, observed: RecoverySeen) -> List[Tuple[str, str, Document]]:
    if request.state == "captured":
        return [(domain.uuid, domain.name, {}) for domain, _document in reads.managed(observed)]
    records = sorted(observed.recoveries.values(), key=lambda kept: kept.name)
    return [
        (kept.uuid, kept.name, {})
        for kept in records
        if not kept.removed and (kept.uuid not in observed.leaving or _exists(observed, kept.uuid))
    ]


def _exists(observed: Observed, uuid: str) -> Optional[Domain]:
    return next((domain for domain in observed.domains if domain.uuid == uuid), None)


def _made(kept: Recovery) -> do.Entry:
    """A VM whose definition is lost, as a boot makes it again: how it comes up is the boot's to say."""
    said = f"{kept.name}: its definition was lost, and is made again"
    return do.Entry(
        kept.uuid, kept.name, "restored", "definition_lost", said, (do.Redefine(kept),), warnings=_without_secrets(kept)
    )


def _without_secrets(kept: Recovery) -> Tuple[str, ...]:
    """What its definition had and its record has not: nothing that is kept may be used to get into a VM."""
    if not kept.configuration.omitted_secrets:
        return ()
    said = "its record has no secrets, such as the password of its display, which asks for none now: set them again"
    return (f"{kept.name}: {said} (virsh edit {kept.name})",)


def _captured(observed: RecoverySeen, uuid: str, name: str, options: Document) -> do.Entry | Problem:
    domain = _exists(observed, uuid)
    if domain is None:
        return Problem("unknown_vm", "this host has no such VM now; restore it first", name)
    carried = metadata.read(domain, observed.records.get(uuid))
    if not carried.valid:
        return Problem("not_managed", "no lifecycle was declared for it that could be acted on", name)
    saves = bool(options.get("memory") or options.get("memory_path"))
    kept, here = observed.recoveries.get(uuid), observed.configurations.get(uuid)
    same = (
        kept is not None and here is not None and kept.configuration == here and kept.name == name and not kept.removed
    )
    if same and not (saves and domain.power_state in UP):
        return do.Entry(uuid, name, "kept", "captured", f"{name}: on record as it is")
    created = int(carried.document["persistence"]["created_at_unix"])
    guard = do.Guard(uuid, metadata.digest(domain.metadata))
    action = do.Capture(guard, created, saves, str(options.get("memory_path") or ""))
    said = f"{name}: {'configuration and memory are' if saves else 'its configuration is'} on record"
    return do.Entry(uuid, name, "captured", "captured", said, (action,))


def _restored(observed: RecoverySeen, uuid: str, name: str, options: Document) -> do.Entry | Problem:
    given = options.get("recovery")
    kept = recovery_of(given) if given is not None else observed.recoveries.get(uuid)
    if kept is None:
        return Problem("nothing_recorded", "nothing is on record of it; capture it first", name)
    domain, here = _exists(observed, uuid), observed.configurations.get(uuid)
    if domain is None and uuid in observed.leaving:
        return Problem(
            "nothing_recorded", "this host removed it; bring it back with vm-lifecycle undo, if it still can", name
        )
    namesake = next((each for each in observed.domains if each.name == kept.name and each.uuid != uuid), None)
    if namesake is not None and domain is None:
        return Problem("name_taken", f"the VM {namesake.uuid} has its name now", name)
    if domain is not None and here is not None:
        lines = difference(kept.configuration.xml, here.xml)
        if lines:
            return Problem("definition_differs", "it has another definition now:\n" + "\n".join(lines), name)
    state = (
        given["state_before_shutdown"]
        if given is not None
        else state_of(observed.states.get(uuid), observed.clock.boot_id)
    )
    actions: List[do.Action] = [] if domain is not None else [do.Redefine(kept)]
    document_now = _document(observed, uuid)
    held = (document_now.get("hold") or {}).get("scope") == "everything"
    if state != "stopped" and (domain is None or domain.power_state not in UP) and not held:
        choice = options.get("on_restore_failure") or policy_of(document_now)["on_restore_failure"]
        path = str(
            options.get("memory_path") or (kept.memory.path if kept.memory is not None and given is None else "")
        )
        actions.append(do.Bring(uuid, state, path, choice))
    if not actions:
        return do.Entry(uuid, name, "kept", "as_recorded", f"{name}: it is {state}, as on record")
    made = "defined again and " if domain is None else ""
    warnings = _without_secrets(kept) if domain is None else ()
    said = f"{name}: {made}{state}, as on record"
    return do.Entry(uuid, name, "restored", "restored_state", said, tuple(actions), warnings=warnings)


def _document(observed: RecoverySeen, uuid: str) -> Document:
    """What is declared of a VM, as far as it is known here."""
    domain, record = _exists(observed, uuid), observed.records.get(uuid)
    carried = metadata.read(domain, record) if domain is not None else None
    if carried is not None and carried.valid:
        return carried.document
    return record.document if record is not None else {}


def _absent(observed: RecoverySeen, uuid: str, name: str, _options: Document) -> do.Entry | Problem:
    if uuid not in observed.recoveries:
        return do.Entry(uuid, name, "kept", "nothing_kept", f"{name}: nothing is on record of it")
    said = f"{name}: nothing is on record of it any more"
    return do.Entry(uuid, name, "forgotten", "nothing_kept", said, (do.DropRecovery(uuid),))


PLANS = {"captured": _captured, "restored": _restored, "absent": _absent}


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """A row for each VM, with its VmRecoveryState."""
    if not isinstance(observed, RecoverySeen):
        raise TypeError("a recovery observes its host")
    rows = [_row(request, observed, chain) for chain in chains]
    return {
        "changed": any(row["changed"] for row in rows),
        "failed": any(row.get("failed") for row in rows),
        "vms": rows,
        "diff": {
            "before": {row["name"]: "as it is" for row in rows if row["changed"]},
            "after": {row["name"]: row["message"] for row in rows if row["changed"]},
        },
    }


def _row(request: Request, observed: RecoverySeen, chain: Chain) -> Dict[str, Any]:
    entry = chain.entry
    domain = _exists(observed, entry.uuid)
    kept = chain.kept or observed.recoveries.get(entry.uuid)
    state = None
    if kept is not None and request.state != "absent":
        clock, last = observed.clock, observed.states.get(entry.uuid)
        if request.state == "captured" and domain is not None:
            last = seen(last, domain, clock.now, clock.boot_id)
        state = document(kept, last, clock.boot_id, observed.saved_memory.get(entry.uuid))
    changed = chain.changed or any(isinstance(action, (do.Capture, do.DropRecovery)) for action in chain.done)
    said = f"{entry.name}: {chain.way}" if chain.way else entry.message
    row: Dict[str, Any] = {
        "name": entry.name, "uuid": entry.uuid, "changed": changed, "decision": entry.decision, "reason": entry.reason,
        "message": said, "power_state": domain.power_state if domain is not None else None,
        "recovery": state,
    }  # fmt: skip
    if chain.error is not None:
        row.update(
            failed=True, decision="failed", reason=chain.error.code, message=f"{entry.name}: {chain.error.message}"
        )
    elif entry.decision == "failed":
        row["failed"] = True
    return row


TASK = Task("vm_recovery", decode, observe, plan, report, RECOVERY)
