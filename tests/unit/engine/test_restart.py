"""Whether a VM that stopped is started again: every row of the outcomes under each policy, delays, counts, and what ends them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from vm_lifecycle.policy import restart
from vm_lifecycle.policy.power import STOPS
from vm_lifecycle.policy.restart import AGAIN, FIRST, LONGEST, PHASES, STEADY, STEPS, after, rule
from vm_lifecycle.reasons_order import RESTART_REASONS
from vm_lifecycle.restarts import Happening, Moment, RestartRecord, RestartRule

from tests.fakes.build import declaration

BOOT, UNIX = "boot-1", 1795575600.0
ALWAYS, ON_FAILURE, NO = (RestartRule(policy, 5) for policy in ("always", "on-failure", "no"))


class Line:
    """One VM's record, and what happens to it as time goes by. clock: seconds by which the wall clock is off."""

    def __init__(self, declared: RestartRule, **given: Any) -> None:
        self.declared, self.time, self.clock, self.boot = declared, 1000.0, 0.0, BOOT
        self.going_down = False
        self.record = RestartRecord("u", "vm", **{"since": 0.0, "boot_id": BOOT, **given})
        self.starts: list[float] = []
        self.exercised: set[tuple[str, str]] = set()
        self.reasons: set[str] = set()

    def __call__(self, kind: str, why: str = "", passed: float = 0.0) -> str:
        """Something happens after so many seconds; returns the phase."""
        self.time += passed
        at = Moment(self.time, self.boot, UNIX + self.time + self.clock, self.going_down)
        self.exercised.add((self.record.phase, kind))
        self.record, starts = after(self.record, Happening(kind, why), self.declared, at)
        assert self.record.phase in PHASES
        assert (self.record.reason in RESTART_REASONS and self.record.reason != "retried") == (
            self.record.phase != "up"
        )
        self.reasons.add(self.record.reason)
        if starts:
            self.starts.append(self.time)
        return self.record.phase

    def restarted(self, why: str = "failed", ran: float = 0.0) -> float:
        """It stops after so many seconds, and is started again as soon as it is due: returns the delay."""
        assert self("stopped", why, ran) == "waiting", self.record
        waits = self.record.due - self.time
        assert self("due", passed=waits - 0.001) == "waiting"
        assert self("due", passed=0.0011) == "starting"
        assert self("started") == "up"
        return waits


#: Why it stopped -> what becomes of it under always, on-failure and no.
ROWS = {
    "guest": ("waiting", "ended_well", "restart_not_declared"),
    "killed": ("waiting", "waiting", "restart_not_declared"),
    "failed": ("waiting", "waiting", "restart_not_declared"),
    "asked": ("stopped_by_somebody",) * 3,
    "forced": ("stopped_by_somebody",) * 3,
    "saved": ("memory_saved",) * 3,
    "elsewhere": ("moved_or_reverted",) * 3,
    "pressure": ("under_pressure",) * 3,
    "host_shutdown": ("host_goes_down",) * 3,
    "host_down": ("host_goes_down",) * 3,
    "unknown": ("stop_not_seen",) * 3,
    "starting": ("stop_not_seen",) * 3,
    "left": ("stop_not_seen",) * 3,
}


@pytest.mark.parametrize("why", STOPS)
@pytest.mark.parametrize(
    ("number", "declared"), [*enumerate([ALWAYS, ON_FAILURE, NO])], ids=lambda each: str(each)[-20:]
)
def test_outcomes(why: str, number: int, declared: RestartRule) -> None:
    """Each way to stop, under each policy; under every one of them a host that goes down restarts nothing."""
    line = Line(declared)
    phase, expected = line("stopped", why), ROWS[why][number]
    assert expected in (phase, line.record.reason)
    assert phase == ("waiting" if expected == "waiting" else "left")
    down = Line(declared)
    down.going_down = True
    assert (down("stopped", why), down.record.reason) == ("left", "host_goes_down")


def test_delays() -> None:
    """A tenth of a second, doubled each time, a minute at most: Docker's."""
    line = Line(replace(ALWAYS, retries=100))
    waits = [line.restarted() for _time in range(13)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0, 60.0])
    assert (FIRST, LONGEST, line.record.restart_count, line.record.in_row) == (0.1, 60.0, 13, 13)


def test_a_steady_run_resets_the_delay_and_not_the_count() -> None:
    """From ten seconds on."""
    line = Line(ALWAYS)
    assert [line.restarted(ran=ran) for ran in (0.0, 1.0, STEADY - 0.1)] == pytest.approx([0.1, 0.2, 0.4])
    assert line.restarted(ran=STEADY) == pytest.approx(0.1)
    assert line.record.in_row == 4


@pytest.mark.parametrize(("reset", "ran", "counted"), [(600, 599.0, 3), (600, 600.0, 1), (0, 1e6, 3), (5, 6.0, 1)])
def test_a_long_run_resets_the_count(reset: int, ran: float, counted: int) -> None:
    """Of restart_reset_seconds; 0 is Docker's way. How often it was restarted altogether is never forgotten."""
    line = Line(replace(ALWAYS, reset=reset))
    line.restarted()
    line.restarted()
    line.restarted(ran=ran)
    assert (line.record.in_row, line.record.restart_count) == (counted, 3)


@pytest.mark.parametrize("declared", [ALWAYS, ON_FAILURE])
def test_giving_up(declared: RestartRule) -> None:
    """After max_retries starts in a row; nothing but a start by somebody changes that."""
    line = Line(declared)
    for _time in range(5):
        line.restarted()
    assert (line("stopped", "failed"), line.record.reason) == ("gave_up", "retries_used_up")
    for kind in ("stopped", "crashed", "due", "succeeded", "failed", "refused", "postponed", "lost"):
        assert line(kind, "failed", 1000.0) == "gave_up"
    assert line("started") == "up"
    assert (line.record.in_row, line.record.restart_count, line.record.reason) == (0, 5, "")
    assert line.restarted() == pytest.approx(0.1)


def test_pressure() -> None:
    """What was powered off for want of memory stays down until there is enough, and is then restarted as after a failure."""
    line = Line(ON_FAILURE)
    line("stopped", "failed")
    assert line("started") == "up"  # somebody's start
    assert (line("stopped", "pressure", 100.0), line.record.reason) == ("left", "under_pressure")
    assert line("due", passed=1000.0) == "left"
    assert (line("relieved"), line.record.due - line.time) == ("waiting", pytest.approx(FIRST))
    assert line("relieved") == "waiting"
    assert line("due", "pressure", FIRST) == "starting"
    assert line("started") == "up"
    for given, reason in ((NO, "restart_not_declared"), (replace(ALWAYS, barrier="restart_held"), "restart_held")):
        other = Line(ALWAYS)
        other("stopped", "pressure")
        other.declared = given
        assert (other("relieved"), other.record.reason) == ("left", reason)
    by_hand = Line(ALWAYS)
    by_hand("stopped", "asked")
    assert (by_hand("relieved"), by_hand.record.reason) == ("left", "stopped_by_somebody")


def test_no_retries() -> None:
    """It is never restarted, and that is no failure; a negative number is as good."""
    line = Line(replace(ALWAYS, retries=0))
    assert (line("stopped", "failed"), line.record.reason) == ("left", "no_retries")
    declared = declaration("u", {"max_retries": -3}, 0)
    assert rule(declared).retries == 0


def test_starts_that_fail() -> None:
    """They count, and wait longer and longer, as runs that end at once do."""
    line = Line(ALWAYS)
    line("stopped", "failed")
    for number in range(1, 6):
        assert line("due", passed=60.0) == "starting"
        assert line.record.in_row == number
        line("failed", "effect_failed")
    assert (line.record.phase, line.record.restart_count, len(line.starts)) == ("gave_up", 0, 5)


def test_what_is_no_try() -> None:
    """Another run works on it, or the supervisor was killed: tried again soon, and not counted."""
    line = Line(ALWAYS)
    line("stopped", "failed")
    for kind in ("postponed", "lost"):
        line("due", passed=2 * AGAIN)
        assert line(kind) == "waiting"
        assert (line.record.in_row, line.record.due) == (0, line.time + AGAIN)
        assert line("due", passed=AGAIN - 0.1) == "waiting"
        assert line("due", passed=0.2) == "starting"
        assert line("postponed") == "waiting"


def test_a_start_that_is_refused() -> None:
    """The last look found something that speaks against it."""
    line = Line(ALWAYS)
    line("stopped", "failed")
    line("due", passed=1.0)
    assert (line("refused", "restart_refused"), line.record.reason, line.record.in_row) == (
        "left",
        "restart_refused",
        0,
    )


@pytest.mark.parametrize("why", ["forced", "asked", "saved", "elsewhere"])
def test_somebodys_deed_while_it_waits(why: str) -> None:
    """It sticks: heard as an event, or found on record when the restart is due; and while it is being started."""
    for kind, passed in (("stopped", 0.0), ("due", 1.0)):
        line = Line(ALWAYS)
        line("stopped", "failed")
        assert line(kind, why, passed) == "left"
        assert line("due", passed=100.0) == "left"
        assert line.starts == []
    line = Line(ALWAYS)
    line("stopped", "failed")
    line("due", passed=1.0)
    assert line("stopped", why) == "left"
    assert line("succeeded") == "left"


def test_what_is_declared_while_it_waits() -> None:
    """Counts when the restart is due: another policy, a hold, fewer retries, a temporary VM; a host that goes down, too."""
    cases = [
        (NO, "restart_not_declared"), (replace(ALWAYS, barrier="restart_held"), "restart_held"),
        (replace(ALWAYS, barrier="restart_temporary"), "restart_temporary"), (replace(ALWAYS, retries=0), "no_retries"),
        (replace(ALWAYS, retries=1), "retries_used_up"),
    ]  # fmt: skip
    for declared, reason in cases:
        line = Line(ALWAYS)
        line.restarted()
        line("stopped", "failed")
        line.declared = declared
        line("due", passed=1.0)
        assert line.record.reason == reason
    line = Line(ALWAYS)
    line("stopped", "failed")
    line.going_down = True
    assert (line("due", passed=1.0), line.record.reason) == ("left", "host_goes_down")


@pytest.mark.parametrize("barrier", ["restart_held", "restart_temporary"])
def test_barred(barrier: str) -> None:
    """Held, or temporary: it stays down."""
    line = Line(replace(ALWAYS, barrier=barrier))
    assert (line("stopped", "failed"), line.record.reason) == ("left", barrier)


def test_a_guest_that_crashed_and_is_kept() -> None:
    """Is left to be looked at; when its process ends by itself after all, that is a failure, and when somebody ends it, it is not."""
    for why, phase in (("failed", "waiting"), ("forced", "left")):
        line = Line(ALWAYS)
        assert (line("crashed"), line.record.reason) == ("left", "crash_preserved")
        assert line("stopped", why) == phase


def test_an_echo() -> None:
    """That it runs is heard once more after our start came back, or comes back after it was heard: one restart, one count."""
    for kinds in (("started", "succeeded"), ("succeeded", "started")):
        line = Line(ALWAYS)
        line("stopped", "failed")
        line("due", passed=1.0)
        assert [line(kind) for kind in kinds] == ["up", "up"]
        assert (line.record.restart_count, line.record.in_row) == (1, 1)


def test_a_result_that_is_late() -> None:
    """It ran and died before the start came back: the start's result says nothing of the next one."""
    line = Line(ALWAYS)
    line("stopped", "failed")
    line("due", passed=1.0)
    line("started")
    line("stopped", "failed")
    before = line.record
    assert line("succeeded") == "waiting"
    assert line.record == before


def test_somebody_starts_it_while_it_waits() -> None:
    """That ends the waiting, and begins the count anew."""
    line = Line(ALWAYS)
    line.restarted()
    line("stopped", "failed")
    assert line("started") == "up"
    assert (line.record.in_row, line.record.delay) == (0, 0.0)
    assert line("due", passed=100.0) == "up"


def test_wall_clock_steps() -> None:
    """Change nothing, forward or back."""
    for step in (-1e6, 1e6):
        line = Line(ALWAYS)
        line("stopped", "failed")
        line.clock = step
        assert line("due", passed=0.05) == "waiting"
        assert line("due", passed=0.06) == "starting"
        line("started")
        line.clock = 0.0
        assert line.restarted() == pytest.approx(0.2)


@pytest.mark.parametrize("phase", ["waiting", "starting"])
def test_another_boot(phase: str) -> None:
    """What was pending is over: the boot decides, and its start counts from the beginning."""
    line = Line(ALWAYS)
    line.restarted()
    line("stopped", "failed")
    if phase == "starting":
        line("due", passed=1.0)
    line.boot, line.time = "boot-2", 5.0
    assert line("due", passed=100.0) in ("left", phase)
    assert line.starts in ([line.starts[0]], line.starts[:2])
    assert line("started") == "up"
    assert (line.record.in_row, line.record.restart_count, line.record.boot_id) == (0, 1, "boot-2")
    assert line.restarted() == pytest.approx(0.1)


def test_given_up_before_the_host_booted() -> None:
    """It stays so, until it is started, by the boot for one."""
    line = Line(replace(ALWAYS, retries=1))
    line.restarted()
    assert line("stopped", "failed") == "gave_up"
    line.boot = "boot-2"
    assert line("due") == "gave_up"
    assert line("started") == "up"


def test_rules() -> None:
    """From declarations: holds, modes, and the schema's own number of seconds."""
    assert rule(declaration("u", {}, 0)) == RestartRule("always", 5, 600.0)
    given = {"restart_policy": "no", "max_retries": 2, "policy": {"restart_reset_seconds": 0}}
    assert rule(declaration("u", given, 0)) == RestartRule("no", 2, 0.0)
    assert rule(declaration("u", {"hold": "everything"}, 0)).barrier == "restart_held"
    assert rule(declaration("u", {"hold": "deletion"}, 0)).barrier == ""
    assert rule(declaration("u", {"mode": "temporary"}, 0)).barrier == "restart_temporary"


KINDS = ("started", "stopped", "crashed", "due", "succeeded", "failed", "refused", "postponed", "lost", "relieved")


def lines(steps: int) -> Iterator[Line]:
    """Random lives."""
    chance = random.Random(6)
    for _number in range(steps):
        line = Line(
            RestartRule(chance.choice(["always", "on-failure", "no"]), chance.randint(0, 3), chance.choice([0, 30]))
        )
        for _step in range(40):
            line.going_down = chance.random() < 0.03
            kind = chance.choice(KINDS)
            why = chance.choice(list(STOPS)) if kind in ("stopped", "due") else "restart_refused"
            before, starts = line.record, len(line.starts)
            line(kind, why, chance.choice([0.0, 0.1, 1.0, 20.0, 100.0]))
            # whatever happens
            assert line.record.restart_count >= before.restart_count
            assert line.record.in_row <= max(line.declared.retries, before.in_row)
            if len(line.starts) > starts:
                assert (kind, before.phase, line.going_down) == ("due", "waiting", False)
                assert line.declared.policy != "no" and line.time >= before.due
                assert why not in restart.LEFT or why == "pressure"  # it was relieved of that, or it would not wait
            if line.record.phase == "waiting":
                assert line.record.due <= line.time + LONGEST
        yield line


def test_all_transitions() -> None:
    """Random lives come by each of them, and break no rule."""
    exercised = {each for line in lines(1500) for each in line.exercised}
    assert sorted(set(STEPS) - exercised) == []
    assert {phase for phase, _kind in STEPS} == set(PHASES)


def test_every_reason() -> None:
    """No text is for nothing: each is a policy's answer, or what the last look says."""
    seen = {reason for line in lines(1500) for reason in line.reasons} | {"restart_held", "restart_temporary"}
    assert sorted(set(RESTART_REASONS) - seen) == ["retried"]  # which tests/scenarios/restart-by-hand has
