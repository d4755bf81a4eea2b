# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which VMs start: what is wrong with it, its waves, and the longest way through it.

A VM waits for every VM of a lower start_order to be done, well or badly, and for those that it depends on to be ready.
"""

from __future__ import annotations

import math
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Collection, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set, Tuple

from ..errors import Problem
from ..frozen import dataclass

if TYPE_CHECKING:
    from ..boots import Place

#: Seconds between two starts of a VM under on_start_failure: retry.
RETRY_PAUSE = 5.0


@dataclass(frozen=True)
class Declared:
    """A VM as far as others may depend on it. never: why it is never started at boot, "" if it may be."""

    place: Place
    never: str = ""


@dataclass(frozen=True)
class Broken:
    """A dependency that can't be kept. lost: what is wrong with the VM depended on, as a predicate; "" if it only comes later."""

    vm: str
    dependency: str
    code: str
    message: str
    lost: str = ""


def problems(vms: Sequence[Declared], others: Sequence[str] = (), first: Collection[str] = ()) -> List[Problem]:
    """Everything that is wrong with the order of a host's VMs. others: names of VMs that are not managed. first: as of rings."""
    found = [Problem(each.code, each.message, each.vm, "depends_on") for each in broken(vms, others)]
    return [*found, *(ring_problem(ring) for ring in rings(dependencies(vms), first))]


def ring_problem(ring: Sequence[str]) -> Problem:
    """The problem of a ring, said of the VM that begins it."""
    return Problem("cyclic_dependency", f"cycle {' -> '.join(ring)}", ring[0], "depends_on")


def dependencies(vms: Sequence[Declared]) -> Dict[str, Tuple[str, ...]]:
    """Name -> names that it depends on."""
    return {vm.place.name: vm.place.depends_on for vm in vms}


def broken(vms: Sequence[Declared], others: Sequence[str] = ()) -> List[Broken]:
    """Every dependency that can't be kept, but for those that only are part of a ring."""
    by_name, unmanaged = {vm.place.name: vm for vm in vms}, frozenset(others)
    return [
        found
        for vm in vms
        for name in dict.fromkeys(vm.place.depends_on)
        for found in [_broken(vm.place, name, by_name.get(name), name in unmanaged)]
        if found is not None
    ]


def _broken(place: Place, name: str, other: Optional[Declared], unmanaged: bool) -> Optional[Broken]:
    if other is None and unmanaged:
        said = f"{name} is not managed, so nothing starts it; declare it first"
        return Broken(place.name, name, "never_started", said, "is not managed")
    if other is None:
        return Broken(place.name, name, "unknown_dependency", f"this host has no VM {name}", "is gone")
    if other.never:
        return Broken(place.name, name, "never_started", f"{name} {other.never}", other.never)
    if other.place.order <= place.order or name == place.name:
        return None
    if math.isinf(other.place.order):
        said = f"{name} has no place in the order, so it comes last; declare one with vm_autostart"
        return Broken(place.name, name, "dependency_order", said, "has no place in the order")
    said = f"{name} comes later: its start_order is {other.place.order:.0f}, and that of {place.name} {place.order:.0f}"
    return Broken(place.name, name, "dependency_order", said)


def rings(depends_on: Mapping[str, Sequence[str]], first: Collection[str] = ()) -> List[List[str]]:
    """Rings of names, each depending on the next, that end where they began: at least one for every VM that is in any.

    VMs of first begin the rings that they are in.
    """
    if not cycle(depends_on):
        return []
    found: List[List[str]] = []
    known: Set[str] = set()
    for name in [*sorted(set(first) & set(depends_on)), *sorted(depends_on)]:
        ring = [] if name in known else _shortest_ring(name, depends_on)
        if ring:
            found.append(ring)
            known.update(ring)
    return found


def _shortest_ring(name: str, depends_on: Mapping[str, Sequence[str]]) -> List[str]:
    paths: Dict[str, List[str]] = {}
    at = [[name]]
    while at:
        following = [[*path, each] for path in at for each in depends_on.get(path[-1], ())]
        at = []
        for path in following:
            if path[-1] == name:
                return path
            if path[-1] not in paths:
                paths[path[-1]] = path
                at.append(path)
    return []


def cycle(depends_on: Mapping[str, Sequence[str]]) -> List[str]:
    """A ring of names, each depending on the next, that ends where it began; [] when there is none."""
    known = {name: [each for each in others if each in depends_on] for name, others in sorted(depends_on.items())}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        ring: List[str] = error.args[1][::-1]  # graphlib tells it from the dependency to the one that needs it
        first = ring.index(min(ring))
        return [*ring[first:-1], *ring[: first + 1]]
    return []


def sound(places: Sequence[Place]) -> List[Place]:
    """The same VMs without dependencies that can't be kept: on a VM of a higher order, or in a ring.

    Declarations have none of them, but a rename can make one; VMs go down all the same.
    """
    orders = {place.name: place.order for place in places}
    kept = {
        place.name: [name for name in place.depends_on if orders.get(name, math.inf) <= place.order] for place in places
    }
    ring = cycle(kept)
    while ring:
        for name in ring:
            kept[name] = [other for other in kept[name] if other not in ring]
        ring = cycle(kept)
    return [replace(place, depends_on=tuple(kept[place.name])) for place in places]


def waits_for(places: Sequence[Place]) -> Dict[str, FrozenSet[str]]:
    """UUID -> UUIDs of the VMs that must be done before its turn comes, those of the next lower order alone.

    VMs of still lower orders are done before those are.
    """
    by_name = {place.name: place.uuid for place in places}
    orders = sorted({place.order for place in places})
    lower: Dict[float, FrozenSet[str]] = {}
    for earlier, order in zip([None, *orders], orders):
        lower[order] = frozenset(place.uuid for place in places if place.order == earlier)
    return {
        place.uuid: lower[place.order]
        | frozenset(by_name[name] for name in place.depends_on if name in by_name and by_name[name] != place.uuid)
        for place in places
    }


def waves(places: Sequence[Place]) -> List[List[Place]]:
    """VMs that may start at the same time, in their order; within a wave by name. Raises CycleError."""
    known = {place.uuid: place for place in places}
    sorter = TopologicalSorter(waits_for(places))
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        sorter.done(*ready)
        found.append(sorted((known[uuid] for uuid in ready), key=lambda place: (place.order, place.name)))
    return found


def longest(places: Sequence[Place], seconds: Optional[Mapping[str, float]] = None) -> Tuple[List[Place], float]:
    """The critical path and its length in seconds, by how long each VM takes; by its worst case unless given by UUID.

    Of ways that are equally long it is one to the last wave.
    """
    waiting = waits_for(places)
    known = {place.uuid: place for place in places}
    taken = {uuid: worst_case(place) if seconds is None else seconds[uuid] for uuid, place in known.items()}
    ends: Dict[str, Tuple[float, int]] = {}
    previous: Dict[str, Optional[str]] = {}
    for number, wave in enumerate(waves(places)):
        for place in wave:
            last = max(sorted(waiting[place.uuid]), key=lambda uuid: ends[uuid], default=None)
            previous[place.uuid] = last
            ends[place.uuid] = ((ends[last][0] if last else 0.0) + taken[place.uuid], number)
    at = max(sorted(ends), key=lambda uuid: ends[uuid], default=None)
    length, path = (ends[at][0] if at else 0.0), []
    while at is not None:
        path.append(known[at])
        at = previous[at]
    return path[::-1], length


def worst_case(place: Place) -> float:
    """Seconds that a VM may keep others waiting: what was declared, without what its starts themselves take."""
    patience = place.ssh_timeout if place.wait_for_ssh else 0.0
    if place.on_failure != "retry":
        return place.delay + patience
    return place.delay + (place.retries - 1) * RETRY_PAUSE + 2 * patience


def reversed_order(places: Sequence[Place]) -> Dict[str, FrozenSet[str]]:
    """UUID -> UUIDs of the VMs that must be down before this one is stopped: the other way round than at boot."""
    found: Dict[str, List[str]] = {place.uuid: [] for place in places}
    for uuid, earlier in waits_for(places).items():
        for each in earlier:
            found[each].append(uuid)
    return {uuid: frozenset(later) for uuid, later in found.items()}
