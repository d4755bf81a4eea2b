# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the store that tells what VMs were, how their starts went, and what keeps them down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, FrozenSet, List, Optional, Sequence

from . import pressure_rows
from . import store_rows as rows
from .durable_files import decoded

if TYPE_CHECKING:
    from ..boots import BootRun, LastState, StartRecord
    from ..pressures import Pressed
    from ..restarts import RestartRecord


class KeepingBooks:
    """To be mixed into what can read the database."""

    def states(self, uuids: rows.Uuids = None) -> Dict[str, LastState]:
        return decoded(self._read(*rows.select("state", "states", uuids), since=3), rows.decode_state)

    def starts(self, uuids: rows.Uuids = None) -> Dict[str, StartRecord]:
        return decoded(self._read(*rows.select("start", "starts", uuids), since=3), rows.decode_start)

    def boot(self) -> Optional[BootRun]:
        return decoded(self._read("SELECT 'boot', run FROM boot", since=3), rows.decode_boot).get("boot")

    def restarts(self, uuids: rows.Uuids = None) -> Dict[str, RestartRecord]:
        return decoded(self._read(*rows.select("restart", "restarts", uuids), since=5), rows.decode_restart)

    def recorded(self) -> FrozenSet[str]:
        return frozenset(row[0] for row in self._read("SELECT uuid FROM vms"))

    def recoverable(self) -> FrozenSet[str]:
        return frozenset(row[0] for row in self._read("SELECT uuid FROM recoveries", since=4))

    def pressed(self) -> Dict[str, Pressed]:
        return pressure_rows.understood(self._read(pressure_rows.QUERY, since=pressure_rows.SINCE))

    def _read(self, query: str, parameters: Sequence[Any] = (), since: int = 1) -> List[Any]:
        """Rows of a query on tables that a database has since a version."""
        raise NotImplementedError
