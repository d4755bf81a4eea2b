"""A VmCleanupSchedule through attempts, failures, kills and renewals."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from vm_lifecycle.model import Domain
from vm_lifecycle.policy.schedule import attempted, cleared, completed, current, failed, given_up, next_try
from vm_lifecycle.schema import violations

NOW = 1795575600.0
VM = Domain("00000000-0000-4000-8000-000000000001", "ci-1", "running")


def document(scheduled: int = int(NOW), mode: str = "temporary") -> Dict[str, Any]:
    """A declaration."""
    persistence = {"mode": mode, "created_at_unix": scheduled - 3600, "scheduled_cleanup": scheduled, "ttl_hours": 1}
    return {"persistence": persistence}


def fresh() -> Dict[str, Any]:
    """Before the first attempt."""
    found = current(VM, document(), {}, False)
    assert found is not None
    return found


def test_a_permanent_vm_has_none() -> None:
    """Only temporary VMs are scheduled."""
    assert current(VM, document(mode="permanent"), {}, False) is None


def test_every_step_is_valid() -> None:
    """From pending to completed, and to failed; each a valid VmCleanupSchedule."""
    begun = attempted(fresh(), NOW)
    steps = [fresh(), begun, failed(begun, "effect_failed: no", 5), completed(begun), failed(begun, "x: y", 1)]
    assert [step["cleanup_status"] for step in steps] == ["pending", "in-progress", "pending", "completed", "failed"]
    assert [step["cleanup_attempts"] for step in steps] == [0, 1, 1, 1, 1]
    assert [violations("VmCleanupSchedule", step) for step in steps] == [[]] * len(steps)


def test_in_progress_only_while_it_is() -> None:
    """A run that was killed leaves in-progress behind; without its intent that is over, and the attempt counts."""
    begun = attempted(fresh(), NOW)
    seen = [current(VM, document(), begun, going_on) for going_on in (True, False)]
    assert [(each["cleanup_status"], each["cleanup_attempts"]) for each in seen if each] == [
        ("in-progress", 1),
        ("pending", 1),
    ]


@pytest.mark.parametrize("status", ["pending", "failed", "completed"])
def test_another_deadline_starts_afresh(status: str) -> None:
    """Renewed or declared anew: what failed before is over. So is what was completed, when the UUID comes again."""
    kept = {**failed(attempted(fresh(), NOW), "x: y", 1), "cleanup_status": status}
    renewed = current(VM, document(int(NOW) + 3600), kept, False)
    assert renewed is not None
    assert (renewed["cleanup_status"], renewed["cleanup_attempts"], renewed.get("cleanup_error")) == (
        "pending",
        0,
        None,
    )
    same = current(VM, document(), kept, False)
    assert same is not None
    assert same["cleanup_attempts"] == (0 if status == "completed" else 1)


@pytest.mark.parametrize("attempts", ["many", None, 1.5, [1]])
def test_a_damaged_row_counts_as_none(attempts: object) -> None:
    """Whatever the store holds, a sweep goes on."""
    kept = {**fresh(), "cleanup_attempts": attempts, "last_cleanup_attempt": 7, "cleanup_error": "x"}
    found = current(VM, document(), kept, False)
    assert found is not None
    assert found["cleanup_attempts"] == 0


def test_back_off() -> None:
    """15 minutes, doubled, at most 6 hours; none after an interruption; a nonsense time is no reason to wait."""
    delays = []
    for attempts in (1, 2, 3, 4, 5, 6, 50):
        schedule = {**failed(attempted(fresh(), NOW), "x: y", 99), "cleanup_attempts": attempts}
        delays.append(next_try(schedule) - NOW)
    assert delays == [900, 1800, 3600, 7200, 14400, 21600, 21600]
    assert next_try(attempted(fresh(), NOW)) == 0.0
    assert next_try({**failed(attempted(fresh(), NOW), "x", 9), "last_cleanup_attempt": "soon"}) < NOW


def test_given_up_and_cleared() -> None:
    """Failures and kills count alike; a person who names the VM begins anew."""
    schedule = fresh()
    for number in range(1, 4):
        schedule = attempted(schedule, NOW)
        assert given_up(schedule, 3) == (number == 3)
    over = failed(schedule, "x: y", 3)
    assert (over["cleanup_status"], given_up(over, 100)) == ("failed", True)
    assert not given_up({**cleared(over), "cleanup_status": "pending"}, 3)
