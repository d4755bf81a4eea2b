"""Each construct of a check block: its JSON Schema, or its refusal with file and line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.tools.conftest import Compile
from tools.kcl_compiler.checks import translate
from tools.kcl_compiler.errors import GenerationError

ATTRIBUTES = {
    "count": "count: int",
    "share": "share: float",
    "name": "name: str",
    "flag": "flag: bool",
    "items": "items: [str]",
    "table": "table: {str:int}",
    "mixed": "mixed: int | str",
    "kind": 'kind: "a" | "b" = "a"',
    "limit": "limit: int = 5",
    "label": 'label: str = ""',
    "extra": "extra?: int",
    "note": "note?: str",
    "inner": "inner?: Inner",
}
INNER = '\nschema Inner:\n    """\n    Inner.\n\n    Attributes\n    ----------\n    x : int\n        X.\n    """\n    x: int = 1\n'


def source(check: str) -> str:
    lines = ["import regex", "schema Subject:", '    """', "    A subject.", "", "    Attributes", "    ----------"]
    for name, declaration in ATTRIBUTES.items():
        kind = declaration.split(": ", 1)[1].split(" = ")[0]
        lines += [f"    {name} : {kind}", "        Text."]
    lines += ['    """', *(f"    {declaration}" for declaration in ATTRIBUTES.values()), "    check:"]
    return "\n".join(lines) + f'\n        {check}, "message"\n' + INNER


def properties(required: list[str] | None = None, **fragments: dict[str, Any]) -> dict[str, Any]:
    return {"properties": fragments, **({"required": required} if required else {})}


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("count > 0", properties(count={"exclusiveMinimum": 0})),
        ("count >= -1", properties(count={"minimum": -1})),
        ("share < 1.5", properties(share={"exclusiveMaximum": 1.5})),
        ("share <= 1", properties(share={"maximum": 1})),
        ("0 < count", properties(count={"exclusiveMinimum": 0})),
        ("1 <= count < 10", properties(count={"minimum": 1, "exclusiveMaximum": 10})),
        (
            "not (1 <= count < 10)",
            {"anyOf": [properties(count={"exclusiveMaximum": 1}), properties(count={"minimum": 10})]},
        ),
        ("count == 3", properties(count={"const": 3})),
        ('name != "x"', properties(name={"not": {"const": "x"}})),
        ('not (name == "x")', properties(name={"not": {"const": "x"}})),
        ("flag", properties(flag={"const": True})),
        ("not flag", properties(flag={"const": False})),
        ("flag == False", properties(flag={"const": False})),
        ("name", properties(name={"minLength": 1})),
        ("not items", properties(items={"maxItems": 0})),
        ("table", properties(table={"minProperties": 1})),
        ("count", properties(count={"not": {"const": 0}})),
        ("not share", properties(share={"const": 0})),
        ('kind in ["a", "b"]', properties(kind={"enum": ["a", "b"]})),
        ("count not in [1, 2]", properties(count={"not": {"enum": [1, 2]}})),
        ("mixed in [1, 2]", properties(mixed={"enum": [1, 2]})),
        ("len(name) > 0", properties(name={"minLength": 1})),
        ("len(name) == 0", properties(name={"maxLength": 0})),
        ("len(items) <= 3", properties(items={"maxItems": 3})),
        ("len(items) == 2", properties(items={"minItems": 2, "maxItems": 2})),
        ("len(items) != 2", properties(items={"not": {"minItems": 2, "maxItems": 2}})),
        ("len(table) >= 2", properties(table={"minProperties": 2})),
        ("len(items) < 0", properties(items={"not": {}})),
        ("count % 5 == 0", properties(count={"multipleOf": 5})),
        ("count % 5 != 0", properties(count={"not": {"multipleOf": 5}})),
        ('regex.match(name, "^a+$")', properties(name={"pattern": r"^a+$(?!\n)"})),
        ('not regex.match(name, "^a")', properties(name={"not": {"pattern": "^a"}})),
        ("count > 0 and count <= 9", properties(count={"exclusiveMinimum": 0, "maximum": 9})),
        (
            "count > 0 and count > 1",
            {"allOf": [properties(count={"exclusiveMinimum": 0}), properties(count={"exclusiveMinimum": 1})]},
        ),
        ("not (flag and name)", {"anyOf": [properties(flag={"const": False}), properties(name={"maxLength": 0})]}),
        (
            "flag or name or items",
            {"anyOf": [
                properties(flag={"const": True}), properties(name={"minLength": 1}), properties(items={"minItems": 1}),
            ]},
        ),
        ("True", {}),
        ("False", {"not": {}}),
        ("flag or True", {}),
        ("flag and False", {"not": {}}),
        # A defaulted attribute that is absent counts with its default.
        ("limit > 3", properties(limit={"exclusiveMinimum": 3})),
        ("limit > 9", properties(["limit"], limit={"exclusiveMinimum": 9})),
        ("not (limit > 3)", properties(["limit"], limit={"maximum": 3})),
        ("label", properties(["label"], label={"minLength": 1})),
        ('kind == "b"', properties(["kind"], kind={"const": "b"})),
        # An optional attribute that is absent is Undefined: not true, not equal to anything.
        ("extra", properties(["extra"], extra={"not": {"const": 0}})),
        ("extra == 1", properties(["extra"], extra={"const": 1})),
        ("extra != 1", properties(extra={"not": {"const": 1}})),
        (
            "extra > 1 if extra",
            {"anyOf": [properties(extra={"const": 0}), properties(["extra"], extra={"exclusiveMinimum": 1})]},
        ),
        (
            "not extra or extra > 1",
            {"anyOf": [properties(extra={"const": 0}), properties(["extra"], extra={"exclusiveMinimum": 1})]},
        ),
        ("flag if name", {"anyOf": [properties(name={"maxLength": 0}), properties(flag={"const": True})]}),
    ],
)  # fmt: skip
def test_translation(compile_kcl: Compile, check: str, expected: dict[str, Any]) -> None:
    schema = compile_kcl(source(check)).documents["Subject"]
    assert translate(schema, schema.checks[0]) == expected


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("count > limit", "one attribute or computed value compared with another"),
        ("count + 1 > 3", "arithmetic"),
        ("count % 2 == 1", "arithmetic"),
        ("share % 2 == 0", "for an int"),
        ("count % -2 == 0", "positive whole divisor"),
        ('"a" in items', "a constant on the left of `in`"),
        ("count in []", "not empty"),
        ("count is None", "operator Is"),
        ('not name == "x"', "expected an attribute of Subject, found Unary"),  # KCL reads `(not name) == "x"`
        ("items == []", "is compared with"),
        ('count == "a"', "is int, but is compared with"),
        ("flag == 1", "is bool, but is compared with"),
        ("kind > 1", "unsupported operand"),
        ("mixed", "the truth of mixed"),
        ("len(name) > 2", "counts bytes"),
        ("len(name) == 1", "counts bytes"),
        ("len(items) > 1.5", "whole number"),
        ("abs(count) > 1", "only len()"),
        ("isunique(items)", "a call of isunique"),
        ('name.startswith("a")', "a call of"),
        (r'regex.match(name, "\\d")', "may mean different things"),
        ('regex.match(name, "a.b")', "may mean different things"),
        ('regex.match(name, "(?i)a")', "may mean different things"),
        ("regex.match(name, label)", "a call of regex.match"),
        ("extra > 1", "KCL raises an error when extra is absent"),
        ("len(note) > 0", "KCL raises an error when note is absent"),
        ("extra > 1 and extra", "KCL raises an error when extra is absent"),
        ("flag if extra > 1 and extra", "KCL raises an error when extra is absent"),
        ("inner.x > 1 if inner", "the truth of inner"),
        ("inner.x > 1", "expected an attribute of Subject, found inner.x"),
        ("all item in items { len(item) > 0 }", "expression Quant"),
        ("(count > 0 if flag else False)", "expression If"),
        ("lambda { True }()", "a call of"),
    ],
)
def test_refusal(compile_kcl: Compile, check: str, reason: str) -> None:
    text = source(check)
    line = next(number for number, each in enumerate(text.split("\n"), 1) if each.endswith('"message"'))
    with pytest.raises(GenerationError) as raised:
        schema = compile_kcl(text).documents["Subject"]
        translate(schema, schema.checks[0])
    assert str(raised.value).startswith(f"subject.k:{line}: ")
    assert reason in raised.value.reason
