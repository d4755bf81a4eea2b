"""Limits: how high they are, and what becomes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from vm_lifecycle.agent import arguments, text
from vm_lifecycle.limits import CPU, MEMORY, PERIOD, Bounds, Controllers, DiskUsage, LimitsSeen, Side, Size
from vm_lifecycle.policy import disk_limit, limits
from vm_lifecycle.reasons_limits import LIMIT_REASONS

MIB = 1024
GIB = 1024 * MIB
SMALL, LARGE = Size(512 * MIB, 1), Size(4 * GIB, 2, disks=1)
ON = {"enforce_memory_limit": True, "enforce_cpu_limit": True}
OFF = {"enforce_memory_limit": False, "enforce_cpu_limit": False}


@pytest.mark.parametrize(
    ("size", "mib"),
    [
        (Size(512 * MIB, 1), 512 + 512 + 32 + 16),
        (Size(4 * GIB, 4), 4096 + 512 + 256 + 64),
        (Size(4 * GIB, 4, video_kib=16 * MIB), 4096 + 512 + 256 + 64 + 32),
        (Size(4 * GIB, 4, disks=3), 4096 + 512 + 256 + 64 + 192),
        (Size(4 * GIB, 4, helpers=2), 4096 + 512 + 256 + 64 + 1024),
        (Size(4 * GIB, 4, emulated=True), 4096 + 512 + 256 + 64 + 1024),
        (Size(4 * GIB, 2, 16 * MIB, 1), 4992),
        (Size(512 * MIB + 1, 1), 512 + 512 + 32 + 16 + 1),
    ],
)
def test_head_room(size: Size, mib: int) -> None:
    """Whole MiB, more with each part of a VM that takes memory of the host."""
    assert limits.needed(MEMORY, size) == mib * MIB


def test_head_room_is_generous() -> None:
    """At least half a GiB, at least a sixteenth, and it grows with everything; libvirt's own old rule (2 % + 200 MB) fits into it."""
    for memory in (64 * MIB, GIB, 64 * GIB, 1024 * GIB):
        size = Size(memory, 1)
        assert limits.headroom(size) >= max(512 * MIB, memory // 16)
        assert limits.headroom(size) >= memory // 50 + 200 * MIB
        assert limits.headroom(Size(memory, 2, 1, 1, 1, True)) > limits.headroom(size)


@pytest.mark.parametrize(("processors", "quota"), [(1, 100000), (4, 400000), (512, 51200000)])
def test_quota(processors: int, quota: int) -> None:
    """As many processors as it has virtual ones."""
    assert limits.needed(CPU, Size(GIB, processors)) == quota


def need(size: Size) -> Bounds:
    """What is set for a VM of that size."""
    return Bounds(limits.needed(MEMORY, size), (limits.needed(CPU, size), PERIOD))


NONE = Bounds()
NO_GROUPS = Controllers("no memory here", "no cpu here")
LITTLE = Controllers(lockable_kib=8192)
#: name -> policy, definition, running VM (None: off), host, what was declared before, reasons (memory, cpu), changes
CASES: dict[str, Any] = {
    "set on a VM that is off": (ON, NONE, None, Controllers(), {}, ("limit_enforced", "limit_enforced"), "m c"),
    "set, the running VM first": (ON, NONE, NONE, Controllers(), {}, ("limit_enforced", "limit_enforced"), "M m C c"),
    "set already": (ON, need(SMALL), need(SMALL), Controllers(), {}, ("limit_enforced", "limit_enforced"), ""),
    "half of it": (ON, need(SMALL), NONE, Controllers(), {}, ("limit_enforced", "limit_enforced"), "M C"),
    "no policy": (None, NONE, NONE, Controllers(), {}, ("limit_off", "limit_off"), ""),
    "turned off": (OFF, need(SMALL), need(SMALL), Controllers(), {}, ("limit_off", "limit_off"), "-M -m -C -c"),
    "forgotten, of an earlier size": (None, need(LARGE), None, Controllers(),
                                      {"memory_kib": 1, "memory_kib_before": need(LARGE).memory_kib, "cpu_quota": 200000},
                                      ("limit_off", "limit_off"), "-m -c"),
    "another size": (ON, need(LARGE), need(LARGE), Controllers(), {"memory_kib": need(LARGE).memory_kib, "cpu_quota": 200000},
                     ("limit_enforced", "limit_enforced"), "M m C c"),
    "somebody's": (ON, Bounds(GIB, (50000, PERIOD)), NONE, Controllers(), {}, ("limit_foreign", "limit_foreign"), ""),
    "somebody's, on the running VM": (ON, need(SMALL), Bounds(GIB, (100000, 50000)), Controllers(), {},
                                      ("limit_foreign", "limit_foreign"), ""),
    "somebody's, and turned off": (OFF, Bounds(GIB, (50000, PERIOD)), need(SMALL), Controllers(), {},
                                   ("limit_off", "limit_off"), "-M -C"),
    "no control groups, off": (ON, NONE, None, NO_GROUPS, {}, ("limit_not_applicable", "limit_not_applicable"), ""),
    "no control groups any more": (ON, need(SMALL), None, NO_GROUPS, {}, ("limit_not_applicable", "limit_not_applicable"), "-m -c"),
    "the running VM shows that they are there": (ON, NONE, NONE, NO_GROUPS, {}, ("limit_enforced", "limit_enforced"), "M m C c"),
    "no locking, running": (ON, NONE, NONE, LITTLE, {}, ("limit_not_applicable", "limit_enforced"), "C c"),
    "no locking, off": (ON, NONE, None, LITTLE, {}, ("limit_not_applicable", "limit_enforced"), "c"),
    "no locking any more": (ON, need(SMALL), need(SMALL), LITTLE, {}, ("limit_not_applicable", "limit_enforced"), "-M -m"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    """Reasons, and changes in their order: capitals are the running VM's, - lifts."""
    policy, persistent, live, host, kept, reasons, changes = CASES[name]
    seen = LimitsSeen(Side(SMALL, persistent), None if live is None else Side(SMALL, live))
    settled = limits.settle(policy, kept, seen, host)
    assert tuple(outcome.reason for outcome in settled.outcomes) == reasons
    found = []
    for kind, amount, lasting in settled.changes():
        letter = kind[0] if lasting else kind[0].upper()
        found.append(letter if amount else f"-{letter}")
        assert amount in (0, limits.needed(kind, SMALL))
    assert " ".join(found) == changes
    again = applied(seen, settled)
    assert limits.settle(policy, settled.recorded or {}, again, host).changes() == []
    assert limits.settle(policy, settled.recorded or {}, again, host).recorded == settled.recorded


def applied(seen: LimitsSeen, settled: limits.Settlement) -> LimitsSeen:
    """The VM after the changes."""
    sides: dict[bool, dict[str, Any]] = {
        True: vars(seen.persistent.bounds),
        False: vars((seen.live or seen.persistent).bounds),
    }
    sides = {key: dict(value) for key, value in sides.items()}
    for kind, amount, lasting in settled.changes():
        key = "memory_kib" if kind == MEMORY else "cpu"
        sides[lasting][key] = None if not amount else amount if kind == MEMORY else (amount, PERIOD)
    live = None if seen.live is None else Side(SMALL, Bounds(**sides[False]))
    return LimitsSeen(Side(SMALL, Bounds(**sides[True])), live, seen.refused)


def test_a_killed_run_leaves_what_is_known() -> None:
    """Declared anew and killed before the limit followed: the amount of before still counts as ours, and once only."""
    old, seen = need(LARGE), LimitsSeen(Side(SMALL, need(LARGE)))
    first = limits.settle(ON, {"memory_kib": old.memory_kib, "cpu_quota": 200000}, seen, Controllers())
    assert first.recorded is not None
    assert first.recorded["memory_kib_before"] == old.memory_kib
    assert [change[0] for change in limits.settle(ON, first.recorded, seen, Controllers()).changes()] == [MEMORY, CPU]
    assert limits.settle(None, first.recorded, seen, Controllers()).changes() == [(MEMORY, 0, True), (CPU, 0, True)]


def test_memory_that_is_locked() -> None:
    """A limit would bound what may be locked, too; one of ours that is there goes."""
    size = Size(512 * MIB, 1, locked_for="a device of the host")
    seen = LimitsSeen(Side(size, need(size)), Side(size, need(size)))
    settled = limits.settle(ON, {}, seen, Controllers())
    assert settled.outcomes[0].reason == "limit_not_applicable"
    assert settled.changes() == [(MEMORY, 0, False), (MEMORY, 0, True)]


def test_what_libvirt_says_of_a_running_vm() -> None:
    """It is believed more than the files of control groups."""
    seen = LimitsSeen(Side(SMALL), Side(SMALL), {CPU: "CPU tuning is not available in session mode"})
    rows = limits.settle(ON, {}, seen, Controllers()).rows(True)
    assert rows[CPU] == {
        "reason": "limit_not_applicable", "message": "CPU tuning is not available in session mode",
        "live_processors": None, "persistent_processors": None,
    }  # fmt: skip
    assert rows[MEMORY]["live_mib"] == rows[MEMORY]["persistent_mib"] == limits.needed(MEMORY, SMALL) // MIB


def test_rows_before_anything_was_done() -> None:
    """A limit that is not in force is not said to be."""
    rows = limits.settle(ON, {}, LimitsSeen(Side(SMALL), Side(SMALL)), Controllers()).rows(False)
    assert {row["reason"] for row in rows.values()} == {"limit_pending"}


def test_one_warning_for_all() -> None:
    """However many VMs the same is to be said of; nothing is said of limits that are as they should be."""
    rows = limits.settle(ON, {}, LimitsSeen(Side(SMALL)), NO_GROUPS).rows(True)
    fine = limits.settle(ON, {}, LimitsSeen(Side(SMALL)), Controllers()).rows(True)
    assert limits.remarks([("a", rows), ("b", rows), ("c", fine)]) == [
        "a, b: memory limit not set: no memory here [limit_not_applicable]",
        "a, b: CPU limit not set: no cpu here [limit_not_applicable]",
    ]


def test_every_reason_is_explained() -> None:
    found = {reason for case in CASES.values() for reason in case[5]}
    found |= {"limit_pending", "disk_limit_near", "disk_limit_reached"}
    assert found == set(LIMIT_REASONS)
    assert math.isinf(Controllers().lockable_kib)


@pytest.mark.parametrize(
    ("policy", "allocated", "capacity", "expected"),
    [
        ({"disk_limit_gb": 10}, 8.9, 20, "limit_enforced"),
        ({"disk_limit_gb": 10}, 9, 20, "disk_limit_near"),
        ({"disk_limit_gb": 10}, 9.99, 20, "disk_limit_near"),
        ({"disk_limit_gb": 10}, 10, 20, "disk_limit_reached"),
        ({}, 17, 20, "limit_enforced"),
        ({}, 20, 20, "disk_limit_near"),  # allocated in full, which is no growth beyond it
        ({}, 20.3, 20, "disk_limit_near"),
        ({}, 20.4, 20, "disk_limit_reached"),
        ({}, 0, 0, "limit_enforced"),
    ],
)
def test_disks(policy: dict[str, Any], allocated: float, capacity: int, expected: str) -> None:
    """From 90 per cent a warning, from 100 a pause; what a row says agrees."""
    usage = DiskUsage(int(allocated * 2**30), capacity * 2**30)
    assert disk_limit.verdict(policy, usage) == expected
    row = disk_limit.row({**policy, "enforce_disk_limit": True}, usage)
    assert row is not None and row["reason"] == expected and bool(row["message"]) == (expected != "limit_enforced")
    assert disk_limit.row(policy, usage) is disk_limit.row(None, usage) is disk_limit.row(policy, None) is None


def test_what_the_command_says() -> None:
    """A line for each VM of which something is to be said."""
    rows = [
        {"name": "a", "changed": True, "decision": "limited", "reason": "limit_enforced", "message": "a: limited, as its policy says"},
        {"name": "b", "changed": True, "decision": "paused", "reason": "disk_limit_reached", "message": "b: its disks take 10 of 10 GiB"},
        {"name": "c", "changed": False, "decision": "kept", "reason": "disk_limit_near", "message": "c: its disks take 9.0 of 10.0 GiB"},
        {"name": "d", "changed": False, "decision": "failed", "failed": True, "reason": "busy", "message": "another run is working on it"},
    ]  # fmt: skip
    said = text.limits({"vms": rows, "dry_run": True}).split("\n")
    assert said[0] == "would be limited: a: limited, as its policy says [limit_enforced]"
    assert said[1].startswith("would be paused: b: its disks take") and said[1].endswith("[disk_limit_reached]")
    assert said[2].startswith("kept: c:") and said[3] == "failed: d: another run is working on it [busy]"
    assert text.limits({"vms": [], "dry_run": False}) == "running VMs are within their limits"
    assert arguments.parser().parse_args(["limits", "--dry-run"]).dry_run
