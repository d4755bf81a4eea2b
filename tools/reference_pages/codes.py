"""Codes as the engine's source gives them: every literal that stands where a code is expected."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .engine import ENGINE, ROOT

#: Call -> which of its arguments is a code.
ARGUMENTS = {
    "refuse": 0,
    "Problem": 0,
    "EffectError": 0,
    "Declaration": 0,
    "Decision": 1,
    "AtBoot": 1,
    "Refusal": 1,
    "waits": 1,
    "VolumeVerdict": 2,
    "Entry": 3,
    "_purge": 3,
    "_left": 1,
}
#: Names of variables and keywords that hold a code.
NAMES = ("reason", "code")
#: Files whose functions return codes, alone or before their words.
RETURNING = (
    "policy/gate.py", "policy/disk_rules.py", "policy/storage.py", "policy/restart.py", "tasks/asking.py", "tasks/scope.py",
)  # fmt: skip
#: Files whose functions yield tuples that begin with a code.
YIELDING = ("policy/doctor.py",)
#: Tables of codes in the source.
TABLES = ("REFUSED", "UNFINISHED", "POSTPONING", "DOUBTS", "GONE", "LEFT")
#: What vm_persistence and vm_lifecycle_info say in the place of a reason: what was done, which explains itself.
DEEDS = frozenset(["declared", "forgotten", "held", "observed", "released", "renewed", "unchanged"])
#: Types of answers that are a code, or begin with one.
ANSWER = re.compile(r"str$|Tuple\[str, ")
SHAPE = re.compile(r"[a-z]+(_[a-z]+)*")
IN_TEXT = re.compile(r"\[([a-z]+(?:_[a-z]+)+)\]")


def unexplained(known: frozenset[str], sources: dict[str, str] | None = None) -> list[str]:
    """Codes of the source that no table has a text for. sources: path below the engine -> text."""
    return [
        f"{path}:{line}: no text explains the code {code}"
        for path, source in (sources or _sources()).items()
        for code, line in _found(path, source)
        if code not in known | DEEDS
    ]


def unused(known: frozenset[str], sources: dict[str, str] | None = None) -> list[str]:
    """Texts for codes that no source gives in any place. (That each occurs in a result is held by the scenarios.)"""
    given = {code for source in (sources or _sources()).values() for code in _words(source)}
    return [f"reasons, findings or errors: nothing gives the code {code}" for code in sorted(known - given)]


def _sources() -> dict[str, str]:
    skipped = ("reasons.py", "reasons_order.py", "reasons_limits.py", "findings.py", "errors.py")
    paths = [
        path for path in sorted(ENGINE.rglob("*.py")) if path.name not in skipped and "_generated" not in path.parts
    ]
    shell = ROOT / "plugins" / "module_utils" / "module.py"
    return {_label(path): path.read_text(encoding="utf-8") for path in [*paths, shell]}


def _label(path: Path) -> str:
    return str(path.relative_to(ENGINE)) if path.is_relative_to(ENGINE) else path.name


def _found(path: str, source: str) -> Iterator[tuple[str, int]]:
    """Every code with its line."""
    for node in ast.walk(ast.parse(source)):
        for value in _places(path, node):
            yield from ((code, value.lineno) for code in _literals(value) if SHAPE.fullmatch(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((code, node.lineno) for code in IN_TEXT.findall(node.value))


def _words(source: str) -> Iterator[str]:
    """Every literal, and every code within one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from [node.value, *IN_TEXT.findall(node.value)]


def _places(path: str, node: ast.AST) -> Iterator[ast.expr]:
    """Expressions whose value is a code."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        position = ARGUMENTS.get(name)
        if position is not None and len(node.args) > position:
            yield node.args[position]
        yield from (keyword.value for keyword in node.keywords if keyword.arg in NAMES)
    elif isinstance(node, ast.Assign):
        yield from _assigned(node)
    elif isinstance(node, ast.Yield) and path in YIELDING and node.value is not None:
        yield node.value
    elif isinstance(node, ast.FunctionDef) and path in RETURNING and _answers(node):
        yield from (step.value for step in ast.walk(node) if isinstance(step, ast.Return) and step.value is not None)


def _answers(node: ast.FunctionDef) -> bool:
    return node.returns is not None and ANSWER.match(ast.unparse(node.returns)) is not None


def _assigned(node: ast.Assign) -> Iterator[ast.expr]:
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=False)
            yield from (value for name, value in pairs if isinstance(name, ast.Name) and name.id in NAMES)
        elif isinstance(target, ast.Name) and target.id in NAMES:
            yield node.value
        elif isinstance(target, ast.Name) and target.id in TABLES:
            yield from (node.value.elts if isinstance(node.value, ast.Tuple) else [])
            yield from (node.value.values if isinstance(node.value, ast.Dict) else [])


def _literals(value: ast.expr) -> Iterator[str]:
    """Literals that the expression may be: through conditions, alternatives, and as the first of several values."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from [*_literals(value.body), *_literals(value.orelse)]
    elif isinstance(value, ast.BoolOp):
        yield from (code for part in value.values for code in _literals(part))
    elif isinstance(value, ast.Tuple) and value.elts:
        yield from _literals(value.elts[0])
