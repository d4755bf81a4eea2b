"""What the compiler knows of a KCL package, free of KCL's own classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import GenerationError, Location

Scalar = str | int | float | bool
Node = Mapping[str, Any]  # a node of KCL's syntax tree: {"node": {"type": ...}, "line": ...}

SCALARS = ("str", "int", "float", "bool")


@dataclass(frozen=True)
class Type:
    """A resolved KCL type.

    kind: str, int, float, bool, any, list, dict, union, schema or literal. `item` belongs to list and dict (None: any),
    `members` to union, `schema` to schema, `value` to literal.
    """

    kind: str
    item: Type | None = None
    members: tuple[Type, ...] = ()
    schema: str = ""
    value: Scalar | None = None

    @property
    def family(self) -> str:
        """The kind of its values: a scalar kind, list, dict, schema, any, or `mixed` for a union of several."""
        if self.kind == "literal":
            return type(self.value).__name__
        if self.kind == "union":
            families = {member.family for member in self.members}
            return families.pop() if len(families) == 1 else "mixed"
        return self.kind

    @property
    def families(self) -> set[str]:
        """The kinds of its values, one by one."""
        if self.kind == "union":
            return set().union(*(member.families for member in self.members))
        return {self.family}

    @property
    def literals(self) -> list[Scalar] | None:
        """The allowed values when there are only literals, else None."""
        members = self.members if self.kind == "union" else (self,)
        values = [member.value for member in members if member.kind == "literal" and member.value is not None]
        return values if len(values) == len(members) else None


@dataclass(frozen=True)
class Attribute:
    """An attribute of a schema. `default` means something only if `has_default`."""

    name: str
    type: Type
    optional: bool
    has_default: bool
    default: Any
    description: str
    location: Location

    @property
    def required(self) -> bool:
        """Whether every document must have it."""
        return not self.optional and not self.has_default


@dataclass(frozen=True)
class Check:
    """One line of a check block: expression, optional `if` condition, message, and its source text."""

    expression: Node
    condition: Node | None
    message: str
    text: str
    location: Location


@dataclass(frozen=True)
class Schema:
    """One KCL schema; attributes in the order of the source."""

    name: str
    description: str
    attributes: Mapping[str, Attribute]
    checks: tuple[Check, ...]
    location: Location


@dataclass(frozen=True)
class Package:
    """All schemas of a package, by name, in the order of the sources, and what they are to each other.

    `documents` are the schemas that describe documents; `inputs` maps a document to the variant that a person writes;
    `additional` maps a document, or an input variant, to the schema that holds the options added to it.
    """

    documents: Mapping[str, Schema]
    inputs: Mapping[str, Schema] = field(default_factory=dict)
    additional: Mapping[str, Schema] = field(default_factory=dict)

    def find(self, name: str, asked_at: Location) -> Schema:
        if name not in self.documents:
            raise GenerationError(asked_at, f"there is no schema {name}")
        return self.documents[name]
