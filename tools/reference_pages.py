"""Write the page of reason and error codes from the engine's own tables: `python -m tools.reference_pages write|check`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Mapping

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "codes.md"
INTRODUCTION = """\
# Codes

Every reason and every error carries a stable code in square brackets, in results, in the journal and in messages. This page is
written from the engine's own tables by `make generate`.
"""


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(ROOT / "plugins" / "module_utils"))
    reasons = importlib.import_module("vm_lifecycle.reasons")
    errors = importlib.import_module("vm_lifecycle.errors")
    parts = [
        INTRODUCTION,
        _section("Why a VM is removed, kept or waits", reasons.DECISIONS),
        _section("Why a disk goes or stays", reasons.VERDICTS),
        _section("Why a call is refused or a VM fails", errors.ERRORS),
    ]
    return "\n".join(parts)


def _section(title: str, table: Mapping[str, str]) -> str:
    rows = [f"## {title}\n", "| code | meaning |", "|---|---|"]
    rows += [f"| `{code}` | {meaning} |" for code, meaning in sorted(table.items())]
    return "\n".join(rows) + "\n"


def main(verb: str) -> int:
    """write the page, or check that it is as it would be written; returns an exit code."""
    text = page()
    if verb == "write":
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"drift: {PAGE.relative_to(ROOT)}; run make generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
