"""Check mode prints the plan that a real run executes, on every scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import Machine

from .player import call, directories, load, play


def plan_of(outcome: dict[str, Any]) -> list[Any]:
    """What a result says of each VM, without what only a real run can know."""
    found = []
    for row in outcome.get("vms", ()):
        volumes = [(volume["path"], volume["decision"], volume["reason"]) for volume in row.get("volumes", ())]
        found.append((row["name"], row["uuid"], row.get("decision"), row.get("reason"), volumes, row.get("changed")))
    return found


def comparable(step: dict[str, Any], machine: Machine) -> bool:
    """Whether nothing happens during the call that no plan can foresee."""
    state = machine.state
    calm = not any(state["refuse"].values()) and not state["claims"] and not state["store"]["problem"]
    return calm and not {"meanwhile", "cut", "kill"} & set(step)


@pytest.mark.parametrize("directory", directories(), ids=lambda path: path.name)
def test_check_mode_predicts(directory: Path) -> None:
    """Decisions, reasons, disks and digest are the same; check mode has no effect and leaves the world as it is."""
    machine, steps = load(directory)
    for made in play(machine, steps, []):
        checked = Machine(made.before)
        outcome = call(checked, {**made.step, "check": True})
        assert checked.effects == []
        assert checked.state == made.before
        if not comparable(made.step, checked) or outcome.get("next_boot"):
            continue  # when a boot is over, the plan is that of the next one
        if outcome.get("asked") != made.outcome.get("asked"):
            continue  # and a host that does not go down is told how it would
        assert outcome.get("refused") == made.outcome.get("refused")
        if directory.name not in UNFORESEEN:
            assert plan_of(outcome) == plan_of(made.outcome)
        assert outcome.get("digest") == made.outcome.get("digest")
        assert outcome.get("boot_plan") == made.outcome.get("boot_plan")


#: A clock runs on while a guest shuts down, a removal that is resumed or that was put off for an undo looks at its disks
#: only when it acts, and locks are asked last.
UNFORESEEN = {
    "batch-window-closes",
    "boot-changed-meanwhile",
    "boot-failures",
    "boot-networks",
    "boot-silent",
    "cleanup-window-midnight",
    "confirm-killed",
    "info-start",
    "interrupted-deleted",
    "limits-impossible",
    "pool-goes-away",
    "recovery-disks",
    "recovery-memory",
    "recovery-restored",
    "recovery-secrets",
    "restart-by-hand",
    "storage-logical",
    "storage-open-elsewhere",
    "undo-finish-refused",
    "undo-killed",
    "undo-overlay",
    "undo-shared",
    "undo-used-meanwhile",
}
