# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next boot of a host would do, as a call that declares leaves it: waves, critical path, and each VM's reason."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Dict, List, Mapping

from ..actions import KeepRecord, WriteMetadata
from ..boots import Place
from ..chain import Chain
from ..model import Document, Observed
from ..policy import boot_order, host_boot
from ..policy.host_boot import AtBoot
from . import host as reads
from .boot import decisions, picture, unmet
from .host import HostSeen


def boot_plan(observed: Observed, chains: List[Chain]) -> Document:
    """The next boot as the chains leave the host, if it came now: what runs now counts as what ran when it went down."""
    seen = reads.upcoming(HostSeen(**vars(_after(observed, chains))))
    decided = decisions(seen)
    places = {domain.uuid: host_boot.place(domain, document) for domain, document in reads.managed(seen)}
    wanted = [places[uuid] for uuid, decision in decided.items() if decision.action == "start"]
    doomed = unmet(wanted, seen)
    starts = [place for place in wanted if place.uuid not in doomed]
    for uuid in doomed:
        decided[uuid] = AtBoot("leave", "dependency_failed")
    waves = {place.uuid: number for number, wave in enumerate(boot_order.waves(starts), 1) for place in wave}
    return {**picture(starts), "vms": _rows(places, decided, waves)}


def _after(observed: Observed, chains: List[Chain]) -> Observed:
    """The host with all that the chains declared."""
    domains = {domain.uuid: domain for domain in observed.domains}
    records = dict(observed.records)
    for chain in chains:
        for action in chain.done:
            if isinstance(action, KeepRecord):
                records[action.record.uuid] = action.record
            elif isinstance(action, WriteMetadata):
                uuid = action.guard.uuid
                domains[uuid] = replace(domains[uuid], metadata=action.text, metadata_error="")
    return replace(observed, domains=tuple(domains.values()), records=records)


def _rows(places: Mapping[str, Place], decided: Mapping[str, AtBoot], waves: Mapping[str, int]) -> List[Dict[str, Any]]:
    """Every managed VM, those that start first, in their order."""
    ordered = sorted(places.values(), key=lambda place: (waves.get(place.uuid, math.inf), place.order, place.name))
    return [
        {
            "name": place.name,
            "start": place.uuid in waves,
            "reason": decided[place.uuid].reason,
            "wave": waves.get(place.uuid),
            "start_order": None if math.isinf(place.order) else int(place.order),
            "depends_on": list(place.depends_on),
        }
        for place in ordered
    ]
