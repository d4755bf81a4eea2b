# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that stays open between saves, so that each of them is one sync of its journal."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional, Tuple


class StayingOpen:
    """To be mixed into what opens the database anew for each save.

    Whoever closes it last has SQLite write the whole journal back and remove it, which takes five syncs where one makes a save
    durable: while VMs start, and at each event, that is most of what a save costs.
    """

    _database: Path

    def __init__(self) -> None:
        super().__init__()
        self._mode = ""
        self._open: Optional[Tuple[int, sqlite3.Connection]] = None
        self._opening = threading.Lock()

    @contextmanager
    def staying_open(self, tidy: bool = False) -> Iterator[None]:
        """tidy: the journal is written back in the end, as it is by every other save; else by the next one that anybody makes."""
        self._mode = "rw" if tidy else "ro"  # one that only reads writes nothing back when it is closed last
        try:
            yield
        finally:
            self._mode = ""
            with self._opening:
                self._let_go()

    def _stay(self, inode: int) -> None:
        """After a save, while its connection is open. inode: of the database, which another run may have put in its place."""
        if not self._mode:
            return
        with self._opening:
            if self._open is not None and self._open[0] == inode:
                return
            self._let_go()
            address = f"{self._database.absolute().as_uri()}?mode={self._mode}"
            try:
                self._open = (inode, sqlite3.connect(address, uri=True, check_same_thread=False))
                self._open[1].execute("PRAGMA user_version").fetchone()  # SQLite opens the file when it is first read
            except sqlite3.Error:  # then saves cost what they cost otherwise
                self._let_go()

    def _let_go(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None
