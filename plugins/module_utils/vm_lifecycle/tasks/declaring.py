# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all calls that declare have in common: VMs that are not there, the order of the host, and their results."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from .. import metadata
from ..actions import SetLimit, WriteMetadata
from ..chain import Chain
from ..errors import Problem
from ..model import Document, Domain, Observed, Record
from ..plans import Conduct, Entry
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.order_check import Order, judge
from ..report import described
from ..schema import violations
from . import host as reads
from .habits import habits_of
from .limiting import WithLimits
from .targets import Wish

#: How declarations are carried out: none relies on another one.
CONDUCT = Conduct(writers=4)
#: What a row says of a limit in numbers.
AMOUNTS = ("live_mib", "persistent_mib", "live_processors", "persistent_processors")


def surroundings(domain: Domain, observed: Observed) -> Document:
    """What of the host counts for a declaration: units that are enabled, and what libvirt does when the guest ends."""
    enabled = {feature: feature in observed.features for feature in ("boot", "supervisor")}
    return {**enabled, "habits": habits_of(observed, domain.uuid)}


def was_removed(wish: Wish, observed: Observed) -> bool:
    """Whether a declared VM is missing because its time was over: a list of VMs outlives the temporary ones in it."""
    return wish.options.get("state", "present") == "present" and any(
        schedule.get("cleanup_status") == "completed"
        and (wish.uuid == uuid if wish.uuid else wish.name == schedule.get("vm_name"))
        for uuid, schedule in observed.schedules.items()
    )


def missing(wish: Wish, removed: bool) -> Entry:
    """The entry of a VM that this host does not have, and that does not refuse the call."""
    if removed:
        message = f"{wish.label}: removed by this host when its time was over"
        return Entry(wish.uuid or "", wish.label, "kept", "already_removed", message, warnings=(message,))
    return Entry(wish.uuid or "", wish.label, "kept", "unknown_vm", f"{wish.label}: this host has no such VM")


def place_problems(label: str, options: Mapping[str, Any], prefix: str = "") -> List[Problem]:
    """What is wrong with the options of a VmAutoStartConfig. label: the VM's name as far as it is known."""
    given = {key: value for key, value in options.items() if key != "state"}
    problems = [
        Problem("invalid_option", broken.rule, label, ", ".join(f"{prefix}{name}" for name in broken.field.split(", ")))
        for broken in violations("VmAutoStartConfig", {"vm_name": label, **given})
    ]
    if options.get("state", "present") not in ("present", "absent"):
        problems.append(Problem("invalid_option", "must be one of: present, absent", label, f"{prefix}state"))
    return problems


def order_problems(
    observed: Observed, entries: Sequence[Entry], placed: Collection[str]
) -> Tuple[List[Problem], Tuple[str, ...]]:
    """(problems of the host's order that refuse the call, warnings). placed: names of VMs whose place the call declares.

    A call that declares no place is warned of nothing but of the VMs that it names.
    """
    documents = {entry.uuid: entry.after or {} for entry in entries}
    known = [document for _domain, document in reads.managed(observed)]
    if not any((document.get("autostart") or {}).get("depends_on") for document in (*known, *documents.values())):
        return [], ()  # most hosts have no order, and pay for none
    refused, stays = judge(_order(observed), _order(observed, documents), placed)
    named = {entry.name for entry in entries}
    return refused, tuple(str(problem) for problem in stays if placed or problem.vm in named)


def _order(observed: Observed, documents: Optional[Mapping[str, Document]] = None) -> Order:
    vms = tuple(reads.declared(observed, documents))
    known = {vm.place.name for vm in vms}
    return Order(vms, tuple(domain.name for domain in observed.domains if domain.name not in known))


def report(policy: Optional[CleanupPolicy], observed: Observed, chains: List[Chain]) -> Document:
    """UX: changed, vms, and what a diff shows; from what was done, not from what was wished."""
    domains = {domain.uuid: domain for domain in observed.domains}
    vms = [_row(policy, observed, domains.get(chain.entry.uuid), chain) for chain in chains]
    return {
        "changed": any(vm["changed"] for vm in vms),
        "failed": any(vm.get("failed") for vm in vms),
        "vms": vms,
        "diff": {
            "before": {c.entry.name: _shown(c.entry.before, c, 0) for c in chains if c.changed},
            "after": {c.entry.name: _shown(c.entry.after, c, 1) for c in chains if c.changed},
        },
    }


def _shown(document: Optional[Document], chain: Chain, moment: int) -> Optional[Document]:
    """A declaration in a diff, with the limits as they were (0) or are (1), where those change."""
    if chain.entry.limits is None or not any(isinstance(action, SetLimit) for action in chain.done):
        return document
    return {**(document or {}), "limits_in_force": chain.entry.limits[moment]}


def _row(policy: Optional[CleanupPolicy], observed: Observed, domain: Optional[Domain], chain: Chain) -> Dict[str, Any]:
    entry = chain.entry
    if domain is None:
        return {
            "name": entry.name,
            "uuid": entry.uuid,
            "changed": False,
            "reason": entry.reason,
            "message": entry.message,
        }
    written = chain.error is None or any(isinstance(action, WriteMetadata) for action in chain.done)
    document = entry.after if written else _document_before(domain, observed)
    vm = described(domain, document, _record_after(observed, chain), policy, observed.features, observed.clock.now)
    vm.update(changed=chain.changed, message=entry.message)
    if isinstance(observed, WithLimits):
        vm["limits"] = _limits(chain)
    if chain.error is not None:
        vm.update(failed=True, reason=chain.error.code, message=chain.error.message)
    return vm


def _limits(chain: Chain) -> Optional[Document]:
    """How its limits stand after what was done; None when nobody looked at them. What failed is as it was before."""
    if chain.entry.limits is None or chain.error is None:
        return chain.entry.limits and chain.entry.limits[1]
    before, after = chain.entry.limits
    done = {(action.kind, action.persistent) for action in chain.done if isinstance(action, SetLimit)}
    planned = {(action.kind, action.persistent) for action in chain.entry.actions if isinstance(action, SetLimit)}
    found = {}
    for kind, row in before.items():
        names = [name for name in row if (kind, name.startswith("persistent_")) in done and name in AMOUNTS]
        found[kind] = {**row, **{name: after[kind][name] for name in names}}
        if any(limit == kind for limit, _persistent in planned - done):
            found[kind].update(reason=chain.error.code, message=chain.error.message)
    return found


def _record_after(observed: Observed, chain: Chain) -> Optional[Record]:
    for action in chain.done:
        record = getattr(action, "record", None)
        if isinstance(record, Record):
            return record
    return observed.records.get(chain.entry.uuid)


def _document_before(domain: Domain, observed: Observed) -> Optional[Document]:
    declaration = metadata.read(domain, observed.records.get(domain.uuid))
    return declaration.document if declaration.valid else None
