# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as people and records write them: ISO 8601 in UTC with Z."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import Optional


@lru_cache(maxsize=16384)  # VMs that were declared together share their times
def iso(epoch: Optional[float]) -> Optional[str]:
    """Epoch seconds as 2026-11-22T15:00:00Z; None stays None."""
    if epoch is None:
        return None
    return datetime.fromtimestamp(int(epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: object) -> float:
    """Epoch seconds of a time that iso wrote; 0.0 for anything else, since a store may be damaged."""
    value = str(text)
    try:
        if len(value) != len("2026-11-22T15:00:00Z") or value[-1] != "Z":
            return 0.0
        return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0
