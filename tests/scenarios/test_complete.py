"""Every reason, verdict, error code and action occurs in some scenario, or in a test that is named here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, get_args

from vm_lifecycle.actions import Action
from vm_lifecycle.errors import ERRORS, LifecycleError
from vm_lifecycle.reasons import DECISIONS, VERDICTS
from vm_lifecycle.reasons_limits import LIMIT_REASONS
from vm_lifecycle.reasons_order import BOOT_REASONS, RECOVERY_REASONS, RESTART_REASONS, SHUTDOWN_REASONS

from tests.fakes.world import Machine, ports

from .player import TASKS, Call, directories, load, play

ROOT = Path(__file__).parents[2]
#: Codes that no task of the engine raises on the fakes, and the test that shows each.
ELSEWHERE = {
    "connection_failed": "tests/contracts/test_hypervisor.py",
    "missing_library": "tests/contracts/test_hypervisor.py",
    # a shutdown falls back to the next way, and only says so
    "save_failed": "tests/contracts/test_saving.py",
    "unknown_code": "tests/unit/engine/test_explanation.py",
    "no_hook": "tests/scenarios/test_notify.py",
}
#: test_every_reason in tests/unit/engine/test_restart.py has the others.
BY_HAND = {code for code, reason in RESTART_REASONS.items() if reason.decision == "started"}
ORDER = {**BOOT_REASONS, **SHUTDOWN_REASONS, **RECOVERY_REASONS, **LIMIT_REASONS}


@cache
def calls() -> list[Call]:
    """Every call of every scenario."""
    found: list[Call] = []
    for directory in directories():
        machine, steps = load(directory)
        found += play(machine, steps, [])
    return found


def seen() -> set[Any]:
    """Every code in every result."""
    codes: set[Any] = set()
    for made in calls():
        codes |= set(made.outcome.get("codes", ()))
        for row in made.outcome.get("vms", ()):
            codes |= {row.get("reason"), (row.get("metadata_problem") or {}).get("reason")}
            codes |= {volume["reason"] for volume in row.get("volumes", ())}
            codes |= {limit["reason"] for limit in (row.get("limits") or {}).values() if limit}
    return codes


def planned(made: Call) -> set[Any]:
    """Types of the actions that a call plans."""
    task, world = TASKS[made.step["task"]], ports(Machine(made.before))
    try:
        request = task.decode(made.step.get("arguments", {}), world)
        plan = task.plan(request, task.observe(request, world))
    except LifecycleError:
        return set()
    return {type(action) for entry in plan.entries for action in entry.actions}


def test_reasons() -> None:
    """Why a VM goes, stays or waits."""
    assert sorted({*DECISIONS, *ORDER, *BY_HAND} - seen()) == []


def test_verdicts() -> None:
    """Why a disk goes or stays."""
    assert sorted(set(VERDICTS) - seen()) == []


def test_errors() -> None:
    """Why a call is refused, or a VM fails."""
    assert sorted(set(ERRORS) - seen() - set(ELSEWHERE)) == []
    for code, place in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / place).read_text("utf-8"), f"{place} shows no {code}"


def test_no_code_is_unknown() -> None:
    """Results use no word that the tables don't explain."""
    words = {"unchanged", "declared", "held", "released", "renewed", "forgotten", None}
    assert (
        sorted(seen() - set(DECISIONS) - set(VERDICTS) - set(ERRORS) - set(ORDER) - set(RESTART_REASONS) - words) == []
    )


def test_actions() -> None:
    """Everything that the engine can do."""
    done: set[Any] = set()
    for made in calls():
        done |= planned(made)
    assert sorted(kind.__name__ for kind in set(get_args(Action)) - done) == []
