"""From what is measured of a VM to its VmStateSnapshot: states, rates, memory; whatever is measured, the document is valid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from vm_lifecycle.boots import BootRun, LastState, StartRecord
from vm_lifecycle.model import ClockReading, Domain
from vm_lifecycle.policy.snapshots import Known, known, sample, state
from vm_lifecycle.restarts import RestartRecord
from vm_lifecycle.schema import violations
from vm_lifecycle.snapshots import Counters, Sample, Statistics

NOW, MIB, GIB = 1795575600.0, 2**20, 2**30


def moment(boottime: float = 5000.0, boot_id: str = "boot", now: float = NOW) -> ClockReading:
    """A moment of the host."""
    return ClockReading(now, boottime, boot_id)


def on(run: int = 1, **more: Any) -> Statistics:
    """A VM that runs."""
    return Statistics("u", "running", run=run, **more)


def taken(found: Statistics, last: Optional[Counters] = None, at: Optional[ClockReading] = None) -> Sample:
    """Its snapshot."""
    return sample(Domain("u", "vm", found.state), found, last, at or moment(), Known())


@pytest.mark.parametrize(
    ("word", "reason", "expected"),
    [
        ("running", "", "running"),
        ("blocked", "", "running"),
        ("paused", "", "paused"),
        ("pmsuspended", "", "paused"),
        ("paused", "io_error", "error"),
        ("paused", "crashed", "error"),
        ("paused", "starting", "starting"),
        ("shutdown", "", "stopping"),
        ("shutoff", "", "stopped"),
        ("shutoff", "crashed", "error"),
        ("shutoff", "failed", "error"),
        ("crashed", "", "error"),
        ("no state", "", "error"),
        ("a state of the future", "", "error"),
    ],
)
def test_states(word: str, reason: str, expected: str) -> None:
    """libvirt's words, and the reasons that count."""
    assert state(Statistics("u", word, reason), Known()) == expected


def test_records_count_for_vms_that_are_off() -> None:
    """What libvirt sees is worth more than what is on record, and a VM that runs is neither starting nor dead."""
    off = Statistics("u", "shutoff")
    assert state(off, Known(starting=True, died=True)) == "starting"
    assert state(off, Known(died=True)) == "error"
    for each in ("running", "paused", "crashed"):
        assert state(Statistics("u", each), Known(starting=True, died=True)) == state(Statistics("u", each), Known())


def last(reason: str, boot_id: str = "boot") -> LastState:
    """What it was last seen to be."""
    return LastState("u", "vm", "shutoff", reason, int(NOW), boot_id)


RESTART = RestartRecord("u", "vm", "waiting", 3, boot_id="boot")
START = StartRecord("u", "vm", "boot", "failed")


@pytest.mark.parametrize(
    ("seen", "start", "run", "starting"),
    [
        (last("starting"), None, BootRun("boot", 1), True),
        (last("starting"), StartRecord("u", "vm", "earlier", "failed"), BootRun("boot", 1), True),
        # it was its turn, and the start failed
        (last("starting"), START, BootRun("boot", 1), False),
        # the boot is over, or was another one
        (last("starting"), None, BootRun("boot", 1, 2), False),
        (last("starting"), None, BootRun("earlier", 1), False),
        (last("starting"), None, None, False),
        (last("starting", "earlier"), None, BootRun("boot", 1), False),
        (last("left"), None, BootRun("boot", 1), False),
        (None, None, BootRun("boot", 1), False),
    ],
)
def test_a_boot_that_goes_on(
    seen: Optional[LastState], start: Optional[StartRecord], run: Optional[BootRun], starting: bool
) -> None:
    """Starts in order what it marked, until it is through with it."""
    assert known(seen, start, run, "boot").starting is starting


def test_a_death_of_an_earlier_boot_is_no_news() -> None:
    """Since then it was started, or left."""
    assert known(last("failed"), None, None, "boot") == Known(died=True)
    assert known(last("failed", "earlier"), None, None, "boot", RESTART) == Known(restarts=3)
    assert known(last("guest"), None, None, "boot", RESTART) == Known(restarts=3)


def test_a_restart_that_goes_on() -> None:
    """It is being started, unless that was in another boot of the host."""
    begun = replace(RESTART, phase="starting")
    assert known(last("failed"), None, None, "boot", begun) == Known(starting=True, died=True, restarts=3)
    assert known(None, None, None, "boot", begun) == Known(starting=True, restarts=3)
    assert known(None, None, None, "next", begun) == Known(restarts=3)
    assert state(Statistics("u", "shutoff", "crashed"), Known(starting=True, died=True)) == "starting"


def test_rates() -> None:
    """Of all processors, since the last reading; the first since it was started."""
    first = taken(on(uptime=100.0, cpu_ns=50 * 10**9, processors=2))
    assert first.snapshot["cpu_usage_percent"] == 25.0
    second = taken(on(uptime=160.0, cpu_ns=140 * 10**9, processors=2), first.counters, moment(5060.0))
    assert (second.snapshot["cpu_usage_percent"], second.snapshot["uptime_seconds"]) == (75.0, 160)
    idle = taken(on(uptime=220.0, cpu_ns=140 * 10**9, processors=2), second.counters, moment(5120.0))
    assert idle.snapshot["cpu_usage_percent"] == 0.0


def test_more_than_all_processors_is_all_of_them() -> None:
    """QEMU's own threads work, too."""
    assert taken(on(uptime=10.0, cpu_ns=15 * 10**9)).snapshot["cpu_usage_percent"] == 100.0


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (on(run=2, uptime=10.0, cpu_ns=5 * 10**9), moment(5060.0)),  # another run
        (on(run=1, uptime=10.0, cpu_ns=5 * 10**9), moment(5060.0, "next")),  # another boot, whose runs are counted anew
        (on(run=1, uptime=10.0, cpu_ns=5 * 10**9), moment(4000.0)),  # of the same boot it can't be
    ],
)
def test_counters_that_began_anew(found: Statistics, at: ClockReading) -> None:
    """The rate is that since it was started."""
    before = Counters("u", 1, "boot", 5000.0, 50 * 10**9, 11.0, 100.0)
    assert taken(found, before, at).snapshot["cpu_usage_percent"] == 50.0


def test_two_looks_at_once_are_one() -> None:
    """Otherwise the second would tell of a few milliseconds, and the next timed one too."""
    before = Counters("u", 1, "boot", 5000.0, 50 * 10**9, 11.0, 100.0)
    for seconds in (0.0, 0.5):
        again = taken(on(uptime=100.5, cpu_ns=51 * 10**9), before, moment(5000.0 + seconds))
        assert (again.snapshot["cpu_usage_percent"], again.counters) == (11.0, before)


def test_the_wall_clock_does_not_matter_to_rates() -> None:
    """It may be set while a VM runs."""
    first = taken(on(uptime=100.0, cpu_ns=0))
    second = taken(on(uptime=110.0, cpu_ns=5 * 10**9), first.counters, moment(5010.0, now=1.0))
    assert (second.snapshot["cpu_usage_percent"], second.snapshot["uptime_seconds"]) == (50.0, 110)
    assert second.snapshot["snapshot_time"] == "1970-01-01T00:00:01Z"


def test_where_nobody_tells_when_it_was_started() -> None:
    """It counts since it was first seen in this run, and its first rate is none."""
    first = taken(on(cpu_ns=50 * 10**9))
    assert (first.snapshot["cpu_usage_percent"], first.snapshot["uptime_seconds"]) == (0.0, 0)
    second = taken(on(cpu_ns=80 * 10**9), first.counters, moment(5060.0))
    assert (second.snapshot["cpu_usage_percent"], second.snapshot["uptime_seconds"]) == (50.0, 60)
    other = taken(on(2, cpu_ns=80 * 10**9), second.counters, moment(5120.0))
    assert other.snapshot["uptime_seconds"] == 0


def test_off() -> None:
    """It uses no processor and no memory, and its disks are what they are; then it begins anew."""
    before = Counters("u", 1, "boot", 5000.0, 50 * 10**9, 11.0, 100.0)
    found = Statistics("u", "shutoff", resident=5 * MIB, guest_used=5, told_unix=int(NOW), disks=3 * GIB + 1)
    off = taken(found, before, moment(5060.0))
    expected = {"cpu_usage_percent": 0.0, "memory_usage_mb": 0, "uptime_seconds": 0, "disk_usage_gb": 4}
    assert {word: off.snapshot[word] for word in expected} == expected
    assert off.counters == Counters("u", -1, "boot", 5060.0)


@pytest.mark.parametrize(
    ("told", "expected"),
    [(0, 900), (int(NOW) - 601, 900), (int(NOW) + 601, 900), (int(NOW) - 600, 300), (int(NOW), 300)],
)
def test_memory(told: int, expected: int) -> None:
    """As the guest tells it, if it did so lately."""
    found = on(resident=900 * MIB, guest_used=300 * MIB, told_unix=told)
    assert (taken(found).snapshot["memory_usage_mb"], taken(found).memory) == (expected, expected * MIB)
    assert taken(on(resident=900 * MIB, told_unix=int(NOW))).snapshot["memory_usage_mb"] == 900


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (GIB, 1), (GIB + 1, 2)])
def test_disks_are_rounded_up(size: int, expected: int) -> None:
    """A VM with a disk uses some."""
    assert taken(on(disks=size)).snapshot["disk_usage_gb"] == expected


SIZES = some.integers(-(2**40), 2**60)
SECONDS = some.floats(-1e9, 1e9)
FOUND = some.builds(
    Statistics,
    uuid=some.just("u"),
    state=some.sampled_from(["running", "paused", "shutoff", "crashed", "no state", "?"]),
    reason=some.sampled_from(["", "io_error", "starting", "crashed", "failed"]),
    run=some.integers(-1, 3),
    uptime=some.none() | SECONDS,
    cpu_ns=some.none() | SIZES,
    processors=some.integers(0, 512),
    resident=SIZES,
    guest_used=some.none() | SIZES,
    told_unix=SIZES,
    disks=some.integers(0, 2**60),
    macs=some.just(("52:54:00:00:00:01",)),
    addresses=some.just(("10.0.0.1", "2001:db8::7")),
)
READ = some.builds(
    Counters,
    uuid=some.just("u"),
    run=some.integers(-1, 3),
    boot_id=some.sampled_from(["boot", "earlier"]),
    boottime=SECONDS,
    cpu_ns=SIZES,
    cpu_percent=some.floats(0, 100),
    uptime=some.floats(0, 1e9),
)
ON_RECORD = some.builds(Known, starting=some.booleans(), died=some.booleans(), restarts=some.integers(0, 2**31))


@settings(max_examples=500, deadline=None)
@given(FOUND, some.none() | READ, ON_RECORD, some.floats(0, 4e9), SECONDS)
def test_valid_whatever_is_measured(
    found: Statistics, before: Optional[Counters], on_record: Known, now: float, boottime: float
) -> None:
    """By the generated JSON Schema."""
    result = sample(Domain("u", "vm", found.state), found, before, moment(boottime, now=now), on_record)
    assert violations("VmStateSnapshot", result.snapshot) == []
