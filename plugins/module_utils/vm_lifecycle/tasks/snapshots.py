# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle snapshot: what every managed VM does and uses at this moment is put on record. Changes nothing else."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..apply import DECLARATIONS
from ..chain import Chain
from ..changes import RememberSnapshot
from ..errors import LifecycleError
from ..frozen import dataclass
from ..metadata import read
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy.clock import judge
from ..ports import World
from ..run import Task
from ..snapshots import Sample, SweepRun
from ..times import iso
from . import host
from .info import states_of
from .measured import Measured, look, measured, samples, snapshot_policy
from .targets import Wish, resolve, unknown_problems, wishes

#: How VMs are counted: the words of the filter of vm_lifecycle_info.
COUNTED = ("expired", "held", "failed", "start_failed", "invalid", "unmanaged")


@dataclass(frozen=True)
class Request:
    """named empty: all managed VMs. keep: snapshots of each VM that stay on record."""

    named: Tuple[Wish, ...]
    keep: int


def decode(document: Mapping[str, Any], world: World) -> Request:
    """The host's own policy says how many are kept."""
    named = wishes(document, (), required=False)
    return Request(tuple(named), int(snapshot_policy(world.host)["retention_count"]))


def observe(_request: Request, world: World) -> Measured:
    """Everything but storage, and what managed VMs use."""
    return look(host.known(world), world)


def plan(request: Request, observed: Observed) -> Plan:
    """An entry for each managed VM in question, and its snapshot for the store. A VM that went away meanwhile has none."""
    taken = samples(measured(observed))
    chosen = set(taken)
    if request.named:
        found, unknown, problems = resolve(request.named, observed.domains)
        problems += unknown_problems(unknown)
        if problems:
            raise LifecycleError(problems)
        chosen &= {uuid for _wish, uuid, _name in found}
    wanted = [domain for domain in observed.domains if domain.uuid in chosen]
    entries = tuple(Entry(each.uuid, each.name, "kept", "observed", each.name) for each in wanted)
    books = tuple(RememberSnapshot(taken[each.uuid], request.keep) for each in wanted)
    return Plan(entries, observed.damage, books)


def report(_request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """A row for each VM that was looked at; counts of all VMs of the host, its clock, and the timer's last sweep."""
    found = measured(observed)
    taken = samples(found)
    verdict = judge(observed.clock, observed.memory)
    domains = {domain.uuid: domain for domain in observed.domains}
    return {
        "changed": False,
        "failed": False,
        "taken_at": iso(found.moment.now) if found.moment is not None else None,
        "clock": {"sane": verdict.sane, "problem": verdict.problem, "synchronised": observed.clock.synchronised},
        "counts": _counts(observed),
        "last_sweep": last_sweep(found.sweep),
        "vms": [_row(observed, domains[chain.entry.uuid], taken[chain.entry.uuid]) for chain in chains],
    }


def _row(observed: Observed, domain: Domain, taken: Sample) -> Dict[str, Any]:
    document = read(domain, observed.records.get(domain.uuid)).document
    persistence = document["persistence"]
    deadline = persistence.get("scheduled_cleanup") if persistence["auto_cleanup"] else None
    return {
        "name": domain.name,
        "uuid": domain.uuid,
        "mode": persistence["mode"],
        "hold": document.get("hold", {}).get("scope", "none"),
        "snapshot": taken.snapshot,
        "memory_bytes": taken.memory,
        "disk_bytes": taken.disks,
        "seconds_until_cleanup": None if deadline is None else int(deadline - observed.clock.now),
    }


def _counts(observed: Observed) -> Dict[str, int]:
    found = {"managed": 0, "permanent": 0, "temporary": 0, **dict.fromkeys(COUNTED, 0)}
    for domain in observed.domains:
        carried = read(domain, observed.records.get(domain.uuid))
        for state in states_of(observed, domain, carried):
            found[state] += 1
        if carried.valid:
            found["managed"] += 1
            found[carried.document["persistence"]["mode"]] += 1
    return found


def last_sweep(sweep: Optional[SweepRun]) -> Optional[Document]:
    """How the timer's last sweep ended, as results show it."""
    if sweep is None:
        return None
    counts = {word: getattr(sweep, word) for word in ("removed", "kept", "failed", "waiting")}
    return {"at": iso(sweep.ended_unix), "outcome": sweep.outcome, "message": sweep.message, "counts": counts}


def sweep_run(result: Mapping[str, Any], now: float) -> SweepRun:
    """What is kept of a sweep of the timer, from its result."""
    counts: Mapping[str, int] = result["counts"]
    outcome = "failed" if result["failed"] else "done"
    return SweepRun(int(now), outcome, counts["removed"], counts["kept"], counts["failed"], counts["waiting"])


def refused(message: str, now: float) -> SweepRun:
    """A sweep of the timer that could not begin at all."""
    return SweepRun(int(now), "refused", message=message)


TASK = Task("snapshot", decode, observe, plan, report, DECLARATIONS)
