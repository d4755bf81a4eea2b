# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a removal that an earlier run left, and that is not finished."""

from __future__ import annotations

from ..extent import MENTIONED, first
from ..removals import Intent


def put_away(intent: Intent, exists: bool, done: bool) -> str:
    """Why its record goes. Once it was armed, disks may be gone: which ones a record does not tell, so all are named."""
    if done and not exists:
        return f"{intent.name}: an interrupted removal was complete, its record is put away"
    planned = [verdict for verdict in intent.volumes if verdict.remove]
    if not intent.armed or not planned:
        return f"{intent.name}: an interrupted removal was rolled back before anything was deleted"
    named = first([verdict.place for verdict in planned], "disks", MENTIONED)
    said = f"since there is a VM with its UUID: it deletes nothing more of {', '.join(named)}"
    return f"{intent.name}: an interrupted removal was rolled back, {said}"
