"""Every scenario, cut after each of its effects, by power or by a killed process; then run again until it is quiet."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import Machine

from .player import HERE, Call, call, directories, interrupted, keeps_books, load, play

#: Seconds between a cut and the next run, and how many runs may be needed.
PAUSE, RUNS = 60.0, 6
#: States of vm_cleanup that speak of a plan, or of VMs that were removed.
STATES = ("planned", "confirmed", "restored", "purged")
SWEEP: dict[str, Any] = {"task": "vm_cleanup"}
TOTALS: Counter[str] = Counter()


def quiet(effects: list[str]) -> bool:
    """Whether a run did nothing but note the time, and keep its books in order."""
    return all(keeps_books(effect) for effect in effects)


def resume(machine: Machine, step: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Run until nothing happens: whether it came to rest, and the last result."""
    outcome: dict[str, Any] = {}
    for _attempt in range(RUNS + 1):
        machine.advance(PAUSE)
        first = len(machine.effects)
        outcome = call(machine, step)
        if quiet(machine.effects[first:]):
            return True, outcome
    return False, outcome


def cut(made: Call, *cuts: tuple[int, str]) -> list[str]:
    """Violations of one call that is cut after one effect, and perhaps again when it is made once more."""
    machine = Machine(made.before)
    auditor = copy.deepcopy(made.auditor)
    auditor.violations.clear()
    machine.before_effect = auditor
    auditor.begin(made.step)
    for after, variant in cuts:
        interrupted(machine, made.step, after, variant)
        machine.advance(PAUSE)
    rested, outcome = resume(machine, made.step)
    if made.step.get("arguments", {}).get("state", "swept") in STATES:
        auditor.begin(SWEEP)  # the call speaks of some VMs; the host's timer comes in any case
        rested, outcome = resume(machine, SWEEP)
    if "raised" in outcome:
        return [f"an error escaped: {outcome['raised']}"]
    if outcome.get("failed") or any(row.get("decision") == "waiting" for row in outcome.get("vms", ())):
        return auditor.harm(made.before, machine.state)  # the host refuses a step for good, or waits: only harm counts
    if made.before["store"]["intents"] and (made.step["task"] != "vm_cleanup" or made.step.get("arguments")):
        return auditor.violations + _declared(made, machine)  # what an earlier sweep left is not this call's to finish
    found = auditor.settle(made.before, machine.state)
    if not rested and made.step.get("arguments", {}).get("state") != "renewed":
        found.append(f"it never came to rest: {machine.effects[-3:]}")
    return found + _declared(made, machine)


def _declared(made: Call, machine: Machine) -> list[str]:
    """What a cut declaration comes to is what the uncut one came to, but for times and revisions."""
    if made.step["task"] != "vm_persistence":
        return []
    uncut = Machine(made.before)
    call(uncut, made.step)
    left, right = (_wishes(each.state) for each in (uncut, machine))
    return [] if left == right else [f"declared {right} instead of {left}"]


def _wishes(state: dict[str, Any]) -> list[Any]:
    found = []
    for domain in state["domains"]:
        try:
            document = json.loads(domain["metadata"] or "{}")
        except ValueError:
            document = {}
        persistence = dict(document.get("persistence", {}))
        for moment in ("created_at_unix", "scheduled_cleanup"):
            persistence.pop(moment, None)
        found.append((domain["name"], persistence, document.get("policy"), "hold" in document, domain["autostart"]))
    return found


@pytest.mark.parametrize("directory", directories(), ids=lambda path: path.name)
def test_cut_after_every_effect(directory: Path) -> None:
    """Invariants 1 to 5 and 8 hold wherever a run ends."""
    machine, steps = load(directory)
    found = []
    TOTALS["scenarios"] += 1
    for made in play(machine, copy.deepcopy(steps), []):
        if "interrupted" in made.outcome or "raised" in made.outcome or made.step["task"] in ("boot", "shutdown"):
            continue  # boots and shutdowns are cut in test_updown_cut.py
        for after in range(1, made.effects + 1):
            for variant in ("power", "kill"):
                TOTALS["cuts"] += 1
                found += [f"{variant} after {after}: {text}" for text in cut(made, (after, variant))]
    TOTALS["violations"] += len(found)
    assert not found, "\n".join(found)


#: Scenarios that are cut twice: each of the ways in which a removal ends, alone and in company.
TWICE = [
    "cleanup-obeys",
    "confirm-required",
    "last-user-takes-the-disk",
    "undo-nvram",
    "undo-over",
    "undo-purged",
    "undo-restored",
    "undo-shared",
]


@pytest.mark.parametrize("name", TWICE)
def test_cut_again_while_it_is_finished(name: str) -> None:
    """The run that finishes what a killed one left loses its host's power after each of its own effects."""
    machine, steps = load(HERE / name)
    found = []
    for made in play(machine, copy.deepcopy(steps), []):
        for first, second in itertools.product(range(1, made.effects + 1), repeat=2):
            TOTALS["double cuts"] += 1
            found += [f"after {first}, {second}: {text}" for text in cut(made, (first, "kill"), (second, "power"))]
    TOTALS["violations"] += len(found)
    assert not found, "\n".join(found)


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The sweep was wide, and its figures are said."""
    with capsys.disabled():
        print(f"\npower-cut sweep: {dict(TOTALS)}")
    assert TOTALS["cuts"] > 300 or TOTALS["scenarios"] < len(directories())
