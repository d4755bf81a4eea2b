"""RETURN blocks against results: what scenarios return is described, what is described is returned by some scenario."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from vm_lifecycle.extent import bounded

from tests.scenarios.player import Call, directories, load, play
from tools.reference_pages.engine import ROOT

MODULES = ("vm_autostart", "vm_cleanup", "vm_lifecycle_info", "vm_persistence")
#: Keys of every module's result, which Ansible describes; and what module.py takes away before it leaves.
COMMON = {"changed", "failed", "diff", "warnings", "alert"}
TYPES = {"str": str, "bool": bool, "int": int, "float": (int, float), "dict": dict, "list": list}


@cache
def block(module: str) -> dict[str, Any]:
    """The RETURN block."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN":
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise LookupError(module)


def described(fields: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field with its path."""
    for name, field in fields.items():
        yield f"{place}{name}", field
        yield from described(field.get("contains", {}), f"{place}{name}.")


def returned(value: Any, fields: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a result with its path; items of a list share one. What is described in words only is not looked into."""
    for item in value if isinstance(value, list) else [value]:
        for name, inner in item.items() if isinstance(item, dict) else ():
            yield f"{place}{name}", inner
            yield from (
                returned(inner, fields[name]["contains"], f"{place}{name}.")
                if "contains" in fields.get(name, {})
                else ()
            )


@cache
def results(module: str) -> list[dict[str, Any]]:
    """What every scenario's calls of the module return, but for refusals."""
    return [call.outcome for call in calls() if call.step["task"] == module and "vms" in call.outcome]


@cache
def calls() -> list[Call]:
    """Every call of every scenario."""
    return [call for directory in directories() for call in play(*load(directory), [])]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_returned_is_described(module: str) -> None:
    """With its type; null has none."""
    fields = dict(described(block(module)))
    wrong = set()
    for result in results(module):
        own = {key: value for key, value in result.items() if key not in COMMON}
        for path, value in returned(own, block(module)):
            if path not in fields:
                wrong.add(f"{path} is not described")
            elif value is not None and not isinstance(value, TYPES[fields[path]["type"]]):
                wrong.add(f"{path} is {value!r}, and {fields[path]['type']} is described")
    assert sorted(wrong) == []


@pytest.mark.parametrize("module", MODULES)
def test_what_is_described_is_returned(module: str) -> None:
    """By some scenario, cut short as it is for a caller who wants no more than one row; problems come with a refusal."""
    cut = [bounded(result, 1) for result in results(module)]
    seen = {path for result in [*results(module), *cut] for path, _value in returned(result, block(module))}
    assert sorted(set(dict(described(block(module)))) - seen - {"problems"}) == []


@pytest.mark.parametrize("module", MODULES)
def test_what_is_always_returned_is(module: str) -> None:
    """Fields of rows, and of objects within them."""
    wrong = set()
    for path, field in described(block(module)):
        for result in results(module):
            for whole in parents(result, path.split(".")[:-1]):
                if field["returned"] == "always" and path.split(".")[-1] not in whole:
                    wrong.add(path)
    assert sorted(wrong) == []


def parents(value: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    """Every object at a path."""
    for item in value if isinstance(value, list) else [value]:
        if not path and isinstance(item, dict):
            yield item
        elif isinstance(item, dict):
            yield from parents(item.get(path[0]), path[1:])


def test_modules_describe_a_vm_alike() -> None:
    """vm_persistence, vm_autostart and vm_lifecycle_info return the same description of a VM."""
    one = block("vm_persistence")["vms"]["contains"]
    for module in ("vm_autostart", "vm_lifecycle_info"):
        other = block(module)["vms"]["contains"]
        shared = set(one) & set(other) - {"changed"}
        assert {"persistence", "autostart", "hold", "scheduled_cleanup_at", "unenforced"} <= shared
        assert [name for name in sorted(shared) if one[name]["description"] != other[name]["description"]] == []
