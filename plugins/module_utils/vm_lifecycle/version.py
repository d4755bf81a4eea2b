# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the engine, and the moment before which no clock can be right."""

from __future__ import annotations

VERSION = "0.1.0"

#: Epoch seconds of this version's release: a host whose clock says less has a wrong clock (a dead battery boots in 1970).
RELEASED_UNIX = 1795305600  # 2026-11-22T00:00:00Z
