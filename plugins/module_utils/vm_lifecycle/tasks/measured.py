# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMs use, measured in one look, with what is on record of them: for snapshots and for whoever asks."""

from __future__ import annotations

from dataclasses import field
from typing import Dict, List, Mapping, Optional

from ..errors import EffectError, LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..model import ClockReading, Document, Observed
from ..policy import snapshots as policy
from ..ports import Host, World
from ..schema import with_defaults
from ..snapshots import Counters, Sample, Statistics, SweepRun
from .host import HostSeen, managed, problems_of

#: Snapshots of a VM that are shown to whoever asks for its history.
SHOWN = 100


@dataclass(frozen=True)
class Measured(HostSeen):
    """A host with what its managed VMs use, by UUID. moment: just before that was measured, None when it was not."""

    moment: Optional[ClockReading] = None
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    counters: Mapping[str, Counters] = field(default_factory=dict)
    #: Snapshots on record, newest first.
    history: Mapping[str, List[Document]] = field(default_factory=dict)
    sweep: Optional[SweepRun] = None


def measured(observed: Observed) -> Measured:
    """What was observed, with nothing measured if that was not asked for."""
    return observed if isinstance(observed, Measured) else Measured(**vars(observed))


def look(seen: HostSeen, world: World, now: bool = True, history: bool = False) -> Measured:
    """now: VMs are measured; history: what is on record is read, too. Raises LifecycleError."""
    parts = dict(vars(seen))
    try:
        if history:
            parts["history"] = world.store.snapshots(SHOWN)
        if now:
            uuids = [domain.uuid for domain, _document in managed(seen)]
            parts.update(boot=world.store.boot(), counters=world.store.counters(), sweep=world.store.sweep())
            parts["moment"] = world.host.clock()
            parts["statistics"] = {found.uuid: found for found in world.hypervisor.statistics(uuids)}
    except EffectError as error:
        raise refuse(error.code, error.message) from error
    return Measured(**parts)


def samples(observed: Measured) -> Dict[str, Sample]:
    """A snapshot of each managed VM that was measured, by UUID."""
    taken: Dict[str, Sample] = {}
    for domain, _document in managed(observed):
        figures = observed.statistics.get(domain.uuid)
        if figures is None or observed.moment is None:
            continue
        last, start = observed.states.get(domain.uuid), observed.starts.get(domain.uuid)
        restart = observed.restarts.get(domain.uuid)
        on_record = policy.known(last, start, observed.boot, observed.moment.boot_id, restart)
        taken[domain.uuid] = policy.sample(
            domain, figures, observed.counters.get(domain.uuid), observed.moment, on_record
        )
    return taken


def snapshot_policy(host: Host) -> Document:
    """The host's VmSnapshotPolicy, /etc/vm-lifecycle/snapshots.json. Raises LifecycleError when it is not valid."""
    stored = host.configuration("snapshots") or {}
    found = stored and snapshot_problems(stored, "/etc/vm-lifecycle/snapshots.json")
    if found:
        raise LifecycleError([Problem("invalid_configuration", f"{p.field}: {p.message}") for p in found])
    return with_defaults("VmSnapshotPolicy", stored)


def snapshot_problems(document: Mapping[str, object], where: str) -> List[Problem]:
    """What is wrong with a VmSnapshotPolicy."""
    found = problems_of("VmSnapshotPolicy", document, where)
    directory = document.get("textfile_directory", "/")
    if isinstance(directory, str) and not directory.startswith("/"):
        found.append(Problem("invalid_option", "must be an absolute path", "", f"{where}.textfile_directory"))
    return found
