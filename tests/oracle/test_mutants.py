"""The proof is sensitive: a schema that differs from the seed in one place is told apart from it by the documents.

Each mutant of the source is compiled and judges a corpus whose verdicts KCL gave for the original; its defaults are held
against those that KCL fills in. A mutant that agrees on all of it must be listed below, with the reason why no document
can tell it apart. One that the compiler refuses is noticed too.
"""

from __future__ import annotations

import pathlib
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from vm_lifecycle import schema as judge
from vm_lifecycle._generated.schemas import SCHEMAS

from tests.oracle import kcl_judge
from tests.oracle.generators import Document, Generator, systematic
from tools.kcl_compiler.documents import defaults, documents, stripped
from tools.kcl_compiler.errors import GenerationError
from tools.kcl_compiler.loader import load
from tools.kcl_compiler.outputs import read_package
from tools.kcl_compiler.package import organise

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "schemas" / "vm_lifecycle.k").read_text()
PACKAGE = read_package(str(ROOT))
SEED = 3
RANDOM_DOCUMENTS = 1000

_OPERATORS = [
    (">=", ">"), ("<=", "<"), (" > ", " >= "), (" and ", " or "), (" or ", " and "), ("not (", "("),
    ("and not ", "and "), ("!=", "=="), ("== ", "!= "), (" in ", " not in "),
]  # fmt: skip

EQUIVALENT = {
    (
        "VmRecoveryState",
        'state_before_shutdown?: "running" | "stopped" | "paused"',
    ): "the check that it is one of the three states fails when it is absent, so it stays required",
    ("VmRecoveryState", 'True, "Invalid shutdown state"'): "its type allows the same three states",
    ("VmAutoStartConfig", 'True, "Invalid start failure policy"'): "its type allows the same three values",
}


@dataclass(frozen=True)
class Mutant:
    schema: str
    line: int
    text: str


@dataclass(frozen=True)
class Reference:
    """What KCL makes of the original: documents with its verdicts, and its defaults."""

    judged: list[tuple[Document, bool]]
    defaults: Document


def mutants() -> list[Mutant]:
    """Every change of one line of the source that the rules below know."""
    lines, found = SOURCE.split("\n"), []
    schema, in_checks, in_docstring = "", False, False
    for number, line in enumerate(lines):
        if line.strip() == '"""':
            in_docstring = not in_docstring
        if in_docstring or line.strip().startswith(("#", '"""')):
            continue
        heading = re.match(r"schema (\w+):", line)
        if heading:
            schema, in_checks = heading.group(1), False
        elif line.strip() == "check:":
            in_checks = True
        elif line.strip():
            changed = changed_check(line) if in_checks else changed_attribute(line)
            found += [Mutant(schema, number, text) for text in dict.fromkeys(changed) if text != line]
    return found


def changed_check(line: str) -> Iterator[str]:
    expression, message = line.rsplit(', "', 1)
    for before, after in _OPERATORS:
        if before in expression:
            yield f'{expression.replace(before, after, 1)}, "{message}'
    for number in re.finditer(r"\b\d+\b", expression):
        for step in (1, -1):
            yield f'{expression[: number.start()]}{int(number.group()) + step}{expression[number.end() :]}, "{message}'
    yield f'        True, "{message}'


def changed_attribute(line: str) -> Iterator[str]:
    declaration, _equals, default = line.partition(" = ")
    if default in ("True", "False"):
        yield f"{declaration} = {'False' if default == 'True' else 'True'}"
    elif default.isdigit():
        yield f"{declaration} = {int(default) + 1}"
    if ": int" in line:
        yield declaration.replace(": int", ": str")
        yield line.replace(": int", ": float")
    if "?:" in line:
        yield line.replace("?:", ":")
    elif default:
        yield declaration
    else:
        yield line.replace(":", "?:", 1)
    literals = re.findall(r'"[\w-]+"', declaration)
    if len(literals) > 1:
        last = declaration.replace(f" | {literals[-1]}", "")
        yield f"{last} = {literals[0]}" if default else last
        if default:
            others = [literal for literal in literals if literal != default]
            yield f"{declaration} = {others[0]}"


def reference(name: str) -> Reference:
    generator = Generator(random.Random(f"{SEED} {name}"), PACKAGE, name)
    valid = next(document for document in iter(generator.document, None) if not judge.violations(name, document))
    together = [names for names in map(judge._attributes, SCHEMAS[name].get("allOf", [])) if len(names) > 1]
    found = generator.documents(RANDOM_DOCUMENTS) + list(systematic(generator, valid, together))
    verdicts = kcl_judge.verdicts(SOURCE, name, found)
    sparse = {key: value for key, value in valid.items() if PACKAGE.documents[name].attributes[key].required}
    (complete,) = kcl_judge.completed(SOURCE, name, [sparse])
    return Reference(
        [(document, verdict == "ok") for document, verdict in zip(found, verdicts, strict=True)],
        {key: value for key, value in complete.items() if key not in sparse},
    )


def survives(mutant: Mutant, path: pathlib.Path, original: Reference) -> bool:
    """Raises GenerationError for a mutant that does not compile."""
    lines = SOURCE.split("\n")
    lines[mutant.line] = mutant.text
    declared = re.match(r"    (\w+)\??: ([^=]+?)(?: = .*)?$", mutant.text)
    if declared:  # the docstring must follow a changed type, or the compiler refuses it
        name, kind = declared.groups()
        described = max(i for i, line in enumerate(lines[: mutant.line]) if line.startswith(f"    {name} : "))
        lines[described] = f"    {name} : {kind}"
    path.write_text("\n".join(lines))
    package = organise(load([str(path)], str(path.parent)))
    if defaults(package)[mutant.schema] != original.defaults:
        return False
    shape = stripped(documents(package))[mutant.schema]
    return all((not judge.judge(shape, document)) == accepted for document, accepted in original.judged)


def test_every_mutant_of_the_seed_is_killed_or_known(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.perf_counter()
    originals = {name: reference(name) for name in {mutant.schema for mutant in mutants()}}
    survived: set[tuple[str, str]] = set()
    refused = 0
    for mutant in mutants():
        try:
            if survives(mutant, tmp_path / "mutant.k", originals[mutant.schema]):
                survived.add((mutant.schema, mutant.text.strip()))
        except GenerationError:
            refused += 1
    total = len(mutants())
    with capsys.disabled():
        print(
            f"\noracle: {total} mutants, {total - len(survived) - refused} killed, {refused} refused by the compiler, "
            f"{len(survived)} equivalent, {time.perf_counter() - started:.1f} s"
        )
    assert survived == set(EQUIVALENT), sorted(survived ^ set(EQUIVALENT))
    assert total > 150
    assert refused < total / 5
