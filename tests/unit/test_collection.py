"""Rules that hold for the collection as a whole: budgets, the engine's import table, and words that stay out.

Each rule is a function from a path and a text to findings, so that a planted violation shows that it can fail.
"""

from __future__ import annotations

import ast
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from vm_lifecycle._generated import argument_specs

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = "plugins/module_utils/vm_lifecycle/"

MODULE_CODE_LINES = 15
FUNCTION_LINES = 40
FILE_LINES = 300

DOCUMENTATION_NAMES = {"DOCUMENTATION", "EXAMPLES", "RETURN"}

# Written in two halves, so that this file does not hold them.
FORBIDDEN_WORDS = ["/wor" + "k/", "/opt/" + "pypi", "clau" + "de", "anthro" + "pic", "chat" + "gpt", "copi" + "lot"]

# Decisions are pure: they reach no system, and time is an argument.
PURE = ("model.py", "plan.py", "actions.py", "policy/")
IMPURE_IMPORTS = {
    "ansible",
    "importlib",
    "libvirt",
    "libvirt_qemu",
    "os",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "time",
}
CLOCK_METHODS = {"now", "utcnow", "today"}
# {import: the parts of the engine that may use it}; `time` in the shells alone, as the engine's clock is a port.
CONFINED_IMPORTS = {
    "libvirt": ("adapters/libvirt/",),
    "libvirt_qemu": ("adapters/libvirt/",),
    "os": ("adapters/", "agent/"),
    "socket": ("adapters/", "agent/"),
    "sqlite3": ("adapters/", "agent/"),
    "subprocess": ("adapters/", "agent/"),
    "time": ("adapters/", "agent/"),
    "ansible": (),
}
ANSIBLE_SHELL = (
    "plugins/module_utils/module.py",
    "plugins/modules/",
    "plugins/action/",
    "plugins/inventory/",
    "plugins/lookup/",
)


def repository_files() -> list[str]:
    """Paths of the files that are committed, or would be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in output.split("\0") if path and (ROOT / path).is_file())


def is_generated(path: str) -> bool:
    return "/_generated/" in path or pathlib.PurePath(path).name.startswith("generated_")


def python_sources(*folders: str) -> dict[str, str]:
    """{path: text} of the hand-written Python files below the folders."""
    return {
        path: (ROOT / path).read_text()
        for path in repository_files()
        if path.endswith(".py") and path.startswith(folders) and not is_generated(path)
    }


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


def long_functions(path: str, source: str) -> list[str]:
    """Functions over the budget; their docstrings are free."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
            if lines > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    return found


def code_lines(source: str) -> int:
    """Lines of a module without its documentation, blank lines and comments."""
    documentation: set[int] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if names & DOCUMENTATION_NAMES:
                documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for n, line in lines if n not in documentation and line.strip() and not line.strip().startswith("#"))


def long_files(path: str, source: str) -> list[str]:
    """A module is documentation and one call; any other file keeps to the budget."""
    if path.startswith("plugins/modules/"):
        lines, budget = code_lines(source), MODULE_CODE_LINES
    else:
        lines, budget = len(source.splitlines()), FILE_LINES
    return [f"{path}: {lines} lines, {budget} allowed"] if lines > budget else []


def forbidden_words(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {word}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in FORBIDDEN_WORDS
        if word in line.lower()
    ]


def imported_names(source: str) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of each absolute import, also in functions and under `if TYPE_CHECKING:`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            yield node.lineno, "importlib"


def impure_imports(path: str, source: str) -> list[str]:
    return [f"{path}:{line}: imports {name}" for line, name in imported_names(source) if name in IMPURE_IMPORTS]


def clock_reads(path: str, source: str) -> list[str]:
    """Calls like datetime.now(); a time of day, datetime.time(22, 0), is a value and not a clock."""
    return [
        f"{path}:{node.lineno}: calls {node.func.attr}()"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_METHODS
    ]


def misplaced_imports(path: str, source: str) -> list[str]:
    """Imports that belong to another part of the engine, or to the Ansible shell."""
    found = []
    for line, name in imported_names(source):
        if path.startswith(ENGINE):
            allowed = name not in CONFINED_IMPORTS or path[len(ENGINE) :].startswith(CONFINED_IMPORTS[name])
        else:
            allowed = name != "ansible" or path.startswith(ANSIBLE_SHELL)
        if not allowed:
            found.append(f"{path}:{line}: imports {name}")
    return found


def relative_imports(path: str, source: str, known: set[str]) -> set[str]:
    """Paths of the engine's own files that a file of it imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        package = pathlib.PurePosixPath(path).parents[node.level - 1]
        base = package.joinpath(*node.module.split(".")) if node.module else package
        candidates = [base, *(base / alias.name for alias in node.names)]
        found.update(f"{each}.py" for each in candidates if f"{each}.py" in known)
    return found


def pure_files(sources: dict[str, str]) -> set[str]:
    """The files that decide, and every file of the engine that they reach: a detour is an import too."""
    reached: set[str] = set()
    pending = {path for path in sources if path.startswith(tuple(ENGINE + part for part in PURE))}
    while pending:
        path = pending.pop()
        reached.add(path)
        pending |= relative_imports(path, sources[path], set(sources)) - reached
    return reached


@pytest.fixture(scope="module")
def engine() -> dict[str, str]:
    sources = python_sources(ENGINE)
    assert sources, "no engine found: the rules below would hold for nothing"
    return sources


def test_functions_and_files_keep_to_their_budgets() -> None:
    sources = python_sources("plugins/", "tools/")
    assert [found for path, text in sources.items() for found in long_functions(path, text)] == []
    assert [found for path, text in sources.items() for found in long_files(path, text)] == []


def test_decisions_reach_no_system_and_read_no_clock(engine: dict[str, str]) -> None:
    pure = pure_files(engine)
    assert any(path.startswith(f"{ENGINE}policy/") for path in pure)
    assert [found for path in sorted(pure) for found in impure_imports(path, engine[path])] == []
    assert [found for path in sorted(pure) for found in clock_reads(path, engine[path])] == []


def test_each_import_has_its_place() -> None:
    sources = python_sources("plugins/")
    assert [found for path, text in sources.items() for found in misplaced_imports(path, text)] == []


def test_no_file_holds_a_forbidden_word() -> None:
    found = []
    for path in repository_files():
        try:
            found += forbidden_words(path, (ROOT / path).read_text())
        except UnicodeDecodeError:
            continue
    assert found == []


def test_every_module_with_an_uri_is_in_the_action_group() -> None:
    """What people give as default of the group is the URI; a module without it would fail of that."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    modules = {pathlib.PurePath(path).stem for path in python_sources("plugins/modules/")} - {"__init__"}
    without = {"vm_lifecycle_agent", "vm_lifecycle_report"}
    assert set(runtime["action_groups"]["all"]) == modules - without
    for module in modules - without:
        assert "uri" in getattr(argument_specs, module.upper())


def test_shipped_python_names_its_licence_first() -> None:
    sources = python_sources("plugins/")
    lacking = [path for path, text in sources.items() if "SPDX-License-Identifier: GPL-3.0-or-later" not in text[:400]]
    assert lacking == []


PLANTED_FUNCTION = "def long():\n" + "    x = 1\n" * FUNCTION_LINES
DOCUMENTED_FUNCTION = 'def short():\n    """One.\n' + "\n" * FUNCTION_LINES + '    """\n    return 1\n'
DOCUMENTED_MODULE = 'DOCUMENTATION = r"""\n' + "text\n" * 50 + '"""\n# a comment\nimport os\n'
POLICY = ENGINE + "policy/planted.py"


def test_planted_budget_violations_are_found() -> None:
    assert long_functions("p.py", PLANTED_FUNCTION) == ["p.py:1: long has 41 lines"]
    assert long_functions("p.py", DOCUMENTED_FUNCTION) == []
    assert long_files("tools/p.py", "x = 1\n" * 301) == ["tools/p.py: 301 lines, 300 allowed"]
    assert code_lines(DOCUMENTED_MODULE) == 1
    assert long_files("plugins/modules/p.py", DOCUMENTED_MODULE + "x = 1\n" * 15) != []


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import os.path as p",
        "from time import time",
        "def f():\n    import subprocess",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import libvirt",
        "from ansible.module_utils.basic import AnsibleModule",
        "x = __import__('socket')",
    ],
)
def test_planted_impure_import_is_found(source: str) -> None:
    assert len(impure_imports(POLICY, source)) == 1


def test_planted_clock_reads_are_found() -> None:
    assert clock_reads(POLICY, "from datetime import datetime\nx = datetime.now()") == [f"{POLICY}:2: calls now()"]
    assert clock_reads(POLICY, "import datetime\nx = datetime.date.today()") != []
    assert clock_reads(POLICY, "import datetime\nx = datetime.time(22, 0)") == []


def test_planted_detour_to_the_system_is_found() -> None:
    sources = {
        POLICY: "from ..helper import now",
        ENGINE + "helper.py": "from . import deeper",
        ENGINE + "deeper.py": "import time",
        ENGINE + "unused.py": "import os",
    }
    reached = pure_files(sources)
    assert reached == {POLICY, ENGINE + "helper.py", ENGINE + "deeper.py"}
    assert [found for path in reached for found in impure_imports(path, sources[path])] != []


@pytest.mark.parametrize(
    ("path", "source", "allowed"),
    [
        ("adapters/libvirt/connection.py", "import libvirt", True),
        ("adapters/linux_host.py", "import libvirt", False),
        ("adapters/sqlite_store.py", "import sqlite3", True),
        ("agent/main.py", "import subprocess", True),
        ("run.py", "import socket", False),
        ("run.py", "import json", True),
        ("adapters/linux_host.py", "from ansible.module_utils.common.text.converters import to_text", False),
    ],
)
def test_planted_misplaced_import_is_found(path: str, source: str, allowed: bool) -> None:
    assert (misplaced_imports(ENGINE + path, source) == []) is allowed


def test_ansible_is_imported_by_its_shell_alone() -> None:
    source = "from ansible.module_utils.basic import AnsibleModule"
    assert misplaced_imports("plugins/module_utils/module.py", source) == []
    assert misplaced_imports("plugins/modules/vm_cleanup.py", source) == []
    assert misplaced_imports("plugins/module_utils/helper.py", source) != []


def test_planted_word_is_found() -> None:
    for word in FORBIDDEN_WORDS:
        assert forbidden_words("p", f"a\n{word.upper()}x") == [f"p:2: {word}"]
