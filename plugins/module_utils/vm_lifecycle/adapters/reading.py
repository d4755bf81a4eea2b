# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several reads of the store in one go."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Callable, Iterator, Optional


class Together:
    """To be mixed into what opens the database anew for each read: opening takes several times as long as a short read."""

    _database: Path

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A database that can't be opened is left to each read, which knows what follows from that."""
        if getattr(self._here, "database", None) is not None:
            yield
            return
        database = self._begun()
        self._here.database = database
        try:
            yield
        finally:
            self._here.database = None
            if database is not None:
                database.close()

    def _begun(self) -> Optional[sqlite3.Connection]:
        try:
            if not self._database.exists():
                return None
            database = self._connect()
        except (OSError, sqlite3.Error):
            return None
        try:
            database.execute("BEGIN")  # all that is read is of one moment
        except sqlite3.Error:
            database.close()
            return None
        return database

    @contextmanager
    def _reading(self, connect: Callable[[], sqlite3.Connection]) -> Iterator[sqlite3.Connection]:
        """The connection of reads in one go, or one of its own. connect: how that is made."""
        shared: Optional[sqlite3.Connection] = getattr(self._here, "database", None)
        if shared is not None and connect == self._connect:
            yield shared
            return
        with closing(connect()) as database:
            yield database

    def _connect(self) -> sqlite3.Connection:
        """A connection to the database, which is there."""
        raise NotImplementedError
