# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle doctor: what is in the way of this host's boots and shutdowns. Changes nothing."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple
from xml.etree import ElementTree

from .. import metadata
from ..actions import Stop
from ..chain import Chain
from ..errors import DomainGone, EffectError, LifecycleError, Problem, refuse
from ..examination import Examination
from ..findings import SEVERITIES
from ..frozen import dataclass
from ..giving_way import pressure_policy
from ..limits import Controllers
from ..model import Document, Domain, Observed
from ..plans import Plan
from ..policy import boot_order, clock, doctor, pressure
from ..policy.doctor import Habits, Seen
from ..policy.limits import OPTIONS
from ..policy.schedule import current, given_up
from ..ports import World
from ..pressures import DISK
from ..restarts import RestartRecord
from ..run import Task
from ..stopping import SLACK
from . import host as reads
from . import observe, shutdown
from .host import HostSeen
from .measured import snapshot_policy

#: Severities that a person should do something about, so that the command says so by its exit code.
SERIOUS = ("error", "warning")


@dataclass(frozen=True)
class Diagnosed(HostSeen):
    """A host with its own settings, its VMs' definitions, and what is wrong with its configuration files."""

    facts: Examination = field(default_factory=Examination)
    habits: Mapping[str, Habits] = field(default_factory=dict)
    configuration: Tuple[Problem, ...] = ()
    #: max_cleanup_attempts of the host.
    max_attempts: int = 5
    controllers: Controllers = field(default_factory=Controllers)


def decode(_document: Mapping[str, Any], _world: World) -> None:
    """It takes no options."""


def examined(_request: None, world: World) -> Diagnosed:
    """Everything but storage. Raises LifecycleError when libvirt can't be read; a store that can't is a finding."""
    seen = reads.whole(world, needs_store=False)
    if not seen.store_problem:
        seen = replace(seen, restarts=_restarts(world))
    policy, _problems = observe.lenient_policy(world.host)
    return Diagnosed(
        **vars(seen),
        facts=world.host.examination(),
        habits=_habits(seen, world),
        configuration=_configuration(world),
        max_attempts=policy.limit("max_cleanup_attempts") if policy is not None else Diagnosed.max_attempts,
        controllers=world.host.controllers(),
    )


def _restarts(world: World) -> Mapping[str, RestartRecord]:
    try:
        return world.store.restarts()
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def _habits(seen: HostSeen, world: World) -> Dict[str, Habits]:
    """What the definitions of managed VMs say; one that is gone by now says nothing."""
    found = {}
    for domain, _document in reads.managed(seen):
        try:
            found[domain.uuid] = doctor.habits(world.hypervisor.definition(domain.uuid))
        except (DomainGone, ElementTree.ParseError):
            continue
        except EffectError as error:
            raise refuse(error.code, error.message) from error
    return found


def _configuration(world: World) -> Tuple[Problem, ...]:
    found: List[Problem] = []
    for read in (reads.boot_policy, observe.cleanup_policy, snapshot_policy, pressure_policy):
        try:
            read(world.host)
        except LifecycleError as error:
            found += error.problems
    return tuple(found)


def plan(_request: None, _observed: Observed) -> Plan:
    """Nothing is done to anybody."""
    return Plan()


def report(_request: None, observed: Observed, _chains: List[Chain]) -> Document:
    """findings, the worst first, and counts by severity. failed: something should be done."""
    if not isinstance(observed, Diagnosed):
        raise TypeError("a doctor examines its host")
    found = doctor.examine(observed.facts, _seen(observed))
    counts = {severity: sum(finding.severity == severity for finding in found) for severity in SEVERITIES}
    return {
        "changed": False,
        "failed": any(counts[severity] for severity in SERIOUS),
        "findings": [vars(finding) for finding in found],
        "counts": counts,
    }


def _seen(observed: Diagnosed) -> Seen:
    declared = reads.managed(observed)
    managed = tuple(domain for domain, _document in declared)
    carried = [(domain, metadata.read(domain, observed.records.get(domain.uuid))) for domain in observed.domains]
    return Seen(
        managed=managed,
        habits=observed.habits,
        strangers=tuple(domain for domain, declaration in carried if declaration.reason == "not_managed"),
        held=tuple(
            domain for domain, document in declared if (document.get("hold") or {}).get("scope") == "everything"
        ),
        given_up=tuple(_given_up(observed, declared)),
        distrusted=tuple(
            (domain.name, declaration.reason, declaration.detail)
            for domain, declaration in carried
            if declaration.reason not in ("", "not_managed")
        ),
        order=tuple(boot_order.problems(reads.declared(observed), reads.strangers(observed))),
        starts=observed.starts,
        restarts=observed.restarts,
        features=observed.features,
        worst_case=_worst_case(observed),
        clock_problem=clock.judge(observed.clock, observed.memory).problem,
        damage=observed.damage,
        store_problem=observed.store_problem,
        configuration=observed.configuration,
        controllers=observed.controllers,
        limited=_limited(observed),
        disk_full=frozenset(domain.uuid for domain, document in declared if pressure.deed(document, DISK)),
    )


def _given_up(observed: Diagnosed, declared: Sequence[Tuple[Domain, Document]]) -> Iterator[Tuple[str, str]]:
    """VMs that no sweep removes any more, since it failed too often; one that is held is not to be removed."""
    for domain, document in declared:
        schedule = current(domain, document, observed.schedules.get(domain.uuid, {}), False)
        if schedule is not None and "hold" not in document and given_up(schedule, observed.max_attempts):
            error = schedule.get("cleanup_error", "every attempt was interrupted")
            yield (
                domain.name,
                f"{schedule['cleanup_attempts']} attempts to remove it failed, the last one with: {error}",
            )


def _limited(observed: Diagnosed) -> Dict[str, Tuple[str, ...]]:
    """Limit -> names of VMs whose policy asks for it."""
    policies = [(domain.name, document.get("policy") or {}) for domain, document in reads.managed(observed)]
    return {kind: tuple(name for name, policy in policies if policy.get(option)) for kind, option in OPTIONS.items()}


def _worst_case(observed: Diagnosed) -> float:
    """Seconds that a shutdown of what runs now may take, if systemd leaves it all the time in the world."""
    entries = shutdown.plan(shutdown.Request(now=True), replace(observed, budget=math.inf)).entries
    stops = [action for entry in entries for action in entry.actions if isinstance(action, Stop)]
    return shutdown.worst_case(stops) + SLACK if stops else 0.0


TASK = Task("doctor", decode, examined, plan, report, {})
