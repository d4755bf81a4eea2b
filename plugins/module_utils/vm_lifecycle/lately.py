# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on record of VMs that are being started."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Dict, Optional, Tuple

from .errors import EffectError

if TYPE_CHECKING:
    from .boots import LastState
    from .ports import World

#: Seconds for which VMs that begin together go by one look.
TOGETHER = 0.5


class Lately:
    """What is on record of VMs whose starts begin together: read by the first that asks, for all that ask soon after it."""

    def __init__(self, world: World, uuids: Tuple[str, ...]) -> None:
        self._world, self._uuids = world, uuids
        self._lock = threading.Lock()
        self._read: Optional[float] = None
        self._states: Dict[str, LastState] = {}

    def last(self, uuid: str) -> Optional[LastState]:
        """None also for one of which nothing is known."""
        with self._lock:
            if self._read is None or self._world.host.clock().boottime - self._read >= TOGETHER:
                self._states = self._on_record()
                # by when it was read: who waited for a store that takes long must not wait for it in turn
                self._read = self._world.host.clock().boottime
            return self._states.get(uuid)

    def _on_record(self) -> Dict[str, LastState]:
        """Nothing when the store can't be read, which keeps no VM down."""
        try:
            return self._world.store.states(self._uuids)
        except EffectError:
            return {}
