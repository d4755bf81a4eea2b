# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipeline, the same for modules, the command line and units: decode, observe, plan, apply (or not), report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Tuple, Type

from .chain import Chain, Handler, Handlers
from .errors import EffectError, refuse
from .frozen import dataclass
from .host_changes import RememberClock
from .policy.clock import ClockVerdict, judge

if TYPE_CHECKING:
    from .model import ClockMemory, Document, Observed
    from .plans import Plan
    from .ports import World


def _one_by_one(plan: Plan, world: World, clock: ClockMemory, handlers: Handlers) -> List[Chain]:
    from .apply import apply  # a boot carries its plan out by itself, and its VMs wait for what is imported

    return apply(plan, world, clock, handlers)


@dataclass(frozen=True)
class Task:
    """A task is four functions. request is what decode made of the document; only observe touches the world."""

    name: str
    decode: Callable[[Mapping[str, Any], World], Any]
    observe: Callable[[Any, World], Observed]
    plan: Callable[[Any, Observed], Plan]
    report: Callable[[Any, Observed, List[Chain]], Document]
    handlers: Mapping[Type[object], Handler]
    #: Who carries the plan out: VM by VM, unless an order is to be kept.
    carry_out: Callable[[Plan, World, ClockMemory, Handlers], List[Chain]] = _one_by_one


def run(task: Task, document: Mapping[str, Any], world: World, dry_run: bool = False) -> Dict[str, Any]:
    """Run a task on validated arguments (None dropped). dry_run: the plan is reported and not applied.

    Raises LifecycleError when the call is refused before anything was touched.
    """
    request = task.decode(document, world)
    observed = task.observe(request, world)
    plan = task.plan(request, observed)
    unkept: Tuple[str, ...] = ()
    if dry_run or not task.handlers:
        chains = [predicted(entry) for entry in plan.entries]
    else:
        verdict = judge(observed.clock, observed.memory)
        unkept = _keep_books(world, observed, verdict, plan)
        chains = task.carry_out(plan, world, observed.memory if not verdict.sane else verdict.memory, task.handlers)
    result = task.report(request, observed, chains)
    result["failed"] = result["failed"] or bool(unkept)
    result["warnings"] = [*unkept, *plan.warnings, *(text for entry in plan.entries for text in entry.warnings)]
    result["dry_run"] = dry_run
    return result


def predicted(entry: Any) -> Chain:
    """The chain that a real run would leave if nothing fails."""
    done = list(entry.actions)
    return Chain(entry, done=done, verdicts=entry.verdicts, schedule=entry.schedule, predicted=True)


def _keep_books(world: World, observed: Observed, verdict: ClockVerdict, plan: Plan) -> Tuple[str, ...]:
    """Remember the clock before anything relies on it; creates the store, so an unusable one stops the run here.

    Returns a warning when it could not be kept by a plan that is carried out all the same.
    """
    changes = [*([RememberClock(verdict.memory)] if verdict.memory != observed.memory else []), *plan.books]
    try:
        if observed.store_problem:  # what was not read must not be written over
            raise EffectError("store_unusable", observed.store_problem)
        if changes:
            world.store.save(changes)
    except EffectError as error:
        if plan.conduct.needs_store:
            raise refuse(error.code, error.message) from error
        return (f"nothing can be recorded: {error.message}",)
    return ()
