"""KCL types: read from KCL, written as JSON Schema."""

from __future__ import annotations

import re
from typing import Any

from .errors import GenerationError, Location
from .model import SCALARS, Scalar, Type

JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_LITERAL = re.compile(r"(str|int|float|bool)\((.*)\)", re.DOTALL)


def read_type(kcl_type: Any, location: Location) -> Type:
    """The type as KCL resolved it (aliases gone)."""
    kind = kcl_type.type
    literal = _LITERAL.fullmatch(kind)
    if literal:
        return Type("literal", value=_literal_value(*literal.groups()))
    if kind in SCALARS or kind == "any":
        return Type(kind)
    if kind == "list":
        return Type("list", item=read_type(kcl_type.item, location))
    if kind == "dict":
        if kcl_type.key.type not in ("str", "any"):
            raise GenerationError(location, f"a dict with keys of type {kcl_type.key.type} has no JSON form")
        return Type("dict", item=read_type(kcl_type.item, location))
    if kind == "union":
        return Type("union", members=tuple(read_type(member, location) for member in kcl_type.union_types))
    if kind == "schema":
        return Type("schema", schema=kcl_type.schema_name)
    raise GenerationError(location, f"type {kind} cannot be translated")


def _literal_value(kind: str, text: str) -> Scalar:
    if kind == "str":
        return text
    if kind == "bool":
        return text == "True"
    return int(text) if kind == "int" else float(text)


def json_type(kind: Type) -> dict[str, Any]:
    """The type as JSON Schema; a schema becomes a reference into `definitions`."""
    literals = kind.literals
    if literals is not None:
        scalar = {"type": JSON_TYPES[kind.family]} if kind.family in JSON_TYPES else {}
        return {**scalar, "enum": literals}
    if kind.kind in JSON_TYPES:
        return {"type": JSON_TYPES[kind.kind]}
    if kind.kind in ("list", "dict"):
        item = json_type(kind.item) if kind.item else {}
        outer, inner = ("array", "items") if kind.kind == "list" else ("object", "additionalProperties")
        return {"type": outer, inner: item} if item else {"type": outer}
    if kind.kind == "union":
        return {"anyOf": [json_type(member) for member in kind.members]}
    if kind.kind == "schema":
        return {"$ref": f"#/definitions/{kind.schema}"}
    return {}


def referenced_schemas(kind: Type) -> set[str]:
    """Names of the schemas that values of this type hold."""
    found = {kind.schema} if kind.schema else set()
    for part in (*kind.members, *([kind.item] if kind.item else [])):
        found |= referenced_schemas(part)
    return found
