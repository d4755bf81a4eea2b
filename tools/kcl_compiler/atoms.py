"""Predicates on one attribute, each with its JSON Schema and its truth on a given value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .model import Attribute, Scalar
from .patterns import portable

Fragment = dict[str, Any]
NEVER: Fragment = {"not": {}}

NEGATED = {
    "Gt": "LtE", "GtE": "Lt", "Lt": "GtE", "LtE": "Gt",
    "Eq": "NotEq", "NotEq": "Eq", "In": "NotIn", "NotIn": "In",
}  # fmt: skip
MIRRORED = {"Gt": "Lt", "GtE": "LtE", "Lt": "Gt", "LtE": "GtE", "Eq": "Eq", "NotEq": "NotEq"}
_BOUNDS = {"Gt": "exclusiveMinimum", "GtE": "minimum", "Lt": "exclusiveMaximum", "LtE": "maximum"}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Gt": operator.gt, "GtE": operator.ge, "Lt": operator.lt, "LtE": operator.le,
    "Eq": operator.eq, "NotEq": operator.ne,
}  # fmt: skip
_SIZES = {"str": "Length", "list": "Items", "dict": "Properties"}
_NUMBERS = ("int", "float")


class UntranslatableError(Exception):
    """The reason why a construct has no exact JSON Schema form."""


@dataclass(frozen=True)
class Atom:
    """One predicate on one attribute.

    `when_absent` is its truth for an optional attribute that is absent; None where KCL raises an error.
    """

    attribute: Attribute
    fragment: Fragment
    holds: Callable[[Any], bool]
    when_absent: bool | None


def truth(attribute: Attribute, wanted: bool) -> Atom:
    """The attribute itself as a condition."""
    family = attribute.type.family
    if family == "bool":
        fragment: Fragment = {"const": wanted}
    elif family in _NUMBERS:
        fragment = {"not": {"const": 0}} if wanted else {"const": 0}
    elif family in _SIZES:
        fragment = {f"min{_SIZES[family]}": 1} if wanted else {f"max{_SIZES[family]}": 0}
    else:
        raise UntranslatableError(f"the truth of {attribute.name}, which is {family}")
    return Atom(attribute, fragment, lambda value: bool(value) == wanted, not wanted)


def compared(attribute: Attribute, name: str, constant: Any) -> Atom:
    """`attribute < constant` and the like. `name` is KCL's name of the operator."""
    if name in ("In", "NotIn"):
        return _membership(attribute, name == "In", constant)
    if not isinstance(constant, (str, int, float, bool)):
        raise UntranslatableError(f"{attribute.name} is compared with {constant!r}")
    _require_comparable(attribute, constant)
    if name in _BOUNDS:
        if attribute.type.family not in _NUMBERS:
            raise UntranslatableError(f"{attribute.name} is ordered, but it is {attribute.type.family}")
        compare = _COMPARISONS[name]
        return Atom(attribute, {_BOUNDS[name]: constant}, lambda value: compare(value, constant), None)
    if name not in ("Eq", "NotEq"):
        raise UntranslatableError(f"operator {name}")
    wanted = name == "Eq"
    fragment: Fragment = {"const": constant} if wanted else {"not": {"const": constant}}
    return Atom(attribute, fragment, lambda value: _same(value, constant) == wanted, not wanted)


def _membership(attribute: Attribute, wanted: bool, constants: Any) -> Atom:
    if not isinstance(constants, list) or not constants:
        raise UntranslatableError("`in` needs a list of constants that is not empty")
    for constant in constants:
        _require_comparable(attribute, constant)
    fragment: Fragment = {"enum": constants} if wanted else {"not": {"enum": constants}}
    return Atom(
        attribute, fragment, lambda value: any(_same(value, constant) for constant in constants) == wanted, not wanted
    )


def _require_comparable(attribute: Attribute, constant: Any) -> None:
    families, given = attribute.type.families, type(constant).__name__
    if given not in families and not (given in _NUMBERS and families & set(_NUMBERS)):
        raise UntranslatableError(f"{attribute.name} is {attribute.type.family}, but is compared with {constant!r}")


def _same(left: Scalar, right: Scalar) -> bool:
    """KCL's equality: True is not 1, 1 is 1.0."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def divisible(attribute: Attribute, divisor: Any, wanted: bool) -> Atom:
    """`attribute % divisor == 0`."""
    if attribute.type.family != "int" or not isinstance(divisor, int) or isinstance(divisor, bool) or divisor < 1:
        raise UntranslatableError("% is translated for an int and a positive whole divisor only")
    fragment: Fragment = {"multipleOf": divisor} if wanted else {"not": {"multipleOf": divisor}}
    return Atom(attribute, fragment, lambda value: (value % divisor == 0) == wanted, None)


def measured(attribute: Attribute, name: str, size: Any) -> Atom:
    """`len(attribute) > size` and the like."""
    family = attribute.type.family
    if family not in _SIZES:
        raise UntranslatableError(f"len() of {attribute.name}, which is {family}")
    if not isinstance(size, int) or isinstance(size, bool) or name not in _COMPARISONS:
        raise UntranslatableError("len() is compared with a whole number only")
    low, high = _size_range("Eq" if name == "NotEq" else name, size)
    if family == "str" and (low > 1 or (high is not None and high > 0)):
        raise UntranslatableError("len() of a str counts bytes in KCL, characters in JSON Schema: only test emptiness")
    fragment: Fragment = {f"min{_SIZES[family]}": low} if low > 0 else {}
    if high is not None:
        fragment = NEVER if high < max(low, 0) else {**fragment, f"max{_SIZES[family]}": high}
    if name == "NotEq":
        fragment = {"not": fragment}
    compare = _COMPARISONS[name]
    return Atom(attribute, fragment, lambda value: compare(_size(value), size), None)


def _size_range(name: str, size: int) -> tuple[int, int | None]:
    """Lowest and highest size allowed; None: no highest."""
    return {
        "Eq": (size, size), "Gt": (size + 1, None), "GtE": (size, None), "Lt": (0, size - 1), "LtE": (0, size),
    }[name]  # fmt: skip


def _size(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value)


def matched(attribute: Attribute, pattern: Any, wanted: bool) -> Atom:
    """`regex.match(attribute, pattern)`."""
    if attribute.type.family != "str" or not isinstance(pattern, str):
        raise UntranslatableError("regex.match is translated for a str attribute and a constant pattern only")
    translated = portable(pattern)
    if translated is None:
        raise UntranslatableError(f"pattern {pattern!r} may mean different things to KCL, Python and JSON Schema")
    fragment: Fragment = {"pattern": translated} if wanted else {"not": {"pattern": translated}}
    expression = re.compile(translated)
    return Atom(attribute, fragment, lambda value: (expression.search(value) is not None) == wanted, None)
