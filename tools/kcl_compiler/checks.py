"""Translates check blocks into JSON Schema.

Negations are pushed down to the predicates, because a predicate on an absent attribute must give what it gives for the
attribute's default, and so must its negation: `not {...}` around a fragment would turn "absent passes" into
"absent fails".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import atoms
from .atoms import NEVER, Atom, Fragment
from .errors import GenerationError, Location
from .model import Attribute, Check, Node, Schema


def translate(schema: Schema, check: Check) -> Fragment:
    """The check as a schema of the whole document. `{}` always passes, NEVER never does."""
    translator = _Translator(schema)
    if check.condition is None:
        return translator.boolean(check.expression, True)
    excused = translator.boolean(check.condition, False)
    return either([excused, translator.boolean(check.expression, True, _present(check.condition, True))])


def _present(node: Node, outcome: bool) -> frozenset[str]:
    """Names of attributes that are there whenever the expression came out as `outcome`."""
    inner = node["node"]
    kind = inner["type"]
    if kind == "Paren":
        return _present(inner["expr"], outcome)
    if kind == "Unary" and inner["op"] == "Not":
        return _present(inner["operand"], not outcome)
    if kind == "Identifier" and len(inner["names"]) == 1 and outcome:
        return frozenset({inner["names"][0]["node"]})
    if kind == "Binary" and inner["op"] == ("And" if outcome else "Or"):
        return _present(inner["left"], outcome) | _present(inner["right"], outcome)
    return frozenset()


class _Translator:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def boolean(self, node: Node, wanted: bool, present: frozenset[str] = frozenset()) -> Fragment:
        """Documents for which the expression is `wanted`; it is evaluated only where the `present` ones are there."""
        inner = node["node"]
        kind = inner["type"]
        if kind == "Paren":
            return self.boolean(inner["expr"], wanted, present)
        if kind == "Unary" and inner["op"] == "Not":
            return self.boolean(inner["operand"], not wanted, present)
        if kind == "Binary" and inner["op"] in ("And", "Or"):
            # The right side is evaluated only after the left one came out True (and) or False (or).
            known = present | _present(inner["left"], inner["op"] == "And")
            parts = [self.boolean(inner["left"], wanted, present), self.boolean(inner["right"], wanted, known)]
            return both(parts) if (inner["op"] == "And") == wanted else either(parts)
        if kind == "NameConstantLit" and inner["value"] in ("True", "False"):
            return {} if (inner["value"] == "True") == wanted else NEVER
        if kind == "Compare":
            return self._comparison(node, wanted, present)
        try:
            return self._place(self._predicate(node, wanted), node, present)
        except atoms.UntranslatableError as reason:
            raise self._refusal(node, str(reason)) from reason

    def _comparison(self, node: Node, wanted: bool, present: frozenset[str]) -> Fragment:
        """Chains are pairs: `1 <= n < 10` is `1 <= n and n < 10`."""
        inner = node["node"]
        operands = [inner["left"], *inner["comparators"]]
        parts = []
        for left, operation, right in zip(operands, inner["ops"], operands[1:], strict=False):
            try:
                if operation not in atoms.NEGATED:
                    raise atoms.UntranslatableError(f"operator {operation}")
                atom = self._pair(left, operation if wanted else atoms.NEGATED[operation], right)
            except atoms.UntranslatableError as reason:
                raise self._refusal(node, str(reason)) from reason
            parts.append(self._place(atom, node, present))
        return both(parts) if wanted else either(parts)

    def _pair(self, left: Node, operation: str, right: Node) -> Atom:
        if _is_constant(left) and not _is_constant(right):
            if operation not in atoms.MIRRORED:
                raise atoms.UntranslatableError("a constant on the left of `in`")
            left, operation, right = right, atoms.MIRRORED[operation], left
        if not _is_constant(right):
            raise atoms.UntranslatableError("one attribute or computed value compared with another")
        constant = _constant(right)
        inner = left["node"]
        if inner["type"] == "Call":
            if _called(inner) != "len" or len(inner["args"]) != 1:
                raise atoms.UntranslatableError("only len() of one attribute may be compared")
            return atoms.measured(self._attribute(inner["args"][0]), operation, constant)
        if inner["type"] == "Binary":
            remainder = inner["op"] == "Mod" and operation in ("Eq", "NotEq") and constant == 0
            if not remainder or not _is_constant(inner["right"]):
                raise atoms.UntranslatableError("arithmetic other than `attribute % constant == 0`")
            return atoms.divisible(self._attribute(inner["left"]), _constant(inner["right"]), operation == "Eq")
        return atoms.compared(self._attribute(left), operation, constant)

    def _predicate(self, node: Node, wanted: bool) -> Atom:
        """An attribute by itself, or a call."""
        inner = node["node"]
        if inner["type"] == "Identifier":
            return atoms.truth(self._attribute(node), wanted)
        if inner["type"] != "Call":
            raise atoms.UntranslatableError(f"expression {inner['type']}")
        if _called(inner) != "regex.match" or len(inner["args"]) != 2 or not _is_constant(inner["args"][1]):
            raise atoms.UntranslatableError(f"a call of {_called(inner) or 'an expression'}")
        return atoms.matched(self._attribute(inner["args"][0]), _constant(inner["args"][1]), wanted)

    def _attribute(self, node: Node) -> Attribute:
        inner = node["node"]
        if inner["type"] != "Identifier" or len(inner["names"]) != 1:
            found = _dotted(inner) or inner["type"]
            raise atoms.UntranslatableError(f"expected an attribute of {self.schema.name}, found {found}")
        name = inner["names"][0]["node"]
        if name not in self.schema.attributes:
            raise atoms.UntranslatableError(f"{name} is not an attribute of {self.schema.name}")
        return self.schema.attributes[name]

    def _place(self, atom: Atom, node: Node, present: frozenset[str]) -> Fragment:
        """The predicate as a schema of the document: with what it means when the attribute is absent."""
        attribute = atom.attribute
        inside: Fragment = {"properties": {attribute.name: atom.fragment}}
        if attribute.required:
            return inside
        if attribute.has_default:
            passes = atom.holds(attribute.default)
        else:
            if atom.when_absent is None and attribute.name not in present:
                reason = f"KCL raises an error when {attribute.name} is absent: write `... if {attribute.name}`"
                raise self._refusal(node, reason)
            passes = bool(atom.when_absent)
        return inside if passes else {**inside, "required": [attribute.name]}

    def _refusal(self, node: Node, reason: str) -> GenerationError:
        place = Location(self.schema.location.file, node["line"])
        return GenerationError(place, f"check cannot be translated: {reason}")


def _called(call: Mapping[str, Any]) -> str:
    return _dotted(call["func"]["node"])


def _dotted(inner: Mapping[str, Any]) -> str:
    return ".".join(name["node"] for name in inner["names"]) if inner["type"] == "Identifier" else ""


def _is_constant(node: Node) -> bool:
    inner = node["node"]
    kind = inner["type"]
    if kind == "Paren":
        return _is_constant(inner["expr"])
    if kind == "Unary":
        operand = inner["operand"]
        return inner["op"] == "USub" and operand["node"]["type"] == "NumberLit" and _is_constant(operand)
    if kind == "List":
        return all(_is_constant(element) for element in inner["elts"])
    if kind == "NumberLit":
        return not inner["binary_suffix"]
    return kind == "StringLit" or (kind == "NameConstantLit" and inner["value"] in ("True", "False"))


def _constant(node: Node) -> Any:
    inner = node["node"]
    kind = inner["type"]
    if kind == "Paren":
        return _constant(inner["expr"])
    if kind == "Unary":
        return -_constant(inner["operand"])
    if kind == "List":
        return [_constant(element) for element in inner["elts"]]
    if kind == "NumberLit":
        return inner["value"]["value"]
    return inner["value"] if kind == "StringLit" else inner["value"] == "True"


def both(parts: Sequence[Fragment]) -> Fragment:
    """All of the parts; simple ones are merged, so that the published schema stays readable."""
    if NEVER in parts:
        return NEVER
    merged: Fragment = {}
    rest: list[Fragment] = []
    for part in parts:
        known = merged.get("properties", {})
        clash = any(set(fragment) & set(known.get(name, {})) for name, fragment in part.get("properties", {}).items())
        if clash or not set(part) <= {"properties", "required"}:
            rest.append(part)
            continue
        for name, fragment in part.get("properties", {}).items():
            merged.setdefault("properties", {}).setdefault(name, {}).update(fragment)
        for name in part.get("required", []):
            if name not in merged.setdefault("required", []):
                merged["required"].append(name)
    if not rest:
        return merged
    return {"allOf": [merged, *rest] if merged else rest} if merged or len(rest) > 1 else rest[0]


def either(parts: Sequence[Fragment]) -> Fragment:
    """At least one of the parts."""
    if {} in parts:
        return {}
    flat: list[Fragment] = []
    for part in parts:
        if part != NEVER:
            flat += part["anyOf"] if set(part) == {"anyOf"} else [part]
    if not flat:
        return NEVER
    return flat[0] if len(flat) == 1 else {"anyOf": flat}
