"""The command that is installed finds what it imports: a host gets the modules that came along, and only what is imported comes along."""

from __future__ import annotations

import ast
import inspect

from vm_lifecycle.agent import installation


def imported(source: str) -> set[str]:
    """Names of modules of the agent that a source imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").startswith("vm_lifecycle.agent.")
        ):
            found.add((node.module or "").rsplit(".", 1)[1])
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is None:
            found.update(each.name for each in node.names)
    return found


def test_what_the_command_imports_comes_along() -> None:
    command = imported(installation.COMMAND.format(interpreter="python3", current="/x", name="vm_lifecycle"))
    assert command == {"sparing", "cli"}
    assert command <= imported(inspect.getsource(installation))
