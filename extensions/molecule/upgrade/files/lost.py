"""What of one state (see state.py) is not in a later one, a line each. usage: lost.py EARLIER LATER

More may have come: rows, and keys of documents. What was there is there, and says the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def lost(earlier: object, later: object, where: str) -> list[str]:
    if isinstance(earlier, dict) and isinstance(later, dict):
        return [line for key, value in earlier.items() for line in lost(value, later.get(key), f"{where}.{key}")]
    return [] if earlier == later else [f"{where}: {earlier!r} became {later!r}"]


if __name__ == "__main__":
    earlier, later = (json.loads(Path(path).read_text("utf-8")) for path in sys.argv[1:])
    del earlier["version"]  # the store's own, which an upgrade is to change
    print("\n".join(lost(earlier, later, "state")))
