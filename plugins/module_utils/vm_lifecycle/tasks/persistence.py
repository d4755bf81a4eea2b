# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_persistence: declare how long VMs live and how they behave; hold, release, renew, forget."""

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
from ..schema import violations
from . import declaring, limiting
from . import observe as reads
from .converge import converge
from .habits import with_habits
from .targets import Wish, resolve, unknown_problems, wishes

STATES = ("present", "absent", "held", "released", "renewed")
OPTIONS = tuple(SCHEMAS["VmPersistenceInput"]["properties"])
#: Options of the call that are the default of each item of vms.
INHERITED = (*OPTIONS, "policy", "autostart", "hold", "reason", "if_less_than_hours", "state")
#: Options that each state uses.
USED: Mapping[str, Tuple[str, ...]] = {
    "present": (*OPTIONS, "policy", "autostart"),
    "absent": (),
    "held": ("hold", "reason"),
    "released": (),
    "renewed": ("if_less_than_hours",),
}
#: States that record a time, which a wrong clock would falsify.
TIMED = ("present", "renewed")


@dataclass(frozen=True)
class Request:
    """What was asked for, validated as far as that is possible without looking at the host."""

    wishes: Tuple[Wish, ...]
    skip_missing: bool
    repair: bool
    policy: Optional[CleanupPolicy]
    warnings: Tuple[str, ...] = ()


def decode(document: Mapping[str, Any], world: World) -> Request:
    """Validate every VM's options against the schemas; all problems are reported together."""
    named = wishes(document, INHERITED, required=True)
    for block in ("policy", "autostart"):
        named = [replace(wish, options=_merged(document.get(block), wish.options, block)) for wish in named]
    problems = [problem for wish in named for problem in _problems(wish)]
    if problems:
        raise LifecycleError(problems)
    policy, warnings = reads.lenient_policy(world.host)
    skip = document.get("missing", "fail") == "skip"
    return Request(tuple(named), skip, bool(document.get("repair")), policy, tuple(warnings))


def _merged(common: Optional[Document], options: Document, block: str) -> Document:
    """The item's policy lies over the call's policy, option by option; likewise its place in the order."""
    if options.get(block) is None:
        return options
    return {**options, block: {**_given(common or {}), **_given(options[block])}}


def _given(options: Mapping[str, Any]) -> Document:
    return {key: value for key, value in options.items() if value is not None}


def _problems(wish: Wish) -> List[Problem]:
    problems = []
    state = wish.options.get("state", "present")
    if state not in STATES:
        problems.append(Problem("invalid_option", f"must be one of: {', '.join(STATES)}", wish.label, "state"))
    unknown = [key for key in wish.options if key not in INHERITED]
    problems.extend(Problem("invalid_option", "unknown option", wish.label, key) for key in sorted(unknown))
    for broken in violations("VmPersistenceInput", _options(wish)):
        problems.append(Problem("invalid_option", broken.rule, wish.label, broken.field))
    if wish.options.get("policy") is not None:
        for broken in violations("VmLifecyclePolicy", wish.options["policy"]):
            field = ", ".join(f"policy.{name}" for name in broken.field.split(", "))
            problems.append(Problem("invalid_option", broken.rule, wish.label, field))
    if wish.options.get("autostart") is not None:
        problems += declaring.place_problems(wish.label, wish.options["autostart"], "autostart.")
    if wish.options.get("hold") not in (None, "deletion", "everything"):
        problems.append(Problem("invalid_option", "must be one of: deletion, everything", wish.label, "hold"))
    if not _printable(wish.options.get("reason")):
        problems.append(Problem("invalid_option", "is not valid Unicode text", wish.label, "reason"))
    least = wish.options.get("if_less_than_hours")
    if least is not None and (not isinstance(least, int) or isinstance(least, bool) or least < 0):
        problems.append(Problem("invalid_option", "must be hours, 0 or more", wish.label, "if_less_than_hours"))
    return problems


def _printable(text: Optional[str]) -> bool:
    try:
        (text or "").encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _idle(wish: Wish) -> Tuple[str, ...]:
    """Warnings for options that were said of this VM and that its state does not use."""
    state = wish.options.get("state", "present")
    used = {"state", *USED[state]}
    return tuple(f"{wish.label}: {name} has no effect with state {state}" for name in sorted(wish.own - used))


def _options(wish: Wish) -> Document:
    return {key: value for key, value in wish.options.items() if key in OPTIONS}


def observe(request: Request, world: World) -> Observed:
    """Everything but storage, and limits of those VMs alone whose limits may change."""
    seen = with_habits(reads.whole(world), world, request.wishes)
    named = {key: wish for wish in request.wishes for key in (wish.uuid, wish.name) if key}
    chosen = [
        domain.uuid
        for domain in seen.domains
        for wish in [named.get(domain.uuid) or named.get(domain.name)]
        if wish is not None and (_policy(wish) is not None or limiting.concerned(domain, seen))
    ]
    limits, controllers = limiting.look(world, seen, chosen)
    asked = any((_policy(wish) or {}).get("panic_device") for wish in named.values())
    domains = [domain for domain in seen.domains if domain.uuid in limits]
    devices = [domain.uuid for domain in domains if asked or limiting.panicking(domain, seen)]
    found = limiting.panic_devices(world, devices)
    return limiting.WithLimits(**vars(seen), limits=limits, controllers=controllers, panic_devices=found)


def _policy(wish: Wish) -> Optional[Document]:
    return wish.options.get("policy") if wish.options.get("state", "present") == "present" else None


def plan(request: Request, observed: Observed) -> Plan:
    """One entry for each VM that was named; one VM that can't be served refuses the call before anything is touched."""
    found, unknown, problems = resolve(request.wishes, observed.domains)
    removed = [wish for wish in unknown if declaring.was_removed(wish, observed)]
    wanted = [wish for wish in unknown if wish.options.get("state") != "absent" and wish not in removed]
    if not request.skip_missing:
        problems += unknown_problems(wanted)
    verdict = judge(observed.clock, observed.memory)
    if not verdict.sane and any(wish.options.get("state", "present") in TIMED for wish in request.wishes):
        problems.append(Problem("insane_clock", f"{verdict.problem}; synchronise it, or run vm-lifecycle clock-accept"))
    domains = {domain.uuid: domain for domain in observed.domains}
    entries: List[Entry] = []
    for wish, uuid, _name in found:
        try:
            entries.append(_entry(request, wish, domains[uuid], observed, verdict.sane))
        except Refusal as refusal:
            problems.append(refusal.problem)
    placed = [name for wish, _uuid, name in found if _places(wish)]
    refused, warnings = declaring.order_problems(observed, entries, placed)
    problems += refused
    if problems:
        raise LifecycleError(problems)
    warnings = (*warnings, *limiting.remarks(entries))
    entries += [declaring.missing(wish, wish in removed) for wish in unknown]  # skipped, removed, or forgotten already
    return Plan(tuple(entries), (*request.warnings, *warnings), conduct=declaring.CONDUCT)


def _places(wish: Wish) -> bool:
    return wish.options.get("state", "present") == "present" and wish.options.get("autostart") is not None


def _entry(request: Request, wish: Wish, domain: Domain, observed: Observed, clock_sane: bool) -> Entry:
    if not isinstance(observed, limiting.WithLimits):
        raise TypeError("limits were not looked at")
    looked = {
        "seen": observed.limits.get(domain.uuid),
        "controllers": observed.controllers,
        "panic_device": observed.panic_devices.get(domain.uuid),
    }
    settings = {
        "options": _options(wish),
        "repair": request.repair,
        **declaring.surroundings(domain, observed),
        **looked,
    }
    entry = converge(
        domain,
        observed.records.get(domain.uuid),
        wish.options.get("state", "present"),
        {**wish.options, **settings},
        int(observed.clock.now),
        int(observed.clock.now) if clock_sane else 0,
    )
    return replace(entry, warnings=(*_idle(wish), *entry.warnings))


def report(request: Request, observed: Observed, chains: List[Chain]) -> Document:
    """UX: changed, vms, and what a diff shows; from what was done, not from what was wished."""
    return declaring.report(request.policy, observed, chains)


TASK = Task("vm_persistence", decode, observe, plan, report, DECLARATIONS)
