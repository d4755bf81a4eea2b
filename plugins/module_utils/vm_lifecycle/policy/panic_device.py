# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a VM's definition gets a panic device, by which its host hears of a guest that crashes."""

from __future__ import annotations

from typing import Optional, Tuple


def settle(wanted: bool, ours: bool, there: bool) -> Tuple[Optional[bool], bool]:
    """(True to add it, False to take it away, None to leave the definition; whether it is ours from then on).

    One that somebody else put there is neither ours nor taken away.
    """
    if wanted:
        return (None, ours) if there else (True, True)
    return (False if ours and there else None), False
