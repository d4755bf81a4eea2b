"""Losses of many VMs or pools at once."""

from __future__ import annotations

import pytest
from vm_lifecycle.policy.alarm import lost_metadata, missed, pools_now

NOW, DAY = 1795575600.0, 86400


@pytest.mark.parametrize(
    ("lost", "sound", "alarmed"),
    [(0, 0, False), (2, 0, False), (3, 0, True), (3, 9, True), (3, 10, False), (25, 75, True), (24, 76, False)],
)
@pytest.mark.parametrize("reason", ["not_managed", "metadata_not_json", "metadata_invalid", "metadata_unreadable"])
def test_metadata(lost: int, sound: int, alarmed: bool, reason: str) -> None:
    """From three VMs and a quarter of them up."""
    known = {**{f"lost{n}": reason for n in range(lost)}, **{f"sound{n}": "" for n in range(sound)}}
    said = lost_metadata(known)
    assert bool(said) == alarmed
    assert not alarmed or said.startswith(f"{lost} of {lost + sound} managed VMs")


@pytest.mark.parametrize("reason", ["metadata_cloned", "metadata_reverted", "metadata_edited", "metadata_newer"])
def test_what_somebody_did_is_no_loss(reason: str) -> None:
    """A revert or an edit concerns its VM."""
    assert lost_metadata({f"vm{n}": reason for n in range(9)}) == ""


def test_pools() -> None:
    """A pool is missed for a day, then it counts as gone; one that is back is there."""
    memory, gone = pools_now({}, ("a", "b"), NOW)
    assert (memory, gone) == ({"a": 0, "b": 0}, ())
    memory, gone = pools_now(memory, ("a",), NOW)
    assert (memory, gone) == ({"a": 0, "b": int(NOW)}, ("b",))
    assert pools_now(memory, ("a",), NOW + DAY - 1)[1] == ("b",)
    assert pools_now(memory, ("a",), NOW + DAY) == ({"a": 0}, ())
    assert pools_now(memory, ("a", "b"), NOW + 60) == ({"a": 0, "b": 0}, ())
    assert pools_now(memory, ("a",), NOW - 60) == ({"a": 0}, ()), "missed by a clock that was ahead"
    assert missed(("a", "b")).endswith("a, b")
