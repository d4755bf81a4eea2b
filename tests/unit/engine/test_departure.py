"""Who lets others go first, so that the last user of a disk takes it along."""

from __future__ import annotations

from typing import Dict, List, Set

import pytest
from vm_lifecycle.policy.departure import waiting


@pytest.mark.parametrize(
    ("used", "waits"),
    [
        ({}, set()),
        ({"a": [set()], "b": [set()]}, set()),
        ({"a": [{"stays"}], "b": []}, set()),
        ({"a": [{"b", "stays"}], "b": []}, set()),
        ({"a": [{"b"}], "b": []}, {"a"}),
        ({"b": [{"a"}], "a": []}, {"b"}),
        ({"a": [{"b"}], "b": [{"a"}]}, {"b"}),
        ({"a": [set(), {"b", "c"}], "b": [{"a", "c"}], "c": [{"a", "b"}]}, {"b", "c"}),
        ({"a": [{"b"}], "b": [{"c"}], "c": []}, {"a", "b"}),
        # a ring: nobody would ever go, so nobody waits
        ({"a": [{"b"}], "b": [{"c"}], "c": [{"a"}]}, set()),
        ({"a": [{"b"}], "b": [{"c"}], "c": [{"a"}], "d": []}, {"a", "b", "c"}),
    ],
)
def test_waiting(used: Dict[str, List[Set[str]]], waits: Set[str]) -> None:
    """Users of each disk that a VM could not take along."""
    assert waiting({name: [frozenset(users) for users in disks] for name, disks in used.items()}) == waits


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_all_go_in_the_end(count: int) -> None:
    """Whatever uses what, each round lets somebody go."""
    names = [f"vm{number}" for number in range(count)]
    used = {name: [frozenset(names) - {name}] for name in names}
    rounds = 0
    while used:
        left = waiting(used)
        assert left < set(used)
        used = {name: [users & left for users in disks] for name, disks in used.items() if name in left}
        rounds += 1
    assert rounds <= count
