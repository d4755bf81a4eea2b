"""Whether a clock can be believed: each rule at its boundary."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from vm_lifecycle.model import ClockMemory, ClockReading
from vm_lifecycle.policy.clock import DRIFT, LEAP, STEADY, accept, judge

RELEASED = 1_000_000.0
NOW = 2_000_000.0
BEFORE = ClockMemory(high_water=NOW, boottime=1000.0, boot_id="one")


def reading(now: float, boottime: float = 1000.0, boot_id: str = "one", synchronised: bool = False) -> ClockReading:
    """A reading of the same boot, unless another is named."""
    return ClockReading(now, boottime, boot_id, synchronised)


CASES: list[tuple[str, ClockReading, ClockMemory, str]] = [
    ("nothing is remembered", reading(NOW), ClockMemory(), ""),
    ("just at the release", reading(RELEASED), ClockMemory(), ""),
    ("before the release", reading(RELEASED - 1), ClockMemory(), "before this software was released"),
    ("before the release, synchronised", reading(5.0, synchronised=True), ClockMemory(), "before this software"),
    ("an hour later, by both clocks", reading(NOW + 3600, 4600.0), BEFORE, ""),
    ("drift at the limit ahead", reading(NOW + DRIFT), BEFORE, ""),
    ("drift at the limit behind", reading(NOW - DRIFT), BEFORE, ""),
    ("drift beyond it ahead", reading(NOW + DRIFT + 1), BEFORE, "the clock jumped by 91 s"),
    ("drift beyond it behind", reading(NOW - DRIFT - 1), BEFORE, "the clock jumped by -91 s"),
    ("a year ahead within a boot", reading(NOW + 3e7), BEFORE, "the clock jumped"),
    ("standing still", reading(NOW, 5000.0), BEFORE, "the clock jumped by -4000 s"),
    ("a jump, synchronised", reading(NOW + 3e7, synchronised=True), BEFORE, ""),
    ("another boot, later", reading(NOW + 60, 5.0, "two"), BEFORE, ""),
    ("another boot, the same second", reading(NOW, 5.0, "two"), BEFORE, ""),
    ("another boot, behind", reading(NOW - 1, 5.0, "two"), BEFORE, "1 s behind the last run"),
    ("another boot, behind, synchronised", reading(NOW - 1, 5.0, "two", True), BEFORE, ""),
    ("off for a week", reading(NOW + LEAP, 5.0, "two"), BEFORE, ""),
    ("off for longer", reading(NOW + LEAP + 1, 5.0, "two"), BEFORE, "advanced 7 days across a reboot"),
    ("off for longer, synchronised", reading(NOW + 9e7, 5.0, "two", True), BEFORE, ""),
    ("suspended for long within a boot", reading(NOW + 3e6, 3e6 + 1000), BEFORE, ""),
]


@pytest.mark.parametrize(("name", "given", "memory", "problem"), CASES, ids=[case[0] for case in CASES])
def test_judge(name: str, given: ClockReading, memory: ClockMemory, problem: str) -> None:
    """A sane clock moves the high-water mark, an insane one never does."""
    verdict = judge(given, memory, RELEASED)
    assert verdict.sane is (problem == "")
    assert problem in verdict.problem
    if verdict.sane:
        assert verdict.memory == accept(given)
    else:
        assert verdict.memory.high_water == memory.high_water
        assert verdict.memory.suspect_since == given


def later(seconds: float, jump: float = 0.0, **changes: Any) -> ClockReading:
    """A reading so many seconds after the suspicious one."""
    values = {"now": NOW + 9e7 + seconds + jump, "boottime": 5.0 + seconds, "boot_id": "two", "synchronised": False}
    return ClockReading(**{**values, **changes})


SUSPECT = ClockMemory(NOW, 1000.0, "one", later(0))


@pytest.mark.parametrize(
    ("given", "sane", "since"),
    [
        (later(STEADY - 1), False, later(0)),
        (later(STEADY), True, None),
        (later(STEADY + 90), True, None),
        (later(STEADY, jump=DRIFT), True, None),
        (later(STEADY, jump=DRIFT + 1), False, later(STEADY, jump=DRIFT + 1)),
        (later(STEADY, jump=-DRIFT - 1), False, later(STEADY, jump=-DRIFT - 1)),
        (later(STEADY, boot_id="three"), False, later(STEADY, boot_id="three")),
        (later(3600), False, later(0)),
        (later(3600, synchronised=True), True, None),
    ],
)
def test_a_steady_day(given: ClockReading, sane: bool, since: Optional[ClockReading]) -> None:
    """24 hours of one boot without a further jump end a refusal; a jump or a reboot begins them anew."""
    verdict = judge(given, SUSPECT, RELEASED)
    assert verdict.sane is sane
    assert verdict.memory.suspect_since == since
    assert verdict.memory.high_water == (given.now if sane else NOW)


def test_no_day_helps_before_the_release() -> None:
    """The release date is absolute."""
    memory = ClockMemory(suspect_since=ClockReading(5.0, 5.0, "two"))
    verdict = judge(ClockReading(5.0 + 2 * STEADY, 5.0 + 2 * STEADY, "two"), memory, RELEASED)
    assert not verdict.sane
    assert verdict.memory is memory
