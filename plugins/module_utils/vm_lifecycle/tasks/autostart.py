# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_autostart: declare in which order VMs start when their host boots, and what each of them waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Mapping, Optional, Tuple

from .._generated.schemas import SCHEMAS
from ..apply import DECLARATIONS
from ..chain import Chain
from ..errors import LifecycleError, Problem
from ..frozen import dataclass
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy.cleanup_policy import CleanupPolicy
from ..policy.clock import judge
from ..policy.declaration import Refusal
from ..ports import World
from ..run import Task
from . import declaring
from . import observe as reads
from .boot_plan import boot_plan
from .converge import converge
from .habits import with_habits
from .targets import Wish, resolve, unknown_problems, wishes

OPTIONS = tuple(name for name in SCHEMAS["VmAutoStartConfig"]["properties"] if name != "vm_name")
#: Options of the call that are the default of each item of vms.
INHERITED = (*OPTIONS, "state")
#: State of the call -> state of the declaration.
STATES = {"present": "placed", "absent": "displaced"}


@dataclass(frozen=True)
class Request:
    """What was asked for, validated as far as that is possible without looking at the host."""

    wishes: Tuple[Wish, ...]
    skip_missing: bool
    policy: Optional[CleanupPolicy]
    warnings: Tuple[str, ...] = ()


def decode(document: Mapping[str, Any], world: World) -> Request:
    """Validate every VM's options against the schema; all problems are reported together."""
    named = wishes(_named(document), INHERITED, required=True)
    problems = [problem for wish in named for problem in _problems(wish)]
    if problems:
        raise LifecycleError(problems)
    policy, warnings = reads.lenient_policy(world.host)
    return Request(tuple(named), document.get("missing", "fail") == "skip", policy, tuple(warnings))


def _named(document: Mapping[str, Any]) -> Document:
    """The call with vm_name, which the schema has, as name, by which all modules know a VM."""
    items = document.get("vms")
    listed = {} if items is None else {"vms": [_with_name(item, f"vms[{at}].") for at, item in enumerate(items)]}
    return {**_with_name(document, ""), **listed}


def _with_name(item: Mapping[str, Any], place: str) -> Document:
    given = {key: value for key, value in item.items() if key != "vm_name" and value is not None}
    name = item.get("vm_name")
    if name is not None and given.get("name", name) != name:
        message = f"{name} is another name than {given['name']}; leave it out"
        raise LifecycleError([Problem("invalid_option", message, given["name"], f"{place}vm_name")])
    return given if name is None else {**given, "name": name}


def _problems(wish: Wish) -> List[Problem]:
    unknown = sorted(key for key in wish.options if key not in INHERITED)
    problems = [Problem("invalid_option", "unknown option", wish.label, key) for key in unknown]
    return problems + declaring.place_problems(wish.label, _given(wish))


def _given(wish: Wish) -> Document:
    return {key: value for key, value in wish.options.items() if key in INHERITED}


def _idle(wish: Wish) -> Tuple[str, ...]:
    """Warnings for options that were said of this VM and that its state does not use."""
    state = wish.options.get("state", "present")
    idle = sorted(wish.own - {"state"}) if state == "absent" else []
    return tuple(f"{wish.label}: {name} has no effect with state {state}" for name in idle)


def observe(request: Request, world: World) -> Observed:
    """Everything but storage."""
    return with_habits(reads.whole(world), world, request.wishes)


def plan(request: Request, observed: Observed) -> Plan:
    """One entry for each VM that was named; whatever is wrong refuses the call before anything is touched."""
    found, unknown, problems = resolve(request.wishes, observed.domains)
    removed = [wish for wish in unknown if declaring.was_removed(wish, observed)]
    wanted = [wish for wish in unknown if wish.options.get("state") != "absent" and wish not in removed]
    if not request.skip_missing:
        problems += unknown_problems(wanted)
    sane = judge(observed.clock, observed.memory).sane
    domains = {domain.uuid: domain for domain in observed.domains}
    entries: List[Entry] = []
    for wish, uuid, _name in found:
        try:
            entries.append(_entry(wish, domains[uuid], observed, sane))
        except Refusal as refusal:
            problems.append(refusal.problem)
    refused, warnings = declaring.order_problems(observed, entries, [name for _wish, _uuid, name in found])
    problems += refused
    if problems:
        raise LifecycleError(problems)
    entries += [declaring.missing(wish, wish in removed) for wish in unknown]
    return Plan(tuple(entries), (*request.warnings, *warnings), conduct=declaring.CONDUCT)


def _entry(wish: Wish, domain: Domain, observed: Observed, clock_sane: bool) -> Entry:
    now = int(observed.clock.now)
    state = STATES[wish.options.get("state", "present")]
    options = {"options": _given(wish), **declaring.surroundings(domain, observed)}
    entry = converge(domain, observed.records.get(domain.uuid), state, options, now, now if clock_sane else 0)
    return replace(entry, warnings=(*_idle(wish), *entry.warnings))


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """As vm_persistence, and what the next boot of the host would do."""
    return {**declaring.report(request.policy, observed, chains), "boot_plan": boot_plan(observed, chains)}


TASK = Task("vm_autostart", decode, observe, plan, report, DECLARATIONS)
