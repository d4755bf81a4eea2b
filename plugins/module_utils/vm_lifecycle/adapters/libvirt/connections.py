# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several threads on one libvirt: a connection for each of them, and one look at storage for all that wait for one."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple

if TYPE_CHECKING:
    from queue import SimpleQueue

    from ...disks import Storage

try:
    import libvirt
except ImportError:
    libvirt = None

#: Seconds for which the end of a run waits for connections that were opened for nobody.
UNUSED_LIMIT = 5.0


#: Connections that are opened ahead at most: each takes several descriptors, and libvirt's library ends a process that has none left.
AHEAD = 16


class Connections:
    """One connection a thread: one that waits in a thread for a QEMU that does not answer serves no other thread.

    A thread's own is opened when the thread first asks, and closed when it ends.
    """

    def __init__(self, first: Any) -> None:
        self.uri: str = first.getURI()
        self._first = first
        self._here = threading.local()
        self._here.connection, self._here.handles = first, {}
        self._others: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        #: How many are opened ahead for threads that did not ask yet, and those; None for one that could not be opened.
        self._coming = 0
        self._ready: Optional[SimpleQueue[Any]] = None

    def open_ahead(self, count: int) -> None:
        """Begin to open connections for threads that will ask soon."""
        from queue import SimpleQueue  # a boot alone expects any

        count = min(count, AHEAD)
        with self._lock:
            ready = self._ready = self._ready or SimpleQueue()
        for number in range(count):
            try:
                threading.Thread(target=self._open, args=(ready,), name=f"open {number}", daemon=True).start()
            except RuntimeError:  # there are too many; nobody waits for one that nobody opens
                return
            with self._lock:
                self._coming += 1

    def _open(self, ready: SimpleQueue[Any]) -> None:
        opened = None
        try:
            opened = libvirt.open(self.uri)
        except libvirt.libvirtError:
            return  # whoever asks for it opens one, and hears why that fails
        finally:
            ready.put(opened)

    def _opened(self) -> Any:
        """One that was opened ahead, else a new one."""
        with self._lock:
            expected = self._coming > 0
            self._coming -= expected
        opened = self._ready.get() if expected and self._ready is not None else None
        return opened if opened is not None and opened.isAlive() else libvirt.open(self.uri)

    def current(self) -> Any:
        """This thread's connection, a new one when the daemon was restarted meanwhile. Raises libvirtError."""
        known = getattr(self._here, "connection", None)
        if known is None or not known.isAlive():
            opened = self._opened()
            self._here.connection, self._here.handles = opened, {}
            with self._lock:
                self._others.add(opened)
        return self._here.connection

    def handles(self) -> Dict[str, Any]:
        """Domains of this thread's connection by UUID, which saves a lookup for each step."""
        self.current()
        handles: Dict[str, Any] = self._here.handles
        return handles

    def close(self) -> None:
        """End all connections; no thread may use one any more."""
        self._here.handles = {}
        with self._lock:
            for connection in list(self._others):
                connection.close()
            self._others.clear()
            self._close_unused()
        self._first.close()

    def _close_unused(self) -> None:
        """Those that were opened ahead for nobody. One that takes long ends with its process, which must not wait for it."""
        if not self._coming:
            return
        from queue import Empty

        until = time.monotonic() + UNUSED_LIMIT
        while self._coming and self._ready is not None:
            self._coming -= 1
            try:
                unused = self._ready.get(timeout=max(until - time.monotonic(), 0.0))
            except Empty:
                return
            if unused is not None:
                unused.close()


class SharedLook:
    """A look at storage takes long. Who asks while one is under way waits, and shares the next one with all who wait.

    Nobody gets a look that had begun before he asked, nor one that counted other removed VMs than he does.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._begun = 0
        self._busy = False
        #: Number of the last look that ended well, what it was asked to count, and what it saw.
        self._last: Tuple[int, object, Optional[Storage]] = (0, None, None)

    def look(self, counted: object, read: Callable[[], Storage]) -> Storage:
        """What a look that begins from now on sees: somebody else's, or an own one by read."""
        with self._turn:
            wanted = self._begun + 1
            while self._busy:
                self._turn.wait()
                number, others, seen = self._last
                if seen is not None and number >= wanted and others == counted:
                    return seen
            self._busy = True
            self._begun += 1
            mine = self._begun
        try:
            seen = read()
        except BaseException:
            self._end(self._last)
            raise
        self._end((mine, counted, seen))
        return seen

    def _end(self, last: Tuple[int, object, Optional[Storage]]) -> None:
        with self._turn:
            self._last = last
            self._busy = False
            self._turn.notify_all()
