"""A host's clean-up policy: what is refused, and what the rest means."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, List, Tuple

import pytest
from vm_lifecycle.model import Pressure
from vm_lifecycle.policy.cleanup_policy import CleanupPolicy, beside, decode, pressed
from vm_lifecycle.removals import Hooks

INFINITE = float("inf")
NOON, NIGHT = 1795608000.0, 1795575600.0


def policy(**document: Any) -> CleanupPolicy:
    """A valid policy."""
    found, problems = decode(document, timezone.utc, "policy")
    assert found is not None, problems
    return found


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"cleanup_window_start": "1320"}, [("unquoted_time", "policy.cleanup_window_start")]),
        ({"cleanup_window_start": 1320}, [("unquoted_time", "policy.cleanup_window_start")]),
        ({"cleanup_window_end": "6 am"}, [("invalid_option", "policy.cleanup_window_end")]),
        ({"cleanup_window_start": "9", "cleanup_window_end": "25:00"},
         [("unquoted_time", "policy.cleanup_window_start"), ("invalid_option", "policy.cleanup_window_end")]),
        ({"cleanup_window_start": True}, [("invalid_option", "policy.cleanup_window_start")]),
        ({"cleanup_window_start": None}, [("invalid_option", "policy.cleanup_window_start")]),
        ({"cleanup_window_start": ["02:00"]}, [("invalid_option", "policy.cleanup_window_start")]),
        ({"check_interval_minutes": 0}, [("invalid_option", "policy.check_interval_minutes")]),
        ({"cleanup_enabled": "yes"}, [("invalid_option", "policy.cleanup_enabled")]),
        ({"colour": "red"}, [("invalid_option", "policy.colour")]),
        ({"require_synchronised_clock": 1}, [("invalid_option", "policy.require_synchronised_clock")]),
        (
            {"require_notice": True},
            [
                ("invalid_option", "policy.require_notice, notify_before_hours"),
                ("invalid_option", "policy.require_notice, alert_command, alert_webhook"),
            ],
        ),
        (
            {"require_notice": True, "notify_before_hours": 1, "alert_command": []},
            [("invalid_option", "policy.require_notice, alert_command, alert_webhook")],
        ),
        ({"max_removal_percent": 101}, [("invalid_option", "policy.max_removal_percent")]),
        ({"max_cleanup_attempts": 0}, [("invalid_option", "policy.max_cleanup_attempts")]),
        ({"alert_command": "mail root"}, [("invalid_option", "policy.alert_command")]),
    ],
)  # fmt: skip
def test_refused(document: Dict[str, Any], expected: List[Tuple[str, str]]) -> None:
    """Every problem, with its place."""
    found, problems = decode(document, timezone.utc, "policy")
    assert found is None
    assert [(problem.code, problem.field) for problem in problems] == expected


@pytest.mark.parametrize(
    ("document", "now", "ignore", "closes"),
    [
        ({}, NIGHT, False, NIGHT + 3 * 3600),
        ({}, NOON, False, None),
        ({}, NOON, True, INFINITE),
        ({}, NIGHT, True, INFINITE),
        ({"cleanup_in_window_only": False}, NOON, False, INFINITE),
        ({"cleanup_window_start": "09:00", "cleanup_window_end": "09:00"}, NOON, False, INFINITE),
        ({"cleanup_window_start": "11:00", "cleanup_window_end": "13:00"}, NOON, False, NOON + 3600),
    ],
)
def test_closing(document: Dict[str, Any], now: float, ignore: bool, closes: Any) -> None:
    """Until when a removal may begin."""
    assert policy(**document).closing(now, ignore) == closes


def test_effective() -> None:
    """The window may add hours to a deadline."""
    assert policy().effective(NOON) == NOON + 14 * 3600
    assert policy().effective(NIGHT) == NIGHT
    assert policy(cleanup_in_window_only=False).effective(NOON) == NOON


def test_flags() -> None:
    """As they were given, or by default."""
    assert (policy().enabled, policy().dry_run, policy().synchronised_only) == (True, False, False)
    other = policy(cleanup_enabled=False, dry_run_mode=True, require_synchronised_clock=True)
    assert (other.enabled, other.dry_run, other.synchronised_only) == (False, True, True)


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({"max_removals": 5, "cleanup_window_start": "01:00"}, {"retention_days": 1}, {"max_removals": 5, "retention_days": 1}),
        ({"max_removals": 5, "undo_hours": 4}, {"max_removals": 0}, {"max_removals": 0, "undo_hours": 4}),
        ({"remove_unpooled_files": True, "skip_on_low_resources": False}, {}, {}),
        ({"dry_run_mode": True}, {"dry_run_mode": False}, {"dry_run_mode": True}),
        ({"dry_run_mode": False}, {"dry_run_mode": True}, {"dry_run_mode": True}),
        ({"require_synchronised_clock": True, "cleanup_enabled": False}, {"cleanup_enabled": True},
         {"require_synchronised_clock": True, "cleanup_enabled": True}),
    ],
)  # fmt: skip
def test_beside(own: Dict[str, Any], given: Dict[str, Any], expected: Dict[str, Any]) -> None:
    """What protects on the host holds for a call that does not say otherwise; what lets more go does not."""
    assert beside(own, given) == expected


def test_hooks() -> None:
    """Nobody is told unless somebody was named."""
    assert policy().hooks == Hooks()
    given = policy(alert_command=["/usr/bin/mail", "root"], alert_webhook="https://chat.example/hook")
    assert given.hooks == Hooks(("/usr/bin/mail", "root"), "https://chat.example/hook")


def test_pressure_limits() -> None:
    """Without skip_on_low_resources there is no limit; equal to a limit is not above it."""
    assert policy().pressure_limits == Pressure(80.0, 50.0, 20.0)
    assert policy(skip_on_low_resources=False).pressure_limits == Pressure()
    assert pressed(Pressure(80.0, 50.0, 20.0), policy().pressure_limits) == ""
    assert pressed(Pressure(None, 50.5, None), policy().pressure_limits) == "io pressure is 50 %, above 50 %"
    assert pressed(Pressure(99.0, 99.0, 99.0), Pressure()) == ""
