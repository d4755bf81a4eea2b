# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks that declare or report do with limits: they look at those of VMs with a policy, and settle what becomes of them."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Collection, Dict, List, Mapping, Optional, Tuple

from .. import metadata
from ..actions import Action, Guard, SetLimit, SetPanicDevice, WriteMetadata
from ..errors import DomainGone, EffectError, refuse
from ..frozen import dataclass
from ..limits import Controllers, DiskUsage, LimitsSeen
from ..model import Document, Domain, Observed
from ..plans import Entry
from ..policy import disk_limit, panic_device
from ..policy import limits as policy
from ..ports import World
from ..schema import with_defaults
from .host import HostSeen, managed


@dataclass(frozen=True)
class WithLimits(Observed):
    """What was seen of a host, with the limits of those of its VMs that have a policy."""

    limits: Mapping[str, LimitsSeen] = field(default_factory=dict)
    controllers: Controllers = field(default_factory=Controllers)
    #: Whether definitions have a panic device, of VMs that it matters for.
    panic_devices: Mapping[str, bool] = field(default_factory=dict)


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


def panic_devices(world: World, uuids: Collection[str]) -> Dict[str, bool]:
    """Whether definitions have a panic device. Raises LifecycleError."""
    found = {}
    try:
        for uuid in uuids:
            try:
                found[uuid] = world.hypervisor.has_panic_device(uuid)
            except DomainGone:
                continue
    except EffectError as error:
        raise refuse(error.code, error.message) from error
    return found


def panicking(domain: Domain, observed: Observed) -> bool:
    """Whether a panic device matters for the VM, by what was declared before."""
    record = observed.records.get(domain.uuid)
    documents = [record.document if record else {}, metadata.read(domain, record).document]
    return any(
        document.get("panic_device_added") or (document.get("policy") or {}).get("panic_device")
        for document in documents
    )


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


@dataclass(frozen=True)
class Alterations:
    """What a declaration changes beside the metadata: limits, and True or False for a panic device that comes or goes."""

    settled: Optional[policy.Settlement] = None
    panic_device: Optional[bool] = None


def altered(document: Document, wish: Mapping[str, object]) -> Tuple[Document, Alterations]:
    """The declaration, with what is recorded of the alterations in it, and those; none of what nobody looked at.

    document: as it will be, with what was recorded before. wish: seen, controllers, panic_device.
    """
    settled, change = settlement(document, wish), None
    if settled is not None:
        document = _with(document, "limits", settled.recorded)
    there = wish.get("panic_device")
    if there is not None:
        wanted = bool((document.get("policy") or {}).get("panic_device"))
        change, ours = panic_device.settle(wanted, bool(document.get("panic_device_added")), bool(there))
        document = _with(document, "panic_device_added", ours or None)
    return document, Alterations(settled, change)


def _with(document: Document, key: str, value: object) -> Document:
    rest = {name: each for name, each in document.items() if name != key}
    return rest if value is None else {**rest, key: value}


def settlement(document: Document, wish: Mapping[str, object]) -> Optional[policy.Settlement]:
    """What becomes of a VM's limits by a declaration, {} for one that is forgotten; None when nobody looked at them.

    document: as it will be, with the limits that were declared before.
    """
    seen, controllers = wish.get("seen"), wish.get("controllers")
    if not isinstance(seen, LimitsSeen) or not isinstance(controllers, Controllers):
        return None
    return _settled(document, seen, controllers)


def _settled(document: Document, seen: LimitsSeen, controllers: Controllers) -> policy.Settlement:
    declared = document.get("policy")
    whole = None if declared is None else with_defaults("VmLifecyclePolicy", declared)
    return policy.settle(whole, document.get("limits") or {}, seen, controllers)


def around(uuid: str, actions: List[Action], alterations: Alterations, guard: Guard) -> List[Action]:
    """The actions with the alterations: what goes is taken away before the declaration forgets it, what comes follows it."""
    written = None if any(isinstance(action, WriteMetadata) for action in actions) else guard
    first: List[Action] = []
    last: List[Action] = []
    if alterations.panic_device is not None:
        coming = alterations.panic_device
        (last if coming else first).append(SetPanicDevice(uuid, coming, written if coming else guard))
    for kind, amount, persistent in alterations.settled.changes() if alterations.settled else ():
        (last if amount else first).append(SetLimit(uuid, kind, amount, persistent, written if amount else guard))
    return [*first, *actions, *last]


def shown(entry: Entry, alterations: Alterations) -> Entry:
    """The entry, with its limits as they stand now and afterwards."""
    settled = alterations.settled
    return entry if settled is None else replace(entry, limits=(settled.rows(False), settled.rows(True)))


def remarks(entries: Collection[Entry]) -> List[str]:
    """Warnings about limits that are not as they were declared."""
    return policy.remarks([(entry.name, entry.limits[1]) for entry in entries if entry.limits is not None])


def with_limits(seen: HostSeen, world: World) -> HostSeen:
    """The same, with how limits of managed VMs stand, for those who change nothing. Raises LifecycleError."""
    limits, controllers = look(world, seen, [domain.uuid for domain in seen.domains if concerned(domain, seen)])
    declared = {domain.uuid: document for domain, document in managed(seen)}
    asking = [uuid for uuid, document in declared.items() if (document.get("policy") or {}).get("enforce_disk_limit")]
    usage, _problems = usages(world, asking)
    limited = {}
    for uuid, document in declared.items():
        if uuid in limits:
            rows = _settled(document, limits[uuid], controllers).rows(False)
            limited[uuid] = {**rows, "disk": disk_limit.row(document.get("policy"), usage.get(uuid))}
    return replace(seen, limited=limited)
