"""Reading KCL: what is understood, and what is refused with file and line."""

from __future__ import annotations

import pathlib

import pytest

from tests.unit.tools.conftest import Compile
from tools.kcl_compiler.errors import GenerationError
from tools.kcl_compiler.loader import load
from tools.kcl_compiler.model import Type

WHOLE = '''type Mode = "x" | "y"
schema Part:
    """
    A part.

    Attributes
    ----------
    size : int
        Its size.
    """
    size: int = 2 * 24

schema Whole:
    """
    The whole.
    In one sentence.

    More of it.

    Attributes
    ----------
    mode : Mode
        Its mode, which
        takes two lines.
    parts : [Part]
        All parts.
    table : {str:float}
        A table.
    anything : any
        Anything.
    version : 1
        The version.

    Examples:
    Whole {mode = "x"}
    """
    mode: Mode = "x"
    parts: [Part]
    table?: {str:float}
    anything?: any
    version: 1

    check:
        mode == "x" or \\
            mode == "y", "a message"
'''


def test_what_is_read(compile_kcl: Compile) -> None:
    package = compile_kcl(WHOLE)
    whole, part = package.documents["Whole"], package.documents["Part"]
    literals = (Type("literal", value="x"), Type("literal", value="y"))
    assert whole.description == "The whole. In one sentence.\n\nMore of it."
    assert whole.attributes["mode"].type == Type("union", members=literals)
    assert whole.attributes["mode"].description == "Its mode, which takes two lines."
    assert whole.attributes["parts"].type == Type("list", item=Type("schema", schema="Part"))
    assert whole.attributes["table"].type == Type("dict", item=Type("float"))
    assert whole.attributes["version"].type == Type("literal", value=1)
    assert [name for name, each in whole.attributes.items() if each.required] == ["parts", "version"]
    assert part.attributes["size"].default == 48
    (check,) = whole.checks
    assert (check.text, check.message) == ('mode == "x" or mode == "y"', "a message")
    assert str(check.location) == "subject.k:44"


SUBJECT = '''schema Subject:
    """
    A subject.

    Attributes
    ----------
    name : str
        Its name.
    """
    name: str
'''


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("        Its name.\n", "", 9, "Subject.name has no description"),
        ("    name : str\n        Its name.\n", "", 8, "Subject.name has no description"),
        ("name : str", "name : int", 7, "name is described as int, but it is str"),
        ("        Its name.\n", "        Its name.\n    title : str\n        A title.\n", 9, "Subject has no attribute title"),
        ("name : str", "name", 7, "expected one `name : type`"),
        ("    A subject.\n\n", "", 1, "Subject has no docstring"),
        ("    name: str\n", "    name: str = = 3\n", 10, "expected one of"),
        ("    name: str\n", "    name: str = 3\n", 10, "expected str, got int"),
        ("    name: str\n", "    name: Missing\n", 10, "name 'Missing' is not defined"),
        ("    name: str\n", "    @deprecated()\n    name: str\n", 10, "not a decorator"),
        ("    name: str\n", "    name: str\n    other = 1\n", 11, "only plain attributes can be translated"),
        ("    name: str\n", "    name: str\n    [...str]: str\n", 1, "index_signature cannot be translated"),
        ("    name: str\n", "    name: str = option(\"a\") or \"b\" + str(c)\n", 10, "name 'c' is not defined"),
        ("    name: str\n", "    name: str\n    check:\n        name\n", 12, "a check needs a message"),
        ("    name: str\n", '    name: str\n    check:\n        name, "a${name}"\n', 12, "a check needs a message"),
        ("schema Subject:", "schema Subject[size: int]:", 1, "args cannot be translated"),
        ("    name: str\n", "    name: str\n\nanswer = 42\n", 12, "only schemas"),
    ],
)  # fmt: skip
def test_refusal(compile_kcl: Compile, before: str, after: str, line: int, reason: str) -> None:
    assert before in SUBJECT
    with pytest.raises(GenerationError) as raised:
        compile_kcl(SUBJECT.replace(before, after, 1))
    assert str(raised.value).startswith(f"subject.k:{line}: ")
    assert reason in raised.value.reason


@pytest.mark.parametrize(
    ("kind", "default", "reason"),
    [
        ("[str]", ' = ["a"]', "must be a scalar, an empty list or an empty dict"),
        ("{int:str}", "", "a dict with keys of type int"),
        ("int", " = 1 + len(first)", "is not a constant"),
    ],
)
def test_refused_types_and_defaults(compile_kcl: Compile, kind: str, default: str, reason: str) -> None:
    text = SUBJECT.replace("name : str", f"name : {kind}").replace("name: str", f"name: {kind}{default}")
    if "first" in default:
        text = text.replace("    name : int", "    first : str\n        First.\n    name : int")
        text = text.replace("    name: int", '    first: str = "a"\n    name: int')
    with pytest.raises(GenerationError, match=reason) as raised:
        compile_kcl(text)
    assert raised.value.location.line == len(text.strip().split("\n"))


def test_inheritance_is_refused(compile_kcl: Compile) -> None:
    child = SUBJECT.replace("schema Subject", "schema Child(Subject)").replace("name", "title")
    with pytest.raises(GenerationError, match=r"subject\.k:12: schema Child: parent_name"):
        compile_kcl(f"{SUBJECT}\n{child}")


def test_files_of_one_package_know_each_other(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.k").write_text(SUBJECT)
    second = SUBJECT.replace("schema Subject", "schema Second").replace("name : str", "name : Subject")
    (tmp_path / "two.k").write_text(second.replace("name: str", "name: Subject"))
    schemas = load([str(tmp_path / "one.k"), str(tmp_path / "two.k")], str(tmp_path))
    assert list(schemas) == ["Subject", "Second"]
    assert schemas["Second"].attributes["name"].type == Type("schema", schema="Subject")
    assert str(schemas["Second"].location) == "two.k:1"


def test_an_error_in_the_second_file_is_found_there(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.k").write_text(SUBJECT)
    (tmp_path / "two.k").write_text(SUBJECT.replace("Subject", "Second").replace("name: str", "name: str = 1"))
    with pytest.raises(GenerationError, match=r"^two\.k:10: expected str"):
        load([str(tmp_path / "one.k"), str(tmp_path / "two.k")], str(tmp_path))
