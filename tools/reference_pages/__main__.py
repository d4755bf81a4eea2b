"""`python -m tools.reference_pages write|check`: write the generated pages, or check pages and codes against the engine."""

from __future__ import annotations

import sys

from .codes import unexplained, unused
from .engine import ROOT, codes
from .pages import pages
from .prose import unknown_codes


def write() -> int:
    """Write every generated page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


def check() -> int:
    """Name every stale page, every code without a text, every text without a code, and every page that names neither."""
    found = [
        f"drift: {path.relative_to(ROOT)}; run make generate"
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    found += [*unexplained(codes()), *unused(codes()), *unknown_codes(codes())]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit({"write": write, "check": check}[sys.argv[1]]())
