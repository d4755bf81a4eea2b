"""Caps, plans and confirmations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest
from vm_lifecycle.disks import FileIdentity, VolumeVerdict
from vm_lifecycle.policy import consent
from vm_lifecycle.policy.cleanup_policy import CleanupPolicy, decode
from vm_lifecycle.removals import SeenVm, SweepPlan

NOW = 1795575600.0
DAY = 86400
GIB = 2**30


def policy(**document: Any) -> CleanupPolicy:
    """A valid policy."""
    found, problems = decode(document, timezone.utc, "policy")
    assert found is not None, problems
    return found


@pytest.mark.parametrize(
    ("document", "count", "size", "managed", "begun", "over"),
    [
        ({}, 10000, 10**15, 10000, 0, False),
        ({"max_removals": 20}, 20, 0, 100, 0, False),
        ({"max_removals": 20}, 21, 0, 100, 0, True),
        ({"max_removals": 20}, 19, 0, 100, 2, True),
        ({"max_removal_percent": 50}, 9, 0, 9, 0, False),
        ({"max_removal_percent": 50}, 5, 0, 10, 0, False),
        ({"max_removal_percent": 50}, 6, 0, 10, 0, True),
        ({"max_removal_percent": 50}, 5, 0, 10, 1, True),
        ({"max_removal_gib": 1}, 1, GIB, 1, 0, False),
        ({"max_removal_gib": 1}, 1, GIB + 1, 1, 0, True),
    ],
)
def test_caps(document: Any, count: int, size: int, managed: int, begun: int, over: bool) -> None:
    """Each cap at its bound."""
    said = consent.over_caps(policy(**document), count, size, managed, begun)
    assert bool(said) == over
    assert not over or next(iter(document)) in said


def test_when_disks_have_to_be_looked_at() -> None:
    """Only a cap on their size, or one that is broken, is worth the look."""
    assert consent.may_be_over(policy(max_removal_gib=1), 1, 1)
    assert consent.may_be_over(policy(max_removals=2), 3, 3)
    assert not consent.may_be_over(policy(max_removals=2), 2, 3)


def test_removed_bytes() -> None:
    """Of disks that go, and of no other."""
    disk = VolumeVerdict("/p/a", True, "only_user", identity=FileIdentity(1, 2, 512))
    kept = VolumeVerdict("/p/b", False, "in_use", identity=FileIdentity(1, 3, 1024))
    assert consent.removed_bytes((disk, kept, replace(disk, identity=None))) == 512


def test_digests_tell_what_matters() -> None:
    """UUID, deadline, each disk's place and fate; not its size, which a guest changes as it likes."""
    disk = VolumeVerdict("/p/a", True, "only_user", "p", "a", "vda", identity=FileIdentity(1, 2, 512))
    base = consent.vm_digest("u", "t", (disk,))
    others = [
        consent.vm_digest("v", "t", (disk,)),
        consent.vm_digest("u", None, (disk,)),
        consent.vm_digest("u", "t", ()),
        consent.vm_digest("u", "t", (replace(disk, remove=False),)),
        consent.vm_digest("u", "t", (replace(disk, reason="in_use"),)),
        consent.vm_digest("u", "t", (replace(disk, path="/p/b"),)),
    ]
    assert base not in others and len(set(others)) == len(others)
    assert consent.vm_digest("u", "t", (replace(disk, identity=FileIdentity(1, 2, 1024)),)) == base


def plan(confirmed: int = 0) -> SweepPlan:
    """Two VMs, the first of them confirmed at that time."""
    return SweepPlan("p", "d", int(NOW), (SeenVm("u1", "a", "d1", confirmed), SeenVm("u2", "b", "d2")))


def test_confirming() -> None:
    """All of a plan, or some of its VMs; for a day."""
    whole = consent.confirm(plan(), NOW, None)
    assert consent.confirmed([whole], NOW) == {"u1": {"d1"}, "u2": {"d2"}}
    assert consent.confirmed([consent.confirm(plan(), NOW, frozenset({"u2"}))], NOW) == {"u2": {"d2"}}
    assert consent.confirmed([plan()], NOW) == {}
    assert consent.confirmed([plan(int(NOW))], NOW + DAY - 1) == {"u1": {"d1"}}
    assert consent.confirmed([plan(int(NOW))], NOW + DAY) == {}
    assert consent.confirmed([plan(int(NOW))], NOW - 1) == {}, "made by a clock that was ahead"


def test_life_of_a_plan() -> None:
    """A day to confirm it, and a day for the confirmation."""
    assert not consent.is_over(plan(), NOW) and consent.is_over(plan(), NOW + DAY) and consent.is_over(plan(), NOW - 1)
    late = plan(int(NOW) + DAY - 1)
    assert not consent.is_useless(late, NOW + DAY)
    assert consent.stale([plan(), late], NOW + DAY) == ["p"]
    assert consent.stale([late], NOW + 2 * DAY) == ["p"]


def test_ids() -> None:
    """One plan, one name; another content under a name that is in use is refused."""
    first = consent.plan_for(plan().vms, None, NOW)
    again = consent.plan_for(tuple(reversed(plan().vms)), None, NOW + 60)
    assert first.plan_id == again.plan_id and first.plan_id.startswith("plan-")
    assert not consent.conflict(first, again, NOW) and not consent.needs_storing(first, NOW)
    other = consent.plan_for(plan().vms[:1], first.plan_id, NOW)
    assert consent.conflict(first, other, NOW) and not consent.conflict(first, other, NOW + DAY)
    assert not consent.conflict(None, other, NOW) and consent.needs_storing(None, NOW)
    assert consent.needs_storing(first, NOW + DAY)
