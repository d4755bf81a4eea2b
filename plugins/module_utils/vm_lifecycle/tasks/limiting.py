# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks that declare or report do with limits: they look at those of VMs with a policy, and settle what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Collection, Dict, List, Mapping, Optional, Tuple

from .. import metadata
from ..actions import Action, Entry, Guard, SetLimit, WriteMetadata
from ..errors import DomainGone, EffectError, refuse
from ..limits import Controllers, DiskUsage, LimitsSeen
from ..model import Document, Domain, Observed
from ..policy import limits as policy
from ..ports import World
from ..schema import with_defaults


@dataclass(frozen=True)
class WithLimits(Observed):
    """What was seen of a host, with the limits of those of its VMs that have a policy."""

    limits: Mapping[str, LimitsSeen] = field(default_factory=dict)
    controllers: Controllers = field(default_factory=Controllers)


def look(world: World, observed: Observed, uuids: Collection[str]) -> Tuple[Dict[str, LimitsSeen], Controllers]:
    """Limits of these VMs, and what the host can apply; a host without such VMs is not asked. Raises LifecycleError."""
    found: Dict[str, LimitsSeen] = {}
    domains = {domain.uuid: domain for domain in observed.domains}
    try:
        for uuid in uuids:
            if domains[uuid].persistent:
                try:
                    found[uuid] = world.hypervisor.limits(uuid)
                except DomainGone:
                    continue
    except EffectError as error:
        raise refuse(error.code, error.message) from error
    return found, world.host.controllers() if found else Controllers()


def usages(world: World, uuids: List[str]) -> Tuple[Dict[str, DiskUsage], Tuple[str, ...]]:
    """What disks of running VMs take, and what is in the way of knowing it: one VM must not hide the others.

    Raises LifecycleError when libvirt is away.
    """
    found: Dict[str, DiskUsage] = {}
    problems = []
    for uuid in uuids:
        try:
            usage = world.hypervisor.disk_usage(uuid)
        except DomainGone:
            continue
        except EffectError as error:
            if error.code == "connection_failed":
                raise refuse(error.code, error.message) from error
            problems.append(f"{uuid}: what its disks take is not known: {error.message}")
            continue
        if usage is not None:
            found[uuid] = usage
    return found, tuple(problems)


def concerned(domain: Domain, observed: Observed) -> bool:
    """Whether limits may have been set for the VM: it has a policy, by its metadata or by what the store knows."""
    record = observed.records.get(domain.uuid)
    documents = [record.document if record else {}, metadata.read(domain, record).document]
    return any(document.get("policy") or document.get("limits") for document in documents)


def settlement(document: Document, wish: Mapping[str, object]) -> Optional[policy.Settlement]:
    """What becomes of a VM's limits by a declaration, {} for one that is forgotten; None when nobody looked at them.

    document: as it will be, with the limits that were declared before. wish: seen, controllers.
    """
    seen, controllers = wish.get("seen"), wish.get("controllers")
    if not isinstance(seen, LimitsSeen) or not isinstance(controllers, Controllers):
        return None
    return _settled(document, seen, controllers)


def _settled(document: Document, seen: LimitsSeen, controllers: Controllers) -> policy.Settlement:
    declared = document.get("policy")
    whole = None if declared is None else with_defaults("VmLifecyclePolicy", declared)
    return policy.settle(whole, document.get("limits") or {}, seen, controllers)


def around(uuid: str, actions: List[Action], settled: Optional[policy.Settlement], guard: Guard) -> List[Action]:
    """The actions with those for limits: what is lifted goes before the declaration forgets it, what is set follows it."""
    if settled is None:
        return actions
    written = any(isinstance(action, WriteMetadata) for action in actions)
    lifted, set_ = [], []
    for kind, amount, persistent in settled.changes():
        if amount:
            set_.append(SetLimit(uuid, kind, amount, persistent, None if written else guard))
        else:
            lifted.append(SetLimit(uuid, kind, amount, persistent, guard))
    return [*lifted, *actions, *set_]


def shown(entry: Entry, settled: Optional[policy.Settlement]) -> Entry:
    """The entry, with its limits as they stand now and afterwards."""
    return entry if settled is None else replace(entry, limits=(settled.rows(False), settled.rows(True)))


def remarks(entries: Collection[Entry]) -> List[str]:
    """Warnings about limits that are not as they were declared."""
    return policy.remarks([(entry.name, entry.limits[1]) for entry in entries if entry.limits is not None])


def rows(document: Optional[Document], seen: Optional[LimitsSeen], controllers: Controllers) -> Optional[Document]:
    """How a VM's limits stand, for those who change nothing; None for a VM without a policy."""
    if document is None or seen is None:
        return None
    return _settled(document, seen, controllers).rows(False)
