# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle limits: running VMs are kept within the limits of their policies. The supervisor does it by itself.

A VM that was started is limited where its definition can't be, and one whose disks take more than they may is paused.
Definitions are what declarations change, not this.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from .. import metadata
from ..actions import Action, Guard, Pause, SetLimit
from ..apply import LIMITS
from ..chain import Chain
from ..frozen import dataclass
from ..limits import DiskUsage
from ..metadata import digest
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy import disk_limit
from ..ports import World
from ..run import Task
from . import limiting
from . import observe as reads

#: States of a domain whose guest goes on.
GOING = ("running", "blocked")


@dataclass(frozen=True)
class Request:
    """uuids: VMs in question, None for all. groups: whether memory and processor time are looked at, too."""

    uuids: Optional[FrozenSet[str]]
    groups: bool


@dataclass(frozen=True)
class Running(limiting.WithLimits):
    """Running VMs with a policy, and what their disks take."""

    usage: Mapping[str, DiskUsage] = field(default_factory=dict)
    #: What is in the way of knowing that.
    unknown: Tuple[str, ...] = ()


def decode(document: Mapping[str, Any], _world: World) -> Request:
    """uuids and groups are for the supervisor; a person asks for all."""
    uuids = document.get("uuids")
    return Request(None if uuids is None else frozenset(uuids), bool(document.get("groups", True)))


def observe(request: Request, world: World) -> Running:
    """Running VMs alone; and disks of those alone that are limited."""
    seen = reads.whole(world)
    chosen = _chosen(request, seen)
    limits, controllers = limiting.look(world, seen, [uuid for uuid in chosen if request.groups])
    limited = [uuid for uuid, (_domain, document) in chosen.items() if document["policy"].get("enforce_disk_limit")]
    usage, problems = limiting.usages(world, limited)
    return Running(**vars(seen), limits=limits, controllers=controllers, usage=usage, unknown=problems)


def _chosen(request: Request, observed: Observed) -> Dict[str, Tuple[Domain, Document]]:
    """UUID -> (VM, declaration) of running VMs with a policy; those that are held from everything are left alone."""
    found = {}
    for domain in observed.domains:
        if (
            not domain.active
            or not domain.persistent
            or (request.uuids is not None and domain.uuid not in request.uuids)
        ):
            continue
        carried = metadata.read(domain, observed.records.get(domain.uuid))
        document = carried.document
        held = (document.get("hold") or {}).get("scope") == "everything"
        if carried.valid and document.get("policy") and not held:
            found[domain.uuid] = (domain, document)
    return found


def plan(request: Request, observed: Observed) -> Plan:
    """An entry for each VM to which something is done, or of which something is to be said."""
    if not isinstance(observed, Running):
        raise TypeError("running VMs were not looked at")
    entries = [_entry(domain, document, observed) for domain, document in _chosen(request, observed).values()]
    return Plan(tuple(entry for entry in entries if entry is not None), (*observed.unknown, *observed.damage))


def _entry(domain: Domain, document: Document, observed: Running) -> Optional[Entry]:
    guard = Guard(domain.uuid, digest(domain.metadata))
    settled = limiting.settlement(
        document, {"seen": observed.limits.get(domain.uuid), "controllers": observed.controllers}
    )
    changes = [] if settled is None else settled.changes()
    actions: List[Action] = [
        SetLimit(domain.uuid, kind, amount, False, guard) for kind, amount, lasting in changes if amount and not lasting
    ]
    usage, policy = observed.usage.get(domain.uuid), document["policy"]
    reason, message = "limit_enforced", "limited, as its policy says"
    if usage is not None and disk_limit.verdict(policy, usage) != "limit_enforced":
        reason, message = disk_limit.verdict(policy, usage), disk_limit.words(policy, usage)
    if reason == "disk_limit_reached" and domain.power_state in GOING and not domain.passing:
        actions.append(Pause(guard))
    if not actions and reason == "limit_enforced":
        return None
    word = "paused" if reason == "disk_limit_reached" else "limited" if actions else "kept"
    return Entry(domain.uuid, domain.name, word, reason, f"{domain.name}: {message}", tuple(actions))


def report(_request: Request, _observed: Observed, chains: List[Chain]) -> Document:
    """changed, failed, and the VMs that were limited or paused, or of which something is to be said."""
    rows = []
    for chain in chains:
        entry = chain.entry
        row: Document = {"name": entry.name, "uuid": entry.uuid, "changed": chain.changed}
        row.update(decision=entry.decision, reason=entry.reason, message=entry.message)
        if chain.error is not None:
            row.update(failed=True, decision="failed", reason=chain.error.code, message=chain.error.message)
        rows.append(row)
    return {
        "changed": any(row["changed"] for row in rows),
        "failed": any(row.get("failed") for row in rows),
        "vms": rows,
    }


TASK = Task("limits", decode, observe, plan, report, LIMITS)
