"""The order in which VMs start: what is wrong with it, its waves, its rings, and the longest way through it."""

from __future__ import annotations

import random
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

import pytest
from vm_lifecycle.boots import Place
from vm_lifecycle.policy.boot_order import (
    Declared,
    broken,
    cycle,
    longest,
    problems,
    reversed_order,
    rings,
    sound,
    waits_for,
    waves,
    worst_case,
)

LAST = float("inf")


def place(name: str, order: float = 0, *depends_on: str, **given: Any) -> Place:
    """A VM that is ready as soon as it runs, unless it is said otherwise."""
    return Place(f"u-{name}", name, order, on_failure=given.pop("on_failure", "stop"), depends_on=depends_on, **given)


def vms(*places: Place, never: Optional[Mapping[str, str]] = None) -> List[Declared]:
    """Places as others may depend on them. never: name -> why it is never started."""
    return [Declared(each, (never or {}).get(each.name, "")) for each in places]


def names(found: Sequence[Sequence[Place]]) -> List[List[str]]:
    """Waves by name."""
    return [[each.name for each in wave] for wave in found]


DIAMOND = [place("db", 0), place("a", 0, "db"), place("b", 0, "db"), place("top", 0, "a", "b")]
CHAIN = [place(f"c{number}", 0, *([f"c{number - 1}"] if number else [])) for number in range(5)]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], []),
        ([place("a")], [["a"]]),
        ([place("b"), place("a")], [["a", "b"]]),
        (DIAMOND, [["db"], ["a", "b"], ["top"]]),
        (CHAIN, [["c0"], ["c1"], ["c2"], ["c3"], ["c4"]]),
        # Orders are barriers, whatever the numbers are; who has no place comes last.
        ([place("z", LAST), place("b", 20), place("a", 10), place("c", 10)], [["a", "c"], ["b"], ["z"]]),
        # A dependency within an order makes that order take longer for the next one.
        ([place("x", 5), place("y", 5, "x"), place("late", 9)], [["x"], ["y"], ["late"]]),
        # What is not part of the run, the VM itself, and a dependency that is named twice hold nobody up.
        ([place("a", 0, "elsewhere")], [["a"]]),
        ([place("a", 0, "a")], [["a"]]),
        ([place("a"), place("b", 0, "a", "a")], [["a"], ["b"]]),
    ],
)
def test_waves(places: List[Place], expected: List[List[str]]) -> None:
    """VMs that may start together, in their order."""
    assert names(waves(places)) == expected


@pytest.mark.parametrize(
    ("graph", "first", "expected"),
    [
        ({}, [], []),
        ({"a": ["b"], "b": []}, [], []),
        ({"a": ["unknown"]}, [], []),
        ({"a": ["a"]}, [], [["a", "a"]]),
        ({"db1": ["web1"], "web1": ["db1"]}, [], [["db1", "web1", "db1"]]),
        ({"db1": ["web1"], "web1": ["db1"]}, ["web1"], [["web1", "db1", "web1"]]),
        ({"db1": ["web1"], "web1": ["db1"]}, ["other"], [["db1", "web1", "db1"]]),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, ["d"], [["a", "b", "c", "a"]]),
        # Two rings apart, and two that share a VM: every VM of a ring is in one that is told.
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, ["d"], [["d", "c", "d"], ["a", "b", "a"]]),
        ({"a": ["b", "c"], "b": ["a"], "c": ["a"]}, [], [["a", "b", "a"], ["c", "a", "c"]]),
        # The shortest way round.
        ({"a": ["b", "x"], "b": ["c"], "c": ["a"], "x": ["a"]}, ["a"], [["a", "x", "a"], ["b", "c", "a", "b"]]),
    ],
)
def test_rings(graph: Dict[str, List[str]], first: List[str], expected: List[List[str]]) -> None:
    """Each VM of a ring is in one that is told; VMs that are spoken of begin theirs."""
    assert rings(graph, first) == expected
    assert bool(cycle(graph)) == bool(expected)


TEXT = "web1: depends_on: "
PROBLEMS = [
    (vms(*DIAMOND), [], []),
    (vms(*CHAIN), [], []),
    (vms(place("web1", 0, "db1")), [], [f"{TEXT}this host has no VM db1 [unknown_dependency]"]),
    (vms(place("web1", 0, "db1", "db1")), [], [f"{TEXT}this host has no VM db1 [unknown_dependency]"]),
    (vms(place("web1", 0, "db1")), ["db1"],
     [f"{TEXT}db1 is not managed, so nothing starts it; declare it first [never_started]"]),
    (vms(place("web1", 0, "db1"), place("db1", 0), never={"db1": "is never started"}), [],
     [f"{TEXT}db1 is never started [never_started]"]),
    # Why it never starts says more than that it comes later.
    (vms(place("web1", 0, "db1"), place("db1", 9), never={"db1": "is never started"}), [],
     [f"{TEXT}db1 is never started [never_started]"]),
    (vms(place("web1", 20, "db1"), place("db1", 30)), [],
     [f"{TEXT}db1 comes later: its start_order is 30, and that of web1 20 [dependency_order]"]),
    (vms(place("web1", 20, "db1"), place("db1", LAST)), [],
     [f"{TEXT}db1 has no place in the order, so it comes last; declare one with vm_autostart [dependency_order]"]),
    (vms(place("web1", 20, "db1"), place("db1", 20)), [], []),
    (vms(place("web1", 20, "db1"), place("db1", 10)), [], []),
    (vms(place("web1", 0, "web1")), [], [f"{TEXT}cycle web1 -> web1 [cyclic_dependency]"]),
    (vms(place("web1", 0, "db1"), place("db1", 0, "web1")), [],
     [f"{TEXT}cycle web1 -> db1 -> web1 [cyclic_dependency]"]),
    # A ring across two orders is wrong in both ways.
    (vms(place("web1", 0, "db1"), place("db1", 1, "web1")), [],
     [f"{TEXT}db1 comes later: its start_order is 1, and that of web1 0 [dependency_order]",
      f"{TEXT}cycle web1 -> db1 -> web1 [cyclic_dependency]"]),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "others", "expected"), PROBLEMS)
def test_problems(declared: List[Declared], others: List[str], expected: List[str]) -> None:
    """With the VM, the field, and the whole path."""
    assert [str(problem) for problem in problems(declared, others, ["web1"])] == expected


def test_broken_says_what_is_wrong_with_the_other() -> None:
    """As a predicate for whoever takes that one away; nothing when it only comes later."""
    lost = {
        each.dependency: each.lost
        for each in broken(
            vms(
                place("web1", 1, "gone", "stranger", "off", "later", "last"),
                place("off", 0), place("later", 2), place("last", LAST), never={"off": "is off"},
            ),
            ["stranger"],
        )
    }  # fmt: skip
    assert lost == {
        "gone": "is gone", "stranger": "is not managed", "off": "is off", "later": "",
        "last": "has no place in the order",
    }  # fmt: skip


def test_sound_drops_what_can_not_be_kept() -> None:
    """On a VM of a higher order, and in a ring; what is left is an order."""
    kept = sound([
        place("a", 0, "b"), place("b", 0, "a"), place("c", 0, "b"), place("d", 0, "late"), place("late", 1, "d"),
        place("e", 0, "unknown", "c"),
    ])  # fmt: skip
    assert {each.name: each.depends_on for each in kept} == {
        "a": (), "b": (), "c": ("b",), "d": (), "late": ("d",), "e": ("c",),
    }  # fmt: skip
    assert names(waves(kept)) == [["a", "b", "d"], ["c"], ["e"], ["late"]]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 0.0),
        ({"delay": 7.0}, 7.0),
        ({"wait_for_ssh": True, "ssh_timeout": 60.0}, 60.0),
        ({"ssh_timeout": 60.0}, 0.0),
        ({"on_failure": "ignore", "wait_for_ssh": True, "ssh_timeout": 60.0, "delay": 1.0}, 61.0),
        # Two pauses between three starts, and a second wait for SSH.
        ({"on_failure": "retry", "retries": 3}, 10.0),
        ({"on_failure": "retry", "retries": 1, "wait_for_ssh": True, "ssh_timeout": 60.0}, 120.0),
        ({"on_failure": "retry", "retries": 4, "wait_for_ssh": True, "ssh_timeout": 60.0, "delay": 2.0}, 137.0),
    ],
)
def test_worst_case(given: Dict[str, Any], seconds: float) -> None:
    """By what was declared, without what starts themselves take."""
    assert worst_case(place("a", **given)) == seconds


def test_longest() -> None:
    """The way that the end waits for, by worst cases or by seconds that are given."""
    diamond = [
        place("db", delay=5.0),
        place("a", 0, "db", delay=1.0),
        place("b", 0, "db", delay=2.0),
        place("top", 0, "a", "b"),
    ]
    path, seconds = longest(diamond)
    assert ([each.name for each in path], seconds) == (["db", "b", "top"], 7.0)
    path, seconds = longest(diamond, {"u-db": 1.0, "u-a": 4.0, "u-b": 0.0, "u-top": 1.0})
    assert ([each.name for each in path], seconds) == (["db", "a", "top"], 6.0)
    assert longest([]) == ([], 0.0)


def dice_graph(seed: int, size: int, orders: int = 4, share: float = 3.0) -> List[Place]:
    """A random order without faults: VMs depend on earlier ones of the same order or a lower one."""
    dice = random.Random(seed)
    made: List[Place] = []
    for number in range(size):
        order: float = dice.choice([*range(orders), LAST])
        before = [each.name for each in made if each.order <= order and order != LAST]
        depends = dice.sample(before, min(len(before), dice.choice([0, 0, 1, 2, int(share)])))
        made.append(place(f"vm{number:03}", order, *depends, delay=float(dice.randint(0, 9))))
    dice.shuffle(made)
    return made


def earlier(at: Place, places: Sequence[Place]) -> Set[str]:
    """UUIDs of VMs that must be done before it, straight from what was declared."""
    named = {each.name: each.uuid for each in places}
    return {each.uuid for each in places if each.order < at.order} | {named[name] for name in at.depends_on}


@pytest.mark.parametrize("seed", range(10))
def test_properties_of_large_orders(seed: int) -> None:
    """200 VMs: nothing is wrong, each is in one wave, after all that it waits for and no later than it has to be."""
    places = dice_graph(seed, 200)
    assert problems(vms(*places)) == []
    found = waves(places)
    wave = {each.uuid: number for number, at in enumerate(found) for each in at}
    assert sorted(wave) == sorted(each.uuid for each in places)
    assert sum(len(at) for at in found) == 200
    for each in places:
        latest = max((wave[uuid] for uuid in earlier(each, places)), default=-1)
        assert wave[each.uuid] == latest + 1
    path, seconds = longest(places)
    assert seconds == sum(each.delay for each in path)
    assert all(one.uuid in earlier(other, places) for one, other in zip(path, path[1:]))
    assert [each.name for each in sound(places)] == [each.name for each in places]
    after = reversed_order(places)
    assert all(later in after[uuid] for later, sooner in waits_for(places).items() for uuid in sooner)


@pytest.mark.parametrize("seed", range(40))
def test_longest_is_the_longest(seed: int) -> None:
    """Against every way through a small order."""
    places = dice_graph(seed, 9, orders=2)
    known = {each.uuid: each for each in places}

    def length(at: Place) -> float:
        return at.delay + max((length(known[uuid]) for uuid in earlier(at, places)), default=0.0)

    assert longest(places)[1] == max(length(each) for each in places)


@pytest.mark.parametrize("seed", range(40))
def test_every_ring_is_told(seed: int) -> None:
    """A VM is in a ring that is told exactly if it can reach itself, and each ring is one."""
    dice = random.Random(seed)
    all_names = [f"n{number}" for number in range(12)]
    graph = {name: dice.sample(all_names, dice.choice([0, 0, 1, 1, 2])) for name in all_names}

    def reaches(name: str) -> Set[str]:
        seen: Set[str] = set()
        left = list(graph[name])
        while left:
            at = left.pop()
            if at not in seen:
                seen.add(at)
                left += graph[at]
        return seen

    told = rings(graph, dice.sample(all_names, 3))
    assert {name for ring in told for name in ring} == {name for name in all_names if name in reaches(name)}
    for ring in told:
        assert ring[0] == ring[-1]
        assert len(set(ring)) == len(ring) - 1
        assert all(other in graph[name] for name, other in zip(ring, ring[1:]))
