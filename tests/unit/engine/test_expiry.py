"""When a temporary VM's time is over."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest
from vm_lifecycle.policy import expiry

HOUR = 3600
TEMPORARY: Dict[str, Any] = {"mode": "temporary", "ttl_hours": 4, "scheduled_cleanup": 100 * HOUR}


@pytest.mark.parametrize(
    ("base", "ttl_hours", "expected"), [(0, 1, HOUR), (1000, 24, 1000 + 24 * HOUR), (5, 8760, 5 + 8760 * HOUR)]
)
def test_deadline_and_base(base: int, ttl_hours: int, expected: int) -> None:
    """The base can be told from the deadline, so a changed ttl_hours counts from the same moment."""
    scheduled = expiry.deadline(base, ttl_hours)
    assert scheduled == expected
    assert expiry.base_of({"scheduled_cleanup": scheduled, "ttl_hours": ttl_hours}) == base


@pytest.mark.parametrize(
    ("persistence", "now", "expected"),
    [
        (TEMPORARY, 100 * HOUR - 1, False),
        (TEMPORARY, 100 * HOUR - 0.001, False),
        (TEMPORARY, 100 * HOUR, True),
        (TEMPORARY, 900 * HOUR, True),
        ({"mode": "temporary", "ttl_hours": 4}, 900 * HOUR, False),
        ({**TEMPORARY, "mode": "permanent"}, 900 * HOUR, False),
    ],
)
def test_is_expired(persistence: Dict[str, Any], now: float, expected: bool) -> None:
    """At the deadline itself, and never without one."""
    assert expiry.is_expired(persistence, now) is expected


@pytest.mark.parametrize(("hours", "expected"), [(8759, False), (8760, False), (8761, True)])
def test_life_limit(hours: int, expected: bool) -> None:
    """A year from the first base, to the second."""
    assert expiry.exceeds_life_limit(7, 7 + hours * HOUR) is expected
    assert expiry.exceeds_life_limit(7, 7 + 8760 * HOUR + 1)


@pytest.mark.parametrize(
    ("persistence", "now", "expected"),
    [(TEMPORARY, 97 * HOUR, 3.0), (TEMPORARY, 100 * HOUR, 0.0), (TEMPORARY, 101 * HOUR, -1.0), ({}, 1.0, None)],
)
def test_hours_left(persistence: Dict[str, Any], now: float, expected: Optional[float]) -> None:
    """Negative when it is over."""
    assert expiry.hours_left(persistence, now) == expected
