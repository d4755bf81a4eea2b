# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store tells of what VMs do and use: their snapshots, the last reading of each, and the timer's last sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from .durable_files import NOT_UNDERSTOOD, decoded, stamp
from .plain_rows import plain

if TYPE_CHECKING:
    from ..model import Document
    from ..snapshots import Counters, SweepRun

#: Version of the database that has the tables.
SINCE = 6


class SnapshotBooks:
    """The part of the store that remembers measurements, and that tells whether anything was written."""

    _database: Path

    def stamp(self) -> Optional[object]:
        return stamp([self._database, self._database.with_name(f"{self._database.name}-wal")])

    def snapshots(self, limit: int) -> Dict[str, List[Document]]:
        query = (
            "SELECT uuid, snapshot FROM (SELECT uuid, snapshot, ROW_NUMBER() OVER (PARTITION BY uuid ORDER BY id DESC) AS place"
            " FROM snapshots) WHERE place <= ? ORDER BY uuid, place"
        )
        found: Dict[str, List[Document]] = {}
        for uuid, text in self._read(query, (limit,), SINCE):
            try:
                found.setdefault(uuid, []).append(_decode_snapshot(json.loads(text)))
            except NOT_UNDERSTOOD:
                continue
        return found

    def counters(self) -> Dict[str, Counters]:
        from ..snapshots import Counters

        found = self._read("SELECT uuid, counters FROM counters", (), SINCE)
        return decoded(found, lambda stored: plain(Counters, stored))

    def sweep(self) -> Optional[SweepRun]:
        from ..snapshots import SweepRun

        found = self._read("SELECT 'sweep', sweep FROM sweeps", (), SINCE)
        return decoded(found, lambda stored: plain(SweepRun, stored)).get("sweep")

    def _read(self, query: str, parameters: Sequence[Any] = (), since: int = 1) -> List[Any]:
        """Rows of a query on tables that a database has since a version."""
        raise NotImplementedError


def _decode_snapshot(stored: Any) -> Document:
    """A VmStateSnapshot, at least as far as readers take it apart."""
    if not isinstance(stored, dict) or not isinstance(stored["snapshot_time"], str):
        raise ValueError("not a snapshot")
    return stored
