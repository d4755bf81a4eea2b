"""Who is told what, and when."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict

import pytest
from vm_lifecycle.policy import notice
from vm_lifecycle.policy.cleanup_policy import CleanupPolicy, decode
from vm_lifecycle.removals import Notice, SeenVm, SweepPlan

NOW = 1795575600


def policy(hours: int) -> CleanupPolicy:
    """A policy that tells so many hours before."""
    found, problems = decode({"notify_before_hours": hours}, timezone.utc, "policy")
    assert found is not None, problems
    return found


@pytest.mark.parametrize(
    ("hours", "left", "persistence", "told"),
    [
        (0, 0, {}, False),
        (2, 7201, {}, False),
        (2, 7200, {}, True),
        (2, -86400, {}, True),
        (2, 0, {"auto_cleanup": False}, False),
        (2, 0, {"scheduled_cleanup": None}, False),
    ],
)
def test_expiring(hours: int, left: int, persistence: Dict[str, Any], told: bool) -> None:
    """Once for each deadline, from notify_before_hours on."""
    given = {"auto_cleanup": True, "scheduled_cleanup": NOW + left, **persistence}
    found = notice.expiring("u", "ci-1", given, policy(hours), {}, NOW)
    assert (found is not None) == told
    if found is not None:
        assert "ci-1" in found.message
        assert notice.expiring("u", "ci-1", given, policy(hours), notice.by_key([found]), NOW) is None
        later = {**given, "scheduled_cleanup": NOW + left - 1}
        assert notice.expiring("u", "ci-1", later, policy(hours), notice.by_key([found]), NOW) is not None


def test_arrival() -> None:
    """Queued is not arrived."""
    sent = Notice("k", "expiring", "u", "ci-1", "text", NOW)
    arrived = Notice("k", "expiring", "u", "ci-1", "text", NOW, delivered_unix=NOW)
    assert not notice.arrived_long_enough_ago(None, policy(1), NOW + 9999)
    assert not notice.arrived_long_enough_ago(sent, policy(1), NOW + 9999)
    assert not notice.arrived_long_enough_ago(arrived, policy(1), NOW + 3599)
    assert notice.arrived_long_enough_ago(arrived, policy(1), NOW + 3600)


def test_texts() -> None:
    """Messages name what they speak of, and keys tell one event from another."""
    failure = notice.failure("u", "ci-1", "effect_failed: no", NOW)
    assert (failure.kind, failure.message) == ("failed", "removing ci-1 failed: effect_failed: no")
    assert failure.key != notice.failure("u", "ci-1", "effect_failed: no", NOW + 1).key
    plan = SweepPlan("plan-1", "d", NOW, tuple(SeenVm(str(n), f"vm{n}", "d") for n in range(12)))
    asked = notice.confirmation(plan, "max_removals is 2")
    assert "12 VMs wait for a confirmation of plan-1, max_removals is 2: vm0, " in asked.message
    assert asked.message.endswith("vm9 and others")
