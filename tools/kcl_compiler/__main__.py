"""python -m tools.kcl_compiler write|check, from the root of the repository."""

from __future__ import annotations

import argparse
import sys

from . import outputs
from .errors import GenerationError


def main(arguments: list[str] | None = None) -> int:
    """0: done, nothing drifted; 1: `check` found drift; 2: the sources cannot be compiled."""
    parser = argparse.ArgumentParser(prog="python -m tools.kcl_compiler", description=__doc__)
    parser.add_argument("verb", choices=["write", "check"], help="write the generated files, or only compare them")
    parser.add_argument("--root", default=".", help="root of the repository")
    chosen = parser.parse_args(arguments)
    try:
        changed = outputs.write(chosen.root) if chosen.verb == "write" else outputs.drifted(chosen.root)
    except GenerationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path, reason in changed.items():
        print(f"written: {path} (was {reason})" if chosen.verb == "write" else f"drift: {path}: {reason}")
    return 1 if changed and chosen.verb == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
