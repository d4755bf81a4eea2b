"""What a VM was when its host went down, and why it stopped: one row for each way that libvirt tells."""

from __future__ import annotations

from typing import Optional

import pytest
from vm_lifecycle.boots import LastState, PowerEvent
from vm_lifecycle.model import Domain
from vm_lifecycle.policy import power

NOW, BOOT, EARLIER = 1795575600.0, "boot", "boot-before"


def last(state: str = "running", reason: str = "", boot_id: str = EARLIER, before: str = "") -> LastState:
    """A record of an earlier look."""
    return LastState("u", "vm", state, reason, int(NOW) - 60, boot_id, before)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, ""),
        (last(), "running"),
        (last("paused"), "paused"),
        (last("crashed"), "crashed"),
        (last("shutoff", "guest"), "shutoff"),
        (last("shutoff", "saved"), "running"),
        (last("running", "host_shutdown"), "running"),
        (last("paused", "host_shutdown"), "paused"),
        # seen in this boot already: what the boot before left
        (last("shutoff", "unknown", BOOT, "running"), "running"),
        (last("running", "", BOOT, "shutoff"), "shutoff"),
        (last("running", "", BOOT), ""),
        # the power failed again before it was brought back
        (last("shutoff", "host_down", EARLIER, "running"), "running"),
        (last("shutoff", "host_shutdown", EARLIER, "paused"), "paused"),
        (last("shutoff", "starting", EARLIER, "paused"), "paused"),
        (last("shutoff", "starting", EARLIER, "shutoff"), "running"),
        (last("shutoff", "left", EARLIER, "running"), "shutoff"),
    ],
)
def test_before(record: Optional[LastState], expected: str) -> None:
    """What it was, and whether that counts as up."""
    assert power.before(record, BOOT) == expected
    assert power.was_up(record, BOOT) == (expected in ("running", "paused"))


@pytest.mark.parametrize(
    ("record", "now", "expected"),
    [
        (None, "running", ("running", "", "")),
        (last(boot_id=BOOT), "shutdown", ("running", "", "")),
        (None, "shutoff", ("shutoff", "unknown", "")),
        (last(), "running", ("running", "", "running")),
        (last(), "shutoff", ("shutoff", "host_down", "running")),
        (last("shutoff", "guest"), "shutoff", ("shutoff", "guest", "shutoff")),
        (last("running", "host_shutdown"), "shutoff", ("shutoff", "host_shutdown", "running")),
        (last("running", "", BOOT, "shutoff"), "shutoff", ("shutoff", "unknown", "shutoff")),
        (last("shutoff", "guest", BOOT, "running"), "shutoff", ("shutoff", "guest", "running")),
        (last("running", "host_shutdown", BOOT, "paused"), "shutoff", ("running", "host_shutdown", "paused")),
        (last("shutoff", "starting", BOOT, "running"), "running", ("running", "", "running")),
        (last("running", "host_shutdown", BOOT, "running"), "running", ("running", "", "running")),
    ],
)
def test_seen(record: Optional[LastState], now: str, expected: tuple[str, str, str]) -> None:
    """A look keeps what is known: reasons, and what it was before this boot."""
    found = power.seen(record, Domain("u", "vm", now), NOW, BOOT)
    assert (found.state, found.reason, found.before) == expected
    assert found.boot_id == BOOT


def test_seen_keeps_the_moment() -> None:
    """A state that is the same is not news, but for the VM's name."""
    known = last(boot_id=BOOT)
    assert power.seen(known, Domain("u", "vm", "running"), NOW, BOOT) == known
    assert power.seen(known, Domain("u", "other", "running"), NOW, BOOT).name == "other"


#: libvirt's numbers: (detail of STOPPED, detail of the SHUTDOWN before it, asked by POWERDOWN).
STOPS = [
    ((0, 1, False), "guest"),
    ((0, 1, True), "asked"),
    ((0, -1, False), "guest"),
    ((0, 2, False), "killed"),
    ((0, 2, True), "killed"),
    ((1, 2, False), "forced"),
    ((2, -1, False), "failed"),
    ((3, -1, False), "elsewhere"),
    ((4, -1, False), "saved"),
    ((5, -1, False), "failed"),
    ((6, -1, False), "elsewhere"),
]


@pytest.mark.parametrize(("told", "expected"), STOPS)
def test_stop_reason(told: tuple[int, int, bool], expected: str) -> None:
    """While the host goes down, all but a move happen because of that."""
    event = PowerEvent("u", "vm", "stopped", told[0])
    assert power.stop_reason(event, told[1], told[2], going_down=False) == expected
    down = expected if expected == "elsewhere" else "host_shutdown"
    assert power.stop_reason(event, told[1], told[2], going_down=True) == down
    assert expected in power.STOPS


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("started", "running"),
        ("resumed", "running"),
        ("suspended", "paused"),
        ("pmsuspended", "pmsuspended"),
        ("crashed", "crashed"),
    ],
)
def test_following(kind: str, expected: str) -> None:
    """The state after an event; one that says nothing of it leaves the record alone."""
    found = power.following(PowerEvent("u", "vm", kind, 0), last(), NOW, BOOT, going_down=False)
    assert found is not None
    assert (found.state, found.reason, found.before) == (expected, "", "running")
    for silent in ("shutdown", "powerdown", "defined", "undefined"):
        assert power.following(PowerEvent("u", "vm", silent, 0), last(), NOW, BOOT, going_down=False) is None


def test_a_stop_of_the_host_keeps_the_state() -> None:
    """What it was is what counts at the next boot."""
    event = PowerEvent("u", "vm", "stopped", 0)
    found = power.following(event, last("paused", boot_id=BOOT), NOW, BOOT, going_down=True)
    assert found is not None
    assert (found.state, found.reason) == ("paused", "host_shutdown")
    assert power.was_up(found, "the next boot")


def test_a_stop_that_is_on_record_already() -> None:
    """A shutdown in order wrote it down before the event was heard; a start ends that."""
    stop, start = PowerEvent("u", "vm", "stopped", 1), PowerEvent("u", "vm", "started", 0)
    known = last("paused", "host_shutdown", BOOT, "running")
    assert power.following(stop, known, NOW, BOOT, going_down=False) == known
    found = power.following(start, known, NOW, BOOT, going_down=False)
    assert found is not None
    found = power.following(stop, found, NOW, BOOT, going_down=False)
    assert found is not None
    assert (found.state, found.reason) == ("shutoff", "forced")


def test_stopped_meanwhile() -> None:
    """By somebody, in this boot, and after it was known to be otherwise: an old stop says nothing."""
    known = last("shutoff", "forced", BOOT)
    later = LastState("u", "vm", "shutoff", "forced", int(NOW), BOOT)
    assert power.stopped_meanwhile(later, known, BOOT) and power.stopped_meanwhile(later, None, BOOT)
    assert not power.stopped_meanwhile(known, known, BOOT) and not power.stopped_meanwhile(None, known, BOOT)
    assert not power.stopped_meanwhile(later, known, "another") and not power.stopped_meanwhile(
        LastState("u", "vm", "shutoff", "failed", int(NOW), BOOT), known, BOOT
    )


def test_heard_since() -> None:
    """What a boot noted itself was not heard."""
    assert power.heard_since(last("running", "", BOOT), int(NOW) - 60, BOOT)
    assert power.heard_since(last("shutoff", "failed", BOOT), int(NOW) - 60, BOOT)
    assert not power.heard_since(last("running", "", BOOT), int(NOW), BOOT)
    assert not power.heard_since(last("running", "", BOOT), 0, "another") and not power.heard_since(None, 0, BOOT)
    for reason in ("starting", "left", "host_down", "host_shutdown"):
        assert not power.heard_since(last("shutoff", reason, BOOT), 0, BOOT)


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [("running", "", True), ("shutoff", "guest", True), ("shutoff", "unknown", True), ("shutoff", "failed", False),
     ("shutoff", "starting", False), ("shutoff", "left", False), ("shutoff", "host_down", False),
     ("running", "host_shutdown", False), ("shutoff", "", False)],
)  # fmt: skip
def test_ran_before(state: str, reason: str, expected: bool) -> None:
    """In this boot, and since a moment."""
    known = last(state, reason, BOOT)
    assert power.ran_before(known, BOOT, int(NOW) - 60) == expected
    assert not power.ran_before(known, BOOT, int(NOW)) and not power.ran_before(known, "another", 0)
    assert not power.ran_before(None, BOOT, 0)


def test_decisions_of_a_boot() -> None:
    """Left down for its own sake from now on, or counted as running until it is seen to run."""
    off = last("shutoff", "host_down", BOOT, "running")
    assert power.left(off).reason == "left"
    assert power.left(last("shutoff", "guest", BOOT)).reason == "guest"
    assert power.starting(off).reason == "starting"
    assert power.starting(last("running", "", BOOT)).reason == ""
