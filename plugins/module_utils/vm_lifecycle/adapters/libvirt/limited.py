# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits as a part of the hypervisor's port; what they take is imported by those runs alone that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .calls import translated

if TYPE_CHECKING:
    from ...limits import LimitsSeen


class Limited:
    """To be mixed into what has the handles of domains."""

    def _handle(self, uuid: str) -> Any:
        raise NotImplementedError

    def limits(self, uuid: str) -> LimitsSeen:
        """See Limiting."""
        from .limits import limits_of

        with translated(uuid):
            return limits_of(self._handle(uuid))

    def set_limit(self, uuid: str, kind: str, amount: int, persistent: bool) -> None:
        """See Limiting."""
        from .limits import set_limit

        with translated(uuid):
            set_limit(self._handle(uuid), kind, amount, persistent)
