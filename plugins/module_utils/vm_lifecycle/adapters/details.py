# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that were too long for who asked, one file for each task: the last one of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from ..errors import EffectError
from .durable_files import make_directory, write_durably


def keep_details(state: Path, task: str, result: Mapping[str, Any]) -> str:
    """The path of the file (0600) that has the whole result as JSON. Raises EffectError when it can't be written."""
    path = state / "results" / f"{task}.json"
    try:
        make_directory(path.parent)
        write_durably(path, json.dumps(result, indent=2) + "\n")
    except OSError as error:
        raise EffectError("effect_failed", f"the whole result is not kept: {error}") from error
    return str(path)
