"""The schemas that the project was asked for are unchanged but for their docstrings and comments."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import kcl_lib.api as kcl

SOURCE = pathlib.Path(__file__).resolve().parents[3] / "schemas" / "vm_lifecycle.k"
# Of the syntax tree of the file as it was given, without positions, docstrings and comments.
GIVEN = "4c21d21203dd7f3d5c7a69fdef77ebee80e1df6f8c472d742c8237f90bba5caa"
_LEFT_OUT = ("filename", "line", "column", "end_line", "end_column", "doc")


def digest(path: pathlib.Path) -> str:
    tree = json.loads(kcl.API().parse_file(kcl.ParseFileArgs(path=str(path))).ast_json)

    def normal(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: normal(value) for key, value in node.items() if key not in _LEFT_OUT}
        return [normal(each) for each in node] if isinstance(node, list) else node

    return hashlib.sha256(json.dumps(normal(tree["body"]), sort_keys=True).encode()).hexdigest()


def test_attributes_defaults_and_checks_are_as_given() -> None:
    assert digest(SOURCE) == GIVEN


def test_the_digest_sees_any_change_but_text(tmp_path: pathlib.Path) -> None:
    source, changed = SOURCE.read_text(), tmp_path / "changed.k"
    for before, after, same in (
        ("ttl_hours: int = 24", "ttl_hours: int = 25", False),
        ("ttl_hours <= 8760", "ttl_hours <= 8761", False),
        ("scheduled_cleanup?: int", "scheduled_cleanup: int", False),
        ("1-8760 hours", "1-8761 hours", False),
        ("# Time to live", "# Time left to live", True),
        ("Whether the VM lives", "Whether a VM lives", True),
    ):
        assert before in source
        changed.write_text(source.replace(before, after, 1))
        assert (digest(changed) == GIVEN) is same, before
