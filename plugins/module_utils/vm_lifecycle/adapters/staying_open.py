# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that stays open between saves, so that none of them has its journal written back and removed."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

from ..errors import EffectError


class StayingOpen:
    """To be mixed into what opens the database anew for each call.

    Whoever closes it last has SQLite write the whole journal back and remove it, after a save as after a read: six syncs, where
    two make a save durable: while VMs start, that is most of what a save costs. Each save still has a connection of its own; the
    one that stays open is never used. Meanwhile SQLite takes the journal for that of whatever file has the database's name, so
    nobody may put another one there: it is for a run that ends, and not for a service.
    """

    _database: Path

    def __init__(self) -> None:
        super().__init__()
        self._stays = False
        #: The inode that it is open on, and a connection that only reads: that one writes nothing back when it is closed last.
        self._open: Optional[Tuple[int, sqlite3.Connection]] = None
        self._opening = threading.Lock()

    @contextmanager
    def staying_open(self) -> Iterator[None]:
        """In the end the journal is written back, as it is by every other call."""
        self._stays = True
        try:
            self._stay()
            yield
        finally:
            with self._opening:
                self._stays = False
                self._let_go()
            with suppress(EffectError):
                self._read("SELECT 1")

    def _stay(self) -> None:
        """At the beginning, and after each save while its connection is open: another run may have put a new file there."""
        with self._opening:
            if not self._stays:
                return
            try:
                inode = os.stat(self._database).st_ino
                if self._open is not None and self._open[0] == inode:
                    return
                self._let_go()
                address = f"{self._database.absolute().as_uri()}?mode=ro"
                self._open = (inode, sqlite3.connect(address, uri=True, check_same_thread=False))
                self._open[1].execute("PRAGMA user_version").fetchone()  # SQLite opens the file when it is first read
            except (OSError, sqlite3.Error):  # then calls cost what they cost otherwise
                self._let_go()

    def _let_go(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _read(self, query: str) -> List[Any]:
        """Rows of a query, by a connection of its own. Raises EffectError."""
        raise NotImplementedError
