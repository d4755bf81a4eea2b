"""KCL schemas made at random out of all that the compiler translates, and some that it must refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_STRINGS = ["a", "b", "web1", ""]
_PATTERNS = ["^a", "b$", "^[a-z]+[0-9]$", "^(a|b)?$", "x y", "^web\\\\d*$"]
_KINDS: dict[str, list[str]] = {  # type in KCL: possible defaults
    "bool": ["True", "False"],
    "int": ["0", "5", "2 * 3"],
    "float": ["0.5", "1", "-1.0"],
    "str": ['""', '"a"', '"web1"'],
    '"a" | "b" | "c"': ['"a"', '"c"'],
    "1 | 2 | 5": ["1", "5"],
    "[str]": ["[]"],
    "[1 | 2]": ["[]"],
    "{str:int}": ["{}"],
    "int | str": ["1", '"a"'],
}


@dataclass(frozen=True)
class _Attribute:
    name: str
    kind: str
    optional: bool


def source(chance: random.Random) -> str:
    """A schema `Subject` with two to six attributes and one to four checks."""
    lines = ["import regex", "", "schema Subject:", '    """', "    A subject.", "", "    Attributes", "    ----------"]
    attributes, body = [], []
    for number in range(chance.randrange(2, 7)):
        form = chance.choice(["required", "default", "default", "optional"])
        attribute = _Attribute(f"a{number}", chance.choice(list(_KINDS)), form == "optional")
        mark = "?" if form == "optional" else ""
        default = f" = {chance.choice(_KINDS[attribute.kind])}" if form == "default" else ""
        lines += [f"    {attribute.name} : {attribute.kind}", "        An attribute."]
        body.append(f"    {attribute.name}{mark}: {attribute.kind}{default}")
        attributes.append(attribute)
    lines += ['    """', *body, "", "    check:"]
    for number in range(chance.randrange(1, 5)):
        expression = _expression(chance, attributes, 2)
        conditions = [_expression(chance, attributes, 1)] if chance.random() < 0.2 else []
        if chance.random() < 0.8:  # else KCL may fail on one that is absent, which the compiler must refuse
            asked = " ".join([expression, *conditions])
            conditions = [each.name for each in attributes if each.optional and each.name in asked] + conditions
        condition = f" if {' and '.join(conditions)}" if conditions else ""
        lines.append(f'        {expression}{condition}, "rule {number}"')
    return "\n".join(lines) + "\n"


def _expression(chance: random.Random, attributes: list[_Attribute], depth: int) -> str:
    dice = chance.random()
    if depth and dice < 0.5:
        operator = chance.choice(["and", "or"])
        return f"({_expression(chance, attributes, depth - 1)} {operator} {_expression(chance, attributes, depth - 1)})"
    if depth and dice < 0.65:
        return f"not ({_expression(chance, attributes, depth - 1)})"
    if dice > 0.98:
        return chance.choice(["True", "False"])
    attribute = chance.choice(attributes)
    return chance.choice(_PREDICATES[attribute.kind])(chance, attribute.name)


_Predicate = Callable[[random.Random, str], str]


def _truth(chance: random.Random, name: str) -> str:
    return name


def _ordered(chance: random.Random, name: str) -> str:
    operator, bound = chance.choice(["<", "<=", ">", ">=", "==", "!="]), chance.choice([-1, 0, 1, 5, 100])
    forms = [f"{name} {operator} {bound}", f"{bound} {operator} {name}", f"{chance.randrange(3)} < {name} <= {bound}"]
    return chance.choice(forms)


def _divided(chance: random.Random, name: str) -> str:
    return f"{name} % {chance.choice([2, 3])} {chance.choice(['==', '!='])} 0"


def _equal(chance: random.Random, name: str) -> str:
    return f'{name} {chance.choice(["==", "!="])} "{chance.choice(_STRINGS)}"'


def _member(chance: random.Random, name: str) -> str:
    chosen = ", ".join(f'"{value}"' for value in chance.sample(_STRINGS, 2))
    return f"{name} {chance.choice(['in', 'not in'])} [{chosen}]"


def _number_member(chance: random.Random, name: str) -> str:
    return f"{name} {chance.choice(['in', 'not in'])} [1, 5]"


def _flag(chance: random.Random, name: str) -> str:
    return f"{name} {chance.choice(['==', '!='])} {chance.choice(['True', 'False'])}"


def _empty(chance: random.Random, name: str) -> str:
    return f"len({name}) {chance.choice(['> 0', '== 0', '!= 0', '>= 1', '< 1', '>= 0', '< 0'])}"


def _sized(chance: random.Random, name: str) -> str:
    return f"len({name}) {chance.choice(['<', '<=', '>', '>=', '==', '!='])} {chance.randrange(4)}"


def _matching(chance: random.Random, name: str) -> str:
    return f'regex.match({name}, "{chance.choice(_PATTERNS)}")'


_PREDICATES: dict[str, list[_Predicate]] = {
    "bool": [_truth, _flag],
    "int": [_truth, _ordered, _ordered, _divided, _number_member],
    "float": [_truth, _ordered, _ordered],
    "str": [_truth, _equal, _member, _empty, _matching],
    '"a" | "b" | "c"': [_equal, _member, _truth],
    "1 | 2 | 5": [_ordered, _number_member, _truth],
    "[str]": [_truth, _sized],
    "[1 | 2]": [_sized],
    "{str:int}": [_truth, _sized],
    "int | str": [_number_member],
}
