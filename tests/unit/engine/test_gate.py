"""The gate: one row for each reason, and their order."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, FrozenSet, Optional

import pytest
from vm_lifecycle.metadata import Declaration
from vm_lifecycle.model import ClockMemory, Pressure
from vm_lifecycle.policy.cleanup_policy import decode
from vm_lifecycle.policy.clock import ClockVerdict
from vm_lifecycle.policy.gate import Circumstances, Decision, Subject, decide, may_resume, timing
from vm_lifecycle.removals import Notice
from vm_lifecycle.times import iso

NOON = 1795608000.0  # 2026-11-25T12:00:00Z
NIGHT = NOON - 9 * 3600
IDLE = Pressure()
SANE = ClockVerdict(True, "", ClockMemory())
INSANE = ClockVerdict(False, "the clock jumped", ClockMemory())
ALL = frozenset({"expiry", "window", "load", "disabled"})


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
    named: bool = False,
    pressure: Pressure = IDLE,
    **policy: Any,
) -> Circumstances:
    """The circumstances of a sweep, inside the default window."""
    decoded, problems = decode(policy, timezone.utc, "policy")
    assert decoded is not None and not problems
    return Circumstances(now, clock, synchronised, decoded, ignore, named, pressure)


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
    # And then it is due, whatever the host allows at this moment.
    (DUE, True, True, at(now=NOON, dry_run_mode=True), "removed", "expired"),
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
    found = decide(Subject("ci-1", given, persistent, known), circumstances)
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


def schedule(attempts: int, error: str = "", status: str = "pending", ago: float = 0.0) -> Dict[str, Any]:
    """What is known of earlier attempts, the last of them some seconds before NIGHT."""
    found: Dict[str, Any] = {"cleanup_status": status, "cleanup_attempts": attempts}
    if attempts:
        found["last_cleanup_attempt"] = iso(NIGHT - ago)
    return {**found, "cleanup_error": error} if error else found


@pytest.mark.parametrize(
    ("known", "circumstances", "reason"),
    [
        (schedule(0), at(), "expired"),
        (schedule(1, "e", ago=899), at(), "backing_off"),
        (schedule(1, "e", ago=900), at(), "expired"),
        (schedule(2, "e", ago=1799), at(), "backing_off"),
        (schedule(2, "e", ago=1800), at(), "expired"),
        (schedule(1, "e", ago=1), at(named=True), "expired"),
        (schedule(3, ago=1), at(), "expired"),  # interrupted, which is no failure
        (schedule(5, ago=86400), at(), "gave_up"),
        (schedule(5, "e", "failed", ago=86400), at(), "gave_up"),
        (schedule(2, "e", "failed", ago=86400), at(), "gave_up"),
        (schedule(5, "e", "failed", ago=1), at(named=True), "expired"),
        (schedule(5, "e", ago=86400), at(max_cleanup_attempts=6), "expired"),
        (schedule(5, "e", "failed"), at(clock=INSANE), "gave_up"),
    ],
)
def test_attempts(known: Dict[str, Any], circumstances: Circumstances, reason: str) -> None:
    """Failures back off and end; whoever names the VM has it tried again."""
    assert decide(Subject("ci-1", DUE, True, True, known), circumstances).reason == reason


def told(delivered: float) -> Notice:
    """A notice that arrived then, 0 for one that did not."""
    return Notice("key", "expiring", "uuid", "ci-1", "text", 0, int(delivered))


@pytest.mark.parametrize(
    ("notice", "ignore", "reason"),
    [
        (None, frozenset(), "not_notified"),
        (told(0), frozenset(), "not_notified"),
        (told(NIGHT - 2 * 3600 + 1), frozenset(), "not_notified"),
        (told(NIGHT - 2 * 3600), frozenset(), "expired"),
        (None, frozenset({"window"}), "not_notified"),
        (None, frozenset({"expiry"}), "expired"),
    ],
)
def test_notice(notice: Optional[Notice], ignore: FrozenSet[str], reason: str) -> None:
    """A promised notice is a condition; whoever ends a VM by name needs none."""
    required = at(ignore=ignore, require_notice=True, notify_before_hours=2, alert_command=["tell"])
    assert decide(Subject("ci-1", DUE, True, True, None, notice), required).reason == reason
    free = at(ignore=ignore, notify_before_hours=2)
    assert decide(Subject("ci-1", DUE, True, True, None, notice), free).reason == "expired"


BUSY = Pressure(81.0, 51.0, 21.0)


@pytest.mark.parametrize(
    ("circumstances", "reason"),
    [
        (at(), ""),
        (at(now=NOON), "outside_window"),
        (at(now=NOON, ignore=frozenset({"window"})), ""),
        (at(now=NOON, dry_run_mode=True), "outside_window"),
        (at(dry_run_mode=True), "dry_run_mode"),
        (at(dry_run_mode=True, ignore=ALL), "dry_run_mode"),
        (at(pressure=BUSY), "low_resources"),
        (at(pressure=BUSY, dry_run_mode=True), "low_resources"),
        (at(pressure=BUSY, ignore=frozenset({"load"})), ""),
        (at(pressure=BUSY, skip_on_low_resources=False), ""),
        (at(pressure=Pressure(80.0, 50.0, 20.0)), ""),
        (at(pressure=Pressure(cpu=81.0)), "low_resources"),
        (at(pressure=Pressure(io=51.0)), "low_resources"),
        (at(pressure=Pressure(memory=21.0)), "low_resources"),
        (at(pressure=Pressure(memory=21.0), max_memory_pressure=30), ""),
    ],
)
def test_timing(circumstances: Circumstances, reason: str) -> None:
    """What the host allows; what the kernel does not tell is no reason to wait."""
    found, detail = timing(circumstances)
    assert found == reason
    assert bool(detail) == bool(reason)


def test_messages() -> None:
    """A hold shows its reason, a closed window its opening, a back-off what went wrong and when it ends."""
    assert decide(Subject("a", HELD, True, True), at()).message == "a: held since 1970-01-01T00:00:00Z: audit"
    assert "opens 2026-11-26T02:00:00Z" in timing(at(now=NOON))[1]
    kept = decide(Subject("a", invalid("not_managed"), True, True), at())
    assert kept == Decision("kept", "not_managed", "a: detail")
    waiting = decide(Subject("a", DUE, True, True, schedule(1, "effect_failed: no")), at())
    assert waiting.message == "a: tried again from 2026-11-25T03:15:00Z on, after: effect_failed: no"
    assert "5 attempts" in decide(Subject("a", DUE, True, True, schedule(5)), at()).message
