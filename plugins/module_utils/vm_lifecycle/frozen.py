# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses that are made quickly, for what a booting host imports.

The standard library writes and compiles six functions for each: for the nouns of a boot that takes longer than all that is read before
the first VM starts. Here only __init__ is compiled; the others are the same for every class. To readers, copiers and type checkers they
are dataclasses like any other.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

__all__ = ("dataclass",)

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool) -> Callable[[type], type]:
        """As the standard library's, with frozen alone; classes that build on others, or that want more, are left to that."""
        return _made if frozen else dataclasses.dataclass


def _made(cls: type) -> type:
    based = any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])
    if based or hasattr(cls, "__post_init__"):
        return dataclasses.dataclass(frozen=True)(cls)
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(cls)
    if not all(field.init and field.compare and field.repr and field.hash is None for field in fields):
        raise TypeError(f"{cls.__qualname__}: of fields only defaults are known here")
    cls.__dataclass_params__.frozen = True  # type: ignore[attr-defined]
    values = _values([field.name for field in fields])
    own = {
        "__init__": _init(cls, fields), "__repr__": _repr, "__eq__": _eq(values), "__hash__": _hash(values),
        "__setattr__": _setattr, "__delattr__": _delattr,
    }  # fmt: skip
    for name, method in own.items():
        if cls.__dict__.get(name) is None:
            setattr(cls, name, method)
    return cls


def _init(cls: type, fields: Tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """def __init__(self, a, b=default_b, c=MISSING), in which a field with a factory gets what that makes."""
    known: Dict[str, Any] = {"set_value": object.__setattr__, "MISSING": dataclasses.MISSING}
    parameters, lines = ["self"], []
    for field in fields:
        name, value = field.name, field.name
        if field.default is not dataclasses.MISSING:
            known[f"default_{name}"] = field.default
            parameters.append(f"{name}=default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            known[f"make_{name}"] = field.default_factory
            parameters.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        else:
            parameters.append(name)
        lines.append(f"    set_value(self, {name!r}, {value})")
    made: Dict[str, Any] = {}
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or ["    pass"]), known, made)
    function: Callable[..., None] = made["__init__"]
    function.__qualname__ = f"{cls.__qualname__}.__init__"
    return function


def _values(names: List[str]) -> Callable[[Any], Tuple[Any, ...]]:
    """All values of an instance."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _eq(values: Callable[[Any], Tuple[Any, ...]]) -> Callable[[Any, Any], bool]:
    def __eq__(self: Any, other: Any) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(values: Callable[[Any], Tuple[Any, ...]]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _repr(self: Any) -> str:
    said = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
    return f"{self.__class__.__qualname__}({said})"


def _setattr(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
