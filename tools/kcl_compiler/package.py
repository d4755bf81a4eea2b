"""How the schemas of a package belong together.

A schema is a document, unless its name says otherwise:
  <Name>Recorded    lists attributes of <Name> that the engine records and nobody gives
  <Name>GivenOnce   lists attributes of <Name> that a person may give, but need not
  <Name>Additional  adds options to those of <Name>; it is a document too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .errors import GenerationError
from .model import Attribute, Package, Schema
from .types import referenced_schemas

_RECORDED, _GIVEN_ONCE, _ADDITIONAL, _INPUT = "Recorded", "GivenOnce", "Additional", "Input"


def organise(schemas: Mapping[str, Schema]) -> Package:
    """Tells documents from lists, and verifies every rule above."""
    lists = {name: schema for name, schema in schemas.items() if name.endswith((_RECORDED, _GIVEN_ONCE))}
    documents = {name: schema for name, schema in schemas.items() if name not in lists}
    for schema in lists.values():
        _verify_list(schema, documents)
    inputs: dict[str, Schema] = {}
    for name, schema in documents.items():
        recorded, given_once = lists.get(name + _RECORDED), lists.get(name + _GIVEN_ONCE)
        if recorded or given_once:
            inputs[name] = _input_variant(schema, recorded, given_once)
            if inputs[name].name in documents:
                raise GenerationError(documents[inputs[name].name].location, f"{inputs[name].name} is generated")
    additional: dict[str, Schema] = {}
    for name, schema in documents.items():
        if name.endswith(_ADDITIONAL):
            base = _base(schema, _ADDITIONAL, documents)
            _verify_additional(schema, base)
            additional[base.name] = schema
            if base.name in inputs:
                additional[inputs[base.name].name] = schema
    _refuse_cycles(documents)
    return Package(documents, inputs, additional)


def _base(schema: Schema, suffix: str, documents: Mapping[str, Schema]) -> Schema:
    name = schema.name[: -len(suffix)]
    if name not in documents:
        raise GenerationError(schema.location, f"{schema.name}: there is no schema {name}")
    return documents[name]


def _verify_list(schema: Schema, documents: Mapping[str, Schema]) -> None:
    base = _base(schema, _RECORDED if schema.name.endswith(_RECORDED) else _GIVEN_ONCE, documents)
    if schema.checks:
        raise GenerationError(schema.checks[0].location, f"{schema.name} lists attributes, it cannot check them")
    for attribute in schema.attributes.values():
        known = base.attributes.get(attribute.name)
        if known is None:
            raise GenerationError(attribute.location, f"{base.name} has no attribute {attribute.name}")
        if known.type != attribute.type:
            raise GenerationError(attribute.location, f"{attribute.name} has another type in {base.name}")
        if not attribute.optional:
            raise GenerationError(attribute.location, f"{attribute.name} must be optional in {schema.name}")


def _verify_additional(schema: Schema, base: Schema) -> None:
    for attribute in schema.attributes.values():
        if attribute.required:
            raise GenerationError(attribute.location, f"{attribute.name} is added to {base.name}: it must be optional")
        if attribute.name in base.attributes:
            raise GenerationError(attribute.location, f"{base.name} has an attribute {attribute.name} already")


def _input_variant(schema: Schema, recorded: Schema | None, given_once: Schema | None) -> Schema:
    removed = set(recorded.attributes) if recorded else set()
    eased = set(given_once.attributes) if given_once else set()
    if given_once and removed & eased:
        both = given_once.attributes[sorted(removed & eased)[0]]
        raise GenerationError(both.location, f"{both.name} is both recorded and given once")

    def ease(attribute: Attribute) -> Attribute:
        return replace(attribute, optional=True) if attribute.name in eased else attribute

    kept = {name: ease(attribute) for name, attribute in schema.attributes.items() if name not in removed}
    return replace(schema, name=schema.name + _INPUT, attributes=kept)


def _refuse_cycles(documents: Mapping[str, Schema]) -> None:
    def visit(name: str, above: tuple[str, ...]) -> None:
        schema = documents[name]
        for attribute in schema.attributes.values():
            for inner in sorted(referenced_schemas(attribute.type)):
                if inner in (*above, name):
                    raise GenerationError(attribute.location, f"schema {name} holds {inner}, which holds {name}")
                if inner not in documents:
                    raise GenerationError(attribute.location, f"{attribute.name}: {inner} is not a document")
                visit(inner, (*above, name))

    for name in documents:
        visit(name, ())
