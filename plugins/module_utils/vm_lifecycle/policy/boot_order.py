# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which VMs start: what is wrong with it, its waves, and the longest way through it.

A VM waits for every VM of a lower start_order to be done, well or badly, and for those that it depends on to be ready.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ..boots import Place
from ..errors import Problem

#: Seconds between two starts of a VM under on_start_failure: retry.
RETRY_PAUSE = 5.0


@dataclass(frozen=True)
class Declared:
    """A VM as far as others may depend on it. never: why it is never started at boot, "" if it may be."""

    place: Place
    never: str = ""


def problems(vms: Sequence[Declared], others: Sequence[str] = ()) -> List[Problem]:
    """Everything that is wrong with the order of a host's VMs. others: names of VMs that are not managed."""
    by_name = {vm.place.name: vm for vm in vms}
    found = [problem for vm in vms for problem in _dependencies(vm.place, by_name, frozenset(others))]
    ring = cycle({vm.place.name: vm.place.depends_on for vm in vms})
    if ring:
        found.append(Problem("cyclic_dependency", f"cycle {' -> '.join(ring)}", ring[0], "depends_on"))
    return found


def _dependencies(place: Place, by_name: Mapping[str, Declared], others: FrozenSet[str]) -> List[Problem]:
    found = []
    for name in dict.fromkeys(place.depends_on):
        other = by_name.get(name)
        if other is None:
            said = f"{name} is not managed, so nothing starts it; declare it first" if name in others else ""
            code = "never_started" if said else "unknown_dependency"
            found.append(Problem(code, said or f"this host has no VM {name}", place.name, "depends_on"))
        elif other.never:
            found.append(Problem("never_started", f"{name} {other.never}", place.name, "depends_on"))
        elif other.place.order > place.order and name != place.name:
            found.append(Problem("dependency_order", _later(place, other.place), place.name, "depends_on"))
    return found


def _later(place: Place, other: Place) -> str:
    if math.isinf(other.order):
        return f"{other.name} has no place in the order, so it comes last; declare one with vm_autostart"
    return f"{other.name} comes later: its start_order is {other.order:.0f}, and that of {place.name} {place.order:.0f}"


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
    """The critical path and its length in seconds, by how long each VM takes; by its worst case unless given by UUID."""
    waiting = waits_for(places)
    known = {place.uuid: place for place in places}
    taken = {uuid: worst_case(place) if seconds is None else seconds[uuid] for uuid, place in known.items()}
    ends: Dict[str, float] = {}
    previous: Dict[str, Optional[str]] = {}
    for wave in waves(places):
        for place in wave:
            last = max(sorted(waiting[place.uuid]), key=lambda uuid: ends[uuid], default=None)
            previous[place.uuid] = last
            ends[place.uuid] = (ends[last] if last else 0.0) + taken[place.uuid]
    at = max(sorted(ends), key=lambda uuid: ends[uuid], default=None)
    length, path = (ends[at] if at else 0.0), []
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
