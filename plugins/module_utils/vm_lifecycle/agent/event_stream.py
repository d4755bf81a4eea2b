# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle events: what happens on this host, a line of JSON each, for programs that act upon it.

What the engine did is in its store, so a reader that comes back with a cursor misses nothing. libvirt keeps no events: what it tells
is told as it happens, and each time that it is reached anew, the state of every VM is.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Protocol, Sequence

from ..errors import EffectError, LifecycleError
from ..times import iso

if TYPE_CHECKING:
    from ..adapters.event_log import Cursor, EventLog
    from ..boots import PowerEvent
    from ..model import Domain

#: Seconds between two looks at the store, and between two tries to reach libvirt.
LOOK, AGAIN = 0.5, 5.0

Event = Dict[str, Any]


class Source(Protocol):
    """Events of one connection to libvirt."""

    def events(self, seconds: float) -> List[PowerEvent]:
        """Events since the last call; waits for the first. Raises EffectError when the connection is lost."""

    def close(self) -> None:
        """End the connection."""


class Stream:
    """Tells what happens to whoever reads from tell. opened: a connection to libvirt's events, listed: all domains as they are."""

    def __init__(
        self,
        log: EventLog,
        cursor: Cursor,
        tell: Callable[[Event], None],
        opened: Callable[[], Source],
        listed: Callable[[], Sequence[Domain]],
    ) -> None:
        self._log, self._cursor, self._tell, self._opened, self._listed = log, cursor, tell, opened, listed
        self._source: Optional[Source] = None
        self._next_try = 0.0
        self._said = ""

    def read(self) -> None:
        """Tell what the store has since the last time. One that can't be read now is read later."""
        try:
            for event, cursor in self._log.since(self._cursor):
                self._cursor = cursor
                self._say(event)
        except EffectError as error:
            self._complain(error)

    def follow(self, until: Callable[[], bool]) -> None:
        """Tell everything, until it is over."""
        self._connect()  # first, so that who is told that it watches misses nothing that comes then
        self._say(_own("watching"))
        while not until():
            self.read()
            self._listen()
        if self._source is not None:
            self._source.close()

    def _connect(self) -> None:
        """To libvirt, if there is no connection and the last try was long enough ago."""
        if self._source is not None or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + AGAIN
        try:
            self._source = self._opened()
            for domain in self._listed():
                self._say(_of_libvirt("listed", domain.uuid, domain.name, domain.power_state))
            self._said = ""
        except (EffectError, LifecycleError) as error:
            self._lose(error)

    def _listen(self) -> None:
        """Wait for libvirt for a while; without it, just wait."""
        self._connect()
        if self._source is None:
            time.sleep(LOOK)
            return
        try:
            for event in self._source.events(LOOK):
                self._say(_of_libvirt(event.kind, event.uuid, event.name, "", event.detail))
        except EffectError as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Once, for as long as it stays the same."""
        if str(error) != self._said:
            self._said = str(error)
            self._say(_own("trouble", self._said))

    def _say(self, event: Event) -> None:
        self._tell({**event, "cursor": str(self._cursor)})


def _own(event: str, message: str = "") -> Event:
    return {"kind": "stream", "event": event, "message": message, "at": iso(int(time.time()))}


def _of_libvirt(event: str, uuid: str, name: str, state: str, detail: int = -1) -> Event:
    """state: of a listed VM; detail: libvirt's number, of an event that has one."""
    found: Event = {"kind": "libvirt", "event": event, "vm_name": name, "vm_uuid": uuid, "at": iso(int(time.time()))}
    return {**found, **({"power_state": state} if state else {}), **({"detail": detail} if detail >= 0 else {})}


def tell(event: Event) -> None:
    """A line of standard output, at once."""
    sys.stdout.write(json.dumps(event, sort_keys=True) + "\n")
    sys.stdout.flush()


def reader_left() -> bool:
    """Whether nobody reads standard output any more: an SSH connection that is gone ends no program that it began."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def print_events(uri: str, log: EventLog, cursor: Cursor, follow: bool) -> int:
    """The verb: what the store has, and with follow what comes, until nobody reads it. Raises EffectError."""
    if not follow:
        for event, after in log.since(cursor):
            tell({**event, "cursor": str(after)})
        return 0
    from ..adapters.libvirt.events import EventSource  # neither needs libvirt to read what the store has
    from ..adapters.libvirt.hypervisor import connect

    def listed() -> Sequence[Domain]:
        hypervisor = connect(uri)
        try:
            return hypervisor.domains()
        finally:
            hypervisor.close()

    try:
        Stream(log, cursor, tell, lambda: EventSource(uri), listed).follow(reader_left)
    except (BrokenPipeError, KeyboardInterrupt):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what was not written yet is nobody's
    return 0
