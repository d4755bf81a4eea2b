"""A host's clean-up policy: what is refused, and what the rest means."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, List, Tuple

import pytest
from vm_lifecycle._generated.schemas import SCHEMAS
from vm_lifecycle.policy.cleanup_policy import ENFORCED, CleanupPolicy, decode

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
        ({"require_confirmation": True}, [("not_enforced_yet", "policy.require_confirmation")]),
        ({"cleanup_batch_size": 9, "retention_days": 8},
         [("not_enforced_yet", "policy.cleanup_batch_size"), ("not_enforced_yet", "policy.retention_days")]),
    ],
)  # fmt: skip
def test_refused(document: Dict[str, Any], expected: List[Tuple[str, str]]) -> None:
    """Every problem, with its place."""
    found, problems = decode(document, timezone.utc, "policy")
    assert found is None
    assert [(problem.code, problem.field) for problem in problems] == expected


@pytest.mark.parametrize("name", sorted(set(SCHEMAS["VmCleanupPolicy"]["properties"]) - set(ENFORCED)))
def test_a_default_of_what_does_not_act_yet_is_accepted(name: str) -> None:
    """Saying what holds anyway is no lie."""
    assert policy(**{name: policy().document[name]}).document == policy().document


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
