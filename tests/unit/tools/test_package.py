"""Documents, their input variants and what is added to them."""

from __future__ import annotations

import pytest

from tests.unit.tools.conftest import Compile
from tools.kcl_compiler.documents import documents
from tools.kcl_compiler.errors import GenerationError


def schema(name: str, *attributes: str, check: str = "") -> str:
    lines = [f"schema {name}:", '    """', f"    {name}.", "", "    Attributes", "    ----------"]
    for attribute in attributes:
        declared, kind = attribute.split(" = ")[0].split(": ")
        lines += [f"    {declared.rstrip('?')} : {kind}", "        Text."]
    lines += ['    """', *(f"    {attribute}" for attribute in attributes)]
    if check:
        lines += ["    check:", f'        {check}, "{check}"']
    return "\n".join(lines) + "\n\n"


BASE = schema("Base", "name: str", "born: int", "size: int = 3", "ends?: int")


def test_an_input_variant_loses_what_is_recorded_and_eases_what_is_given_once(compile_kcl: Compile) -> None:
    package = compile_kcl(BASE + schema("BaseRecorded", "ends?: int") + schema("BaseGivenOnce", "born?: int"))
    assert list(package.documents) == ["Base"]
    variant = package.inputs["Base"]
    assert (variant.name, list(variant.attributes)) == ("BaseInput", ["name", "born", "size"])
    assert [name for name, each in variant.attributes.items() if each.required] == ["name"]
    assert [name for name, each in package.documents["Base"].attributes.items() if each.required] == ["name", "born"]
    assert sorted(documents(package)) == ["Base", "BaseInput"]


def test_lists_need_no_descriptions(compile_kcl: Compile) -> None:
    bare = 'schema BaseRecorded:\n    """\n    Recorded.\n    """\n    ends?: int\n'
    assert list(compile_kcl(BASE + bare).inputs) == ["Base"]


def test_added_options_belong_to_the_document_and_to_its_input_variant(compile_kcl: Compile) -> None:
    added = schema("BaseAdditional", "loud: bool = False", "hint?: str")
    package = compile_kcl(BASE + schema("BaseRecorded", "ends?: int") + added)
    assert {name: each.name for name, each in package.additional.items()} == {
        "Base": "BaseAdditional",
        "BaseInput": "BaseAdditional",
    }
    assert "loud" not in documents(package)["Base"]["properties"]


def test_inside_another_document_added_options_stand_beside_the_own_ones(compile_kcl: Compile) -> None:
    added = schema("BaseAdditional", "volume: int = 1", check="volume > 0")
    outer = documents(compile_kcl(BASE + added + schema("Outer", "base: Base")))["Outer"]
    inner = outer["definitions"]["Base"]
    assert list(inner["properties"]) == ["name", "born", "size", "ends", "volume"]
    assert inner["required"] == ["name", "born"]
    assert [each["x-kcl-message"] for each in inner["allOf"]] == ["volume > 0"]
    assert outer["properties"]["base"]["allOf"] == [{"$ref": "#/definitions/Base"}]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (schema("OtherRecorded", "ends?: int"), "there is no schema Other"),
        (schema("OtherGivenOnce", "ends?: int"), "there is no schema Other"),
        (schema("OtherAdditional", "ends?: int"), "there is no schema Other"),
        (schema("BaseRecorded", "stop?: int"), "Base has no attribute stop"),
        (schema("BaseRecorded", "ends?: str"), "ends has another type in Base"),
        (schema("BaseGivenOnce", "born?: str"), "born has another type in Base"),
        (schema("BaseGivenOnce", "born: int"), "born must be optional in BaseGivenOnce"),
        (schema("BaseRecorded", "ends?: int = 1", check="ends > 1"), "it cannot check them"),
        (schema("BaseRecorded", "born?: int") + schema("BaseGivenOnce", "born?: int"), "both recorded and given once"),
        (schema("BaseRecorded", "ends?: int") + schema("BaseInput", "a: int"), "BaseInput is generated"),
        (schema("BaseAdditional", "loud: bool"), "it must be optional"),
        (schema("BaseAdditional", "size: int = 3"), "Base has an attribute size already"),
        (schema("Outer", "inner?: BaseRecorded") + schema("BaseRecorded", "ends?: int"), "BaseRecorded is not a document"),
        (schema("Outer", "inner?: Outer"), "schema Outer holds Outer"),
    ],
)  # fmt: skip
def test_refusal(compile_kcl: Compile, more: str, reason: str) -> None:
    with pytest.raises(GenerationError, match=rf"^subject\.k:\d+: .*{reason}") as raised:
        compile_kcl(BASE + more)
    assert raised.value.location.line > BASE.count("\n")


def test_a_check_may_not_use_what_the_input_variant_lacks(compile_kcl: Compile) -> None:
    base = schema("Base", "born: int", "ends: int = 3", check="ends > 2")
    package = compile_kcl(base + schema("BaseRecorded", "ends?: int"))
    with pytest.raises(GenerationError, match="ends is not an attribute of BaseInput"):
        documents(package)
    package = compile_kcl(base.replace("ends > 2", "born > 2") + schema("BaseGivenOnce", "born?: int"))
    with pytest.raises(GenerationError, match="KCL raises an error when born is absent"):
        documents(package)
