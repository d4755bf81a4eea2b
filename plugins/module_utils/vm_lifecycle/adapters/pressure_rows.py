# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store keeps of VMs that give way because their host is short of something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from .durable_files import decoded
from .plain_rows import plain

if TYPE_CHECKING:
    from ..pressures import Pressed

#: Version of the database that has the table.
SINCE = 7
QUERY = "SELECT uuid, pressed FROM pressed"


def understood(rows: Any) -> Dict[str, Pressed]:
    """Of the rows those that can be understood, by UUID."""
    if not rows:  # most hosts are never short of anything
        return {}
    from ..pressures import Pressed

    return decoded(rows, lambda stored: plain(Pressed, stored))
