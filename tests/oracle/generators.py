"""Documents for a schema: random ones, and systematic ones around a valid document."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.kcl_compiler.documents import MESSAGE, documents
from tools.kcl_compiler.model import Package, Schema, Type

Document = dict[str, Any]

STRINGS = ["", "a", "b", "web1", "02:00", "${x}", "é", "x y", 'quo"te', "line\nfeed", "\\", "aaa", "ab1", "$", "😀"]
WHOLE = [-1, 0, 1, 2, 3, 4, 5, 7, 24, 60, 99, 100, 101, 299, 300, 301, 1439, 1440, 1441, 8759, 8760, 8761]
EXTREME = [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)]
BEYOND = [2**63, -(2**63) - 1, 2**64, 2**70, 1e300]  # no int of KCL
WRONG: list[Any] = [True, False, 0, 1, -3, 1.5, 24.0, "zzz", "", [], {}, [1], {"a": 1}, "True", "1"]


def constants(package: Package, name: str) -> list[Any]:
    """All numbers and strings that the schema's own rules mention."""
    found: set[Any] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key not in ("$comment", MESSAGE, "title", "description", "$schema", "$ref"):
                    walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
        elif isinstance(node, int | float | str) and not isinstance(node, bool):
            found.add(node)

    walk(documents(package)[name].get("allOf", []))
    return sorted(found, key=str)


class Generator:
    """Documents for one schema of a package, out of one source of chance."""

    def __init__(self, chance: random.Random, package: Package, name: str) -> None:
        self.chance = chance
        self.package = package
        self.schema = package.documents[name]
        mentioned = constants(package, name)
        self.numbers = [value for value in mentioned if isinstance(value, int | float)]
        self.strings = [value for value in mentioned if isinstance(value, str)]

    def documents(self, count: int) -> list[Document]:
        return [self.document() for _each in range(count)]

    def document(self, noise: float = 0.15) -> Document:
        """Mostly well-formed; with `noise` some of it is missing, of another type or unknown."""
        return self._of(self.schema, self.chance.random() < noise)

    def _of(self, schema: Schema, noisy: bool) -> Document:
        chance = self.chance
        result: Document = {}
        for attribute in schema.attributes.values():
            if chance.random() < (0.06 if noisy else 0) if attribute.required else chance.random() < 0.5:
                continue
            wrong = noisy and chance.random() < 0.15
            result[attribute.name] = chance.choice(WRONG) if wrong else self._value(attribute.type)
        if noisy and chance.random() < 0.1:
            result["extra"] = chance.choice(WRONG)
        return result

    def _value(self, kind: Type) -> Any:
        chance = self.chance
        if kind.kind == "union":
            return self._value(chance.choice(kind.members))
        if kind.kind == "literal":
            return kind.value
        if kind.kind == "bool":
            return chance.random() < 0.5
        if kind.kind == "str":
            return chance.choice(self.strings + STRINGS)
        if kind.kind in ("int", "float"):
            return self._number(kind.kind)
        if kind.kind == "list":
            return [self._value(kind.item or Type("any")) for _each in range(chance.randrange(4))]
        if kind.kind == "dict":
            keys = chance.sample(STRINGS[1:6], chance.randrange(4))
            return {key: self._value(kind.item or Type("any")) for key in keys}
        if kind.kind == "schema":
            return self._of(self.package.documents[kind.schema], False)
        return self._anything(2)

    def _number(self, kind: str) -> int | float:
        chance = self.chance
        dice = chance.random()
        if dice < 0.5 and self.numbers:
            near = chance.choice(self.numbers) + chance.choice([-1, 0, 1])
            if kind == "int":
                return int(near)
            return near + chance.choice([0, 0.0, -0.5, 0.5, -1e-9, 1e-9])
        if dice < 0.85:
            return chance.choice(WHOLE)
        if dice < 0.88:
            return chance.choice(EXTREME)
        return chance.randrange(-10, 9000) if kind == "int" else round(chance.uniform(-5, 110), 3)

    def _anything(self, depth: int) -> Any:
        chance = self.chance
        pick = chance.randrange(6 if depth else 4)
        if pick == 4:
            return [self._anything(depth - 1) for _each in range(chance.randrange(3))]
        if pick == 5:
            return {chance.choice(STRINGS[1:]): self._anything(depth - 1) for _each in range(chance.randrange(3))}
        return [
            chance.random() < 0.5,
            chance.randrange(-5, 5),
            round(chance.uniform(-5, 5), 3),
            chance.choice(STRINGS),
        ][pick]


def systematic(generator: Generator, valid: Document, together: Sequence[Sequence[str]]) -> Iterator[Document]:
    """Around a valid document: each attribute dropped and given each interesting value of every type; for the
    attributes that stand `together` in a check, every combination, "absent" included."""
    yield valid
    yield {**valid, "extra": 1}
    for name in generator.schema.attributes:
        yield {key: value for key, value in valid.items() if key != name}
        for value in _interesting(generator, name):
            yield {**valid, name: value}
    for names in together:
        yield from _combinations(generator, valid, names)


def _interesting(generator: Generator, name: str) -> list[Any]:
    kind = generator.schema.attributes[name].type
    near = [number + step for number in generator.numbers for step in (-1, 0, 1)]
    halves = [number + step for number in generator.numbers for step in (-0.5, 0.5)]
    item = kind.item.literals or [] if kind.item else []
    nested = [[*item, "a"], [True], [1.5], ["a", 1], {"a": {"b": [1]}}]
    return [*WRONG, *STRINGS, *EXTREME, *BEYOND, *(kind.literals or []), *near, *halves, *nested]


def _combinations(generator: Generator, valid: Document, names: Sequence[str]) -> Iterator[Document]:
    absent = object()

    def choices(name: str) -> list[Any]:
        kind = generator.schema.attributes[name].type
        if kind.literals:
            return [absent, *kind.literals]
        return [absent, True, False] if kind.kind == "bool" else [absent, *_interesting(generator, name)]

    for values in itertools.product(*(choices(name) for name in names)):
        given = dict(zip(names, values, strict=True))
        kept: Mapping[str, Any] = {key: value for key, value in valid.items() if key not in given}
        yield {**kept, **{name: value for name, value in given.items() if value is not absent}}
