"""JSON Schema documents, draft-07: the draft that every version of the jsonschema package in use can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import checks
from .model import Attribute, Check, Package, Schema
from .types import json_type, referenced_schemas

DRAFT = "http://json-schema.org/draft-07/schema#"
MESSAGE = "x-kcl-message"


def documents(package: Package) -> dict[str, dict[str, Any]]:
    """Every document to publish, by the schema's name: documents and input variants."""
    schemas = {**package.documents, **{schema.name: schema for schema in package.inputs.values()}}
    return {name: _document(package, schemas[name]) for name in sorted(schemas)}


def defaults(package: Package) -> dict[str, dict[str, Any]]:
    """The defaults of every document, by schema and attribute."""
    schemas = [*package.documents.values(), *package.inputs.values()]
    return {
        schema.name: {name: entry.default for name, entry in schema.attributes.items() if entry.has_default}
        for schema in sorted(schemas, key=lambda schema: schema.name)
    }


def _document(package: Package, schema: Schema) -> dict[str, Any]:
    document = {"$schema": DRAFT, "title": schema.name, **_object(schema)}
    inner = _reachable(package, schema)
    if inner:
        document["definitions"] = {name: _definition(package, name) for name in sorted(inner)}
    return document


def _reachable(package: Package, schema: Schema) -> set[str]:
    found: set[str] = set()
    for attribute in schema.attributes.values():
        for name in referenced_schemas(attribute.type):
            found |= {name} | _reachable(package, package.find(name, attribute.location))
    return found


def _definition(package: Package, name: str) -> dict[str, Any]:
    """A schema inside another one: there its added options stand beside its own."""
    result = _object(package.documents[name])
    if name in package.additional:
        added = _object(package.additional[name])
        result["properties"].update(added["properties"])
        result["allOf"] = result.get("allOf", []) + added.get("allOf", [])
    return result


def _object(schema: Schema) -> dict[str, Any]:
    result: dict[str, Any] = {
        "description": schema.description,
        "type": "object",
        "properties": {name: _property(attribute) for name, attribute in schema.attributes.items()},
    }
    required = [attribute.name for attribute in schema.attributes.values() if attribute.required]
    if required:
        result["required"] = required
    result["additionalProperties"] = False
    conditions = [_condition(schema, check) for check in schema.checks]
    if conditions:
        result["allOf"] = conditions
    return result


def _property(attribute: Attribute) -> dict[str, Any]:
    shape = json_type(attribute.type)
    if "$ref" in shape:  # draft-07 ignores whatever stands beside a reference
        shape = {"allOf": [shape]}
    shape["description"] = attribute.description
    if attribute.has_default:
        shape["default"] = attribute.default
    return shape


def _condition(schema: Schema, check: Check) -> dict[str, Any]:
    return {"$comment": f"{check.location}: {check.text}", MESSAGE: check.message, **checks.translate(schema, check)}


def stripped(document: Any) -> Any:
    """The document without what only readers need; it is shipped with every run of a module."""
    return _strip(document, is_schema=True)


def _strip(node: Any, is_schema: bool) -> Any:
    """`is_schema` is False for a mapping from names to schemas, where `description` is a name like any other."""
    if isinstance(node, list):
        return [_strip(item, is_schema) for item in node]
    if not isinstance(node, Mapping):
        return node
    left_out = ("description", "$comment", "title", "default", "$schema") if is_schema else ()
    return {
        key: _strip(value, key not in ("properties", "definitions", "default", "enum", "const") if is_schema else True)
        for key, value in node.items()
        if key not in left_out
    }
