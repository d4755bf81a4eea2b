"""The gate: one row for each reason, and their order."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, FrozenSet

import pytest
from vm_lifecycle.metadata import Declaration
from vm_lifecycle.model import ClockMemory
from vm_lifecycle.policy.cleanup_policy import decode
from vm_lifecycle.policy.clock import ClockVerdict
from vm_lifecycle.policy.gate import Circumstances, Decision, decide, may_resume

NOON = 1795608000.0  # 2026-11-25T12:00:00Z
NIGHT = NOON - 9 * 3600
SANE = ClockVerdict(True, "", ClockMemory())
INSANE = ClockVerdict(False, "the clock jumped", ClockMemory())
ALL = frozenset({"expiry", "window", "disabled"})


def declaration(hold: bool = False, **persistence: Any) -> Declaration:
    """A valid declaration of a temporary VM that is expired, but for what is given."""
    whole = {"mode": "temporary", "auto_cleanup": True, "scheduled_cleanup": int(NIGHT) - 3600, **persistence}
    document: Dict[str, Any] = {"persistence": whole}
    if hold:
        document["hold"] = {"scope": "deletion", "reason": "audit", "since_unix": 0}
    return Declaration("", "", "digest", document)


def at(
    now: float = NIGHT,
    ignore: FrozenSet[str] = frozenset(),
    clock: ClockVerdict = SANE,
    synchronised: bool = True,
    **policy: Any,
) -> Circumstances:
    """The circumstances of a sweep, inside the default window."""
    decoded, problems = decode(policy, timezone.utc, "policy")
    assert decoded is not None and not problems
    return Circumstances(now, clock, synchronised, decoded, ignore)


PERMANENT = declaration(mode="permanent")
HELD = declaration(hold=True)
LATER = declaration(scheduled_cleanup=int(NOON) + 86400)
OFF = declaration(auto_cleanup=False)
OFF_LATER = declaration(auto_cleanup=False, scheduled_cleanup=int(NOON) + 86400)
DUE = declaration()


def invalid(reason: str) -> Declaration:
    """A declaration that is not to be acted on."""
    return Declaration(reason, "detail", "digest")


ROWS: list[tuple[Declaration, bool, bool, Circumstances, str, str]] = [
    # What protects comes first, and no ignore lifts it.
    (DUE, False, True, at(ignore=ALL), "kept", "transient"),
    (invalid("not_managed"), True, False, at(ignore=ALL), "kept", "not_managed"),
    (invalid("metadata_not_json"), True, True, at(ignore=ALL), "kept", "metadata_not_json"),
    (invalid("metadata_invalid"), True, True, at(ignore=ALL), "kept", "metadata_invalid"),
    (invalid("metadata_newer"), True, True, at(ignore=ALL), "kept", "metadata_newer"),
    (invalid("metadata_cloned"), True, True, at(ignore=ALL), "kept", "metadata_cloned"),
    (invalid("metadata_reverted"), True, True, at(ignore=ALL), "kept", "metadata_reverted"),
    (invalid("metadata_edited"), True, True, at(ignore=ALL), "kept", "metadata_edited"),
    (invalid("metadata_unreadable"), True, True, at(ignore=ALL), "kept", "metadata_unreadable"),
    (PERMANENT, True, True, at(ignore=ALL), "kept", "permanent"),
    (declaration(hold=True, mode="permanent"), True, True, at(ignore=ALL), "kept", "permanent"),
    (HELD, True, True, at(ignore=ALL), "kept", "held"),
    (declaration(hold=True, auto_cleanup=False), True, True, at(ignore=ALL), "kept", "held"),
    (OFF, True, True, at(ignore=ALL), "kept", "auto_cleanup_off"),
    (OFF_LATER, True, True, at(ignore=ALL), "kept", "not_expired"),
    (LATER, True, True, at(), "kept", "not_expired"),
    (LATER, True, True, at(ignore=frozenset({"window", "disabled"})), "kept", "not_expired"),
    (LATER, True, True, at(clock=INSANE), "kept", "not_expired"),
    # Then what makes it wait.
    (DUE, True, True, at(clock=INSANE, ignore=ALL), "waiting", "insane_clock"),
    (DUE, True, False, at(clock=INSANE, synchronised=False, cleanup_enabled=False), "waiting", "insane_clock"),
    (DUE, True, True, at(synchronised=False, require_synchronised_clock=True), "waiting", "clock_unsynchronised"),
    (DUE, True, True, at(synchronised=False, require_synchronised_clock=True, cleanup_enabled=False), "waiting",
     "clock_unsynchronised"),
    (DUE, True, True, at(cleanup_enabled=False), "waiting", "cleanup_disabled"),
    (DUE, True, False, at(cleanup_enabled=False), "waiting", "cleanup_disabled"),
    (DUE, True, True, at(cleanup_enabled=False, ignore=frozenset({"expiry", "window"})), "waiting", "cleanup_disabled"),
    (DUE, True, False, at(), "waiting", "newly_seen"),
    (DUE, True, False, at(now=NOON, ignore=ALL), "waiting", "newly_seen"),
    (DUE, True, True, at(now=NOON), "waiting", "outside_window"),
    (DUE, True, True, at(now=NOON, dry_run_mode=True), "waiting", "outside_window"),
    (DUE, True, True, at(dry_run_mode=True), "waiting", "dry_run_mode"),
    (LATER, True, True, at(dry_run_mode=True, ignore=ALL), "waiting", "dry_run_mode"),
    # And then it goes.
    (DUE, True, True, at(), "removed", "expired"),
    (DUE, True, True, at(synchronised=False), "removed", "expired"),
    (DUE, True, True, at(now=NOON, ignore=frozenset({"window"})), "removed", "expired"),
    (DUE, True, True, at(now=NOON, cleanup_in_window_only=False), "removed", "expired"),
    (DUE, True, True, at(cleanup_enabled=False, ignore=frozenset({"disabled"})), "removed", "expired"),
    (LATER, True, True, at(ignore=frozenset({"expiry"})), "removed", "requested"),
    (LATER, True, True, at(now=NOON, ignore=ALL, cleanup_enabled=False), "removed", "requested"),
    (declaration(scheduled_cleanup=int(NIGHT)), True, True, at(), "removed", "expired"),
    (declaration(scheduled_cleanup=int(NIGHT) + 1), True, True, at(), "kept", "not_expired"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "persistent", "known", "circumstances", "decision", "reason"), ROWS)
def test_decide(
    given: Declaration, persistent: bool, known: bool, circumstances: Circumstances, decision: str, reason: str
) -> None:
    """Decision, reason, and a message that names the VM."""
    found = decide("ci-1", given, persistent, known, circumstances)
    assert (found.decision, found.reason) == (decision, reason)
    assert found.message.startswith("ci-1")


@pytest.mark.parametrize(
    ("circumstances", "reason"),
    [
        (at(), ""),
        (at(now=NOON), ""),
        (at(dry_run_mode=True), "dry_run_mode"),
        (at(dry_run_mode=True, clock=INSANE), "dry_run_mode"),
        (at(clock=INSANE), "insane_clock"),
        (at(synchronised=False, require_synchronised_clock=True), "clock_unsynchronised"),
        (at(cleanup_enabled=False), "cleanup_disabled"),
        (at(cleanup_enabled=False, ignore=frozenset({"disabled"})), ""),
    ],
)
def test_may_resume(circumstances: Circumstances, reason: str) -> None:
    """What has begun is finished outside the window too, and by no host that is switched off."""
    assert may_resume(circumstances)[0] == reason


def test_messages() -> None:
    """A hold shows its reason, a closed window its opening."""
    assert decide("a", HELD, True, True, at()).message == "a: held since 1970-01-01T00:00:00Z: audit"
    assert "opens 2026-11-26T02:00:00Z" in decide("a", DUE, True, True, at(now=NOON)).message
    assert decide("a", invalid("not_managed"), True, True, at()) == Decision("kept", "not_managed", "a: detail")
