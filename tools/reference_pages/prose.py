"""Codes that documentation pages name: each has to exist, or a reader looks for what nobody says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .engine import ENGINE, ROOT, module

#: Pages for readers, by pattern.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "roles/*/README.md")
#: A word in code marks that could be a code, since it has an underscore. (Codes of one word can't be told from other words.)
MARKED = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")
#: A code in brackets, as results print it; `ignore: [expiry]` is a list and no code.
PRINTED = re.compile(r"(?<!: )(?<!\w)\[([a-z]+(?:_[a-z]+)*)(?:, used by [^\]]*)?\](?!\()")
#: Blocks that show what a host or a command prints.
BLOCK = re.compile(r"^```(?:text|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Ansible's own words.
ANSIBLE = frozenset(["ansible_host", "become", "group_vars", "import_role", "set_stats", "tasks_from"])
#: An identifier of the project's own files: options, results, functions, names of files.
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def unknown_codes(known: frozenset[str], texts: Mapping[str, str] | None = None) -> list[str]:
    """What pages name that looks like a code, and is neither one nor the name of anything else. texts: path -> page."""
    texts = _texts() if texts is None else texts
    names = known | _names()
    found = [
        f"{path}:{line}: {word} is no code, and no other name either"
        for path, text in texts.items()
        for word, line in _named(text)
        if word not in names
    ]
    return [*found, *_printed(known, texts)]


def _named(text: str) -> Iterator[tuple[str, int]]:
    for match in MARKED.finditer(text):
        yield match.group(1), text.count("\n", 0, match.start()) + 1


def _printed(known: frozenset[str], texts: Mapping[str, str]) -> list[str]:
    """Codes in samples of output are codes, whatever else has their name."""
    return [
        f"{path}: a sample prints [{word}], which is no code"
        for path, text in texts.items()
        for block in BLOCK.findall(text)
        for word in PRINTED.findall(block)
        if word not in known
    ]


def _texts() -> dict[str, str]:
    paths = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def _names() -> set[str]:
    """Every name that a page may speak of, but for codes: options, fields of results and events, variables of roles and playbooks."""
    own = ("plugins/modules", "plugins/inventory", "playbooks", "roles", "extensions/eda", "tests/bench")
    places = [ENGINE / "_generated", *(ROOT / name for name in own)]
    names = {path.name for folder in ("tests", "plugins") for path in (ROOT / folder).iterdir()} | ANSIBLE
    for place in places:
        for path in place.rglob("*"):
            if path.suffix in (".py", ".yml", ".j2"):
                names |= set(IDENTIFIER.findall(path.read_text(encoding="utf-8")))
    names |= set(module("tasks.notify").event(module("removals").Notice("", "", "", "", "", 0)))
    return names
