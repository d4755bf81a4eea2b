"""Frozen dataclasses of the engine, held against the standard library's."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from vm_lifecycle import frozen
from vm_lifecycle.boots import LastState
from vm_lifecycle.model import Observed
from vm_lifecycle.tasks.host import HostSeen

#: The classes below become dataclasses in the tests alone.
FIELD: Any = vars(dataclasses)["field"]


class Plain:
    """Of all kinds of fields that the engine has."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()
    fourth: dict[str, int] = FIELD(default_factory=dict)

    @property
    def whole(self) -> str:
        """No field."""
        return f"{self.first} {self.second}"


class Single:
    """One field alone is compared as one, too."""

    only: str


class Empty:
    """Nothing to compare."""


class Custom:
    """Its own words for itself."""

    only: str

    def __repr__(self) -> str:
        return "custom"


def both(template: type) -> tuple[Any, Any]:
    """(ours, the standard library's) of the same class."""
    made: list[Any] = []
    for decorate in (frozen.dataclass(frozen=True), dataclasses.dataclass(frozen=True)):
        body = {key: value for key, value in vars(template).items() if key not in ("__dict__", "__weakref__")}
        made.append(decorate(type(template.__name__, (), body)))
    return made[0], made[1]


@pytest.mark.parametrize(
    ("template", "arguments", "named"),
    [
        (Plain, (1,), {}),
        (Plain, (1, "x"), {"fourth": {"a": 1}}),
        (Plain, (), {"first": 1, "third": (1, 2)}),
        (Single, ("x",), {}),
        (Empty, (), {}),
        (Custom, ("x",), {}),
    ],
)
def test_as_the_standard_library_does(template: type, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Values, representation, fields, dictionaries, copies and equality."""
    ours, theirs = both(template)
    mine, other = ours(*arguments, **named), theirs(*arguments, **named)
    assert repr(mine) == repr(other)
    assert vars(mine) == vars(other) == dataclasses.asdict(mine) == dataclasses.asdict(other)
    assert [field.name for field in dataclasses.fields(mine)] == [field.name for field in dataclasses.fields(other)]
    assert getattr(ours, "__match_args__", None) == getattr(theirs, "__match_args__", None)
    assert mine == ours(*arguments, **named) == copy.deepcopy(mine) == dataclasses.replace(mine)
    assert mine != other
    assert (mine == "x") is False
    assert ours.__dataclass_params__.frozen


def test_factories_make_a_value_each() -> None:
    """No two share one."""
    ours, _theirs = both(Plain)
    assert ours(1).fourth is not ours(1).fourth


def test_order_and_difference() -> None:
    """Every field counts."""
    ours, _theirs = both(Plain)
    assert ours(1) != ours(2)
    assert ours(1, "a") != ours(1, "b")
    assert ours(1, fourth={"a": 1}) != ours(1)
    single, _theirs = both(Single)
    assert single("a") != single("b")


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"first": 1}), ((1,), {"x": 1})]
)
def test_wrong_arguments(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """In the same words."""
    ours, theirs = both(Plain)
    with pytest.raises(TypeError) as mine:
        ours(*arguments, **named)
    with pytest.raises(TypeError) as other:
        theirs(*arguments, **named)
    assert str(mine.value).rpartition("__init__")[2] == str(other.value).rpartition("__init__")[2]


def test_frozen() -> None:
    """Nothing is set, changed or deleted."""
    state = LastState("u", "n", "running", "", 1, "boot", "")
    for name in ("name", "anything"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(state, name, "x")
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            delattr(state, name)
    assert state.name == "n"


def test_hash() -> None:
    """Equal ones have one hash, as keys need it; what holds a dictionary has none."""
    ours, _theirs = both(Plain)
    with pytest.raises(TypeError, match="unhashable"):
        hash(ours(1))
    states = [LastState("u", "n", state, "", 1, "boot", "") for state in ("running", "running", "paused")]
    assert len(set(states)) == 2


def test_processes_exchange_them() -> None:
    """A pickled one comes back equal."""
    state = LastState("u", "n", "running", "", 1, "boot", "")
    assert pickle.loads(pickle.dumps(state)) == state


def test_classes_that_build_on_others() -> None:
    """They have the fields of both, and are frozen, too."""
    names = [field.name for field in dataclasses.fields(HostSeen)]
    assert names[: len(dataclasses.fields(Observed))] == [field.name for field in dataclasses.fields(Observed)]
    assert "starts" in names
    assert HostSeen.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_what_is_not_known_is_refused() -> None:
    """Rather than made otherwise than it says."""

    class Odd:
        first: int = FIELD(default=0, compare=False)

    with pytest.raises(TypeError, match="only defaults"):
        frozen.dataclass(frozen=True)(Odd)
