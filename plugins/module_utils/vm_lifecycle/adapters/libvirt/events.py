# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's events, as they happen: a connection of its own, whose events are kept until somebody takes them."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ...boots import PowerEvent
from ...errors import EffectError
from .calls import passing

try:
    import libvirt
except ImportError:
    libvirt = None
try:
    import libvirt_qemu
except ImportError:  # some distributions have it in a package of its own
    libvirt_qemu = None

#: virDomainEventType -> the word for it.
KINDS: Dict[int, str] = {
    0: "defined",
    1: "undefined",
    2: "started",
    3: "suspended",
    4: "resumed",
    5: "stopped",
    6: "shutdown",
    7: "pmsuspended",
    8: "crashed",
}
SUSPENDED = KINDS[3]
#: QEMU's own word for a request to its guest to shut down; libvirt has no event for that.
POWERDOWN = "POWERDOWN"
#: What libvirt says of an error of a disk that was refused space, and the word for that.
NO_SPACE, STARVED = "enospc", "starved"
#: In the queue: nothing happened, but whoever waits is to go on.
WAKE = PowerEvent("", "", "wake")
#: Seconds without a sign of life after which the daemon is asked for one, and how often before it counts as gone. One that ends
#: closes its socket, which is heard at once; this is for one that hangs.
ALIVE_INTERVAL, ALIVE_COUNT = 30, 3


class EventSource:
    """Events of all domains of a URI, in their order, from the moment it was made. For one thread.

    QEMU's monitor tells of requests to shut down; a libvirt without that, or another driver than QEMU's, tells nothing of them.
    """

    def __init__(self, uri: str) -> None:
        if libvirt is None:
            raise EffectError("missing_library", "install python3-libvirt for the host's Python")
        libvirt.registerErrorHandler(_ignore, None)
        _run_loop()
        #: None: the connection was lost. WAKE: nothing happened.
        self._queue: queue.SimpleQueue[Optional[PowerEvent]] = queue.SimpleQueue()
        self._leaving: List[Callable[[], object]] = []
        try:
            self._connection = libvirt.open(uri)
        except libvirt.libvirtError as error:
            raise _lost(f"{uri}: {error}") from error
        try:
            self._listen()
        except libvirt.libvirtError as error:
            self.close()
            raise _lost(f"{uri}: {error}") from error

    def _listen(self) -> None:
        """Raises libvirtError, but not for what only some drivers have."""
        own = self._connection
        number = own.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None)
        self._leaving.append(lambda: own.domainEventDeregisterAny(number))
        self._if_supported(own.registerCloseCallback, self._closed, None)
        self._if_supported(own.setKeepAlive, ALIVE_INTERVAL, ALIVE_COUNT)
        starved = libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON
        failing = self._if_supported(own.domainEventRegisterAny, None, starved, self._io_error, None)
        if failing is not None:
            self._leaving.append(lambda: own.domainEventDeregisterAny(failing))
        if libvirt_qemu is not None:
            asked = self._if_supported(libvirt_qemu.qemuMonitorEventRegister, own, None, POWERDOWN, self._monitor, None)
            if asked is not None:
                self._leaving.append(lambda: libvirt_qemu.qemuMonitorEventDeregister(own, asked))

    def _if_supported(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """A call's result, None when this driver has no such thing."""
        try:
            return call(*arguments)
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_CONN):
                return None
            raise

    def _lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        if event in KINDS:
            self._queue.put(PowerEvent(domain.UUIDString(), domain.name(), KINDS[event], detail))

    def _io_error(
        self, _connection: Any, domain: Any, _path: str, _alias: str, _action: int, reason: str, *_: Any
    ) -> None:
        if reason == NO_SPACE:
            self._queue.put(PowerEvent(domain.UUIDString(), domain.name(), STARVED))

    def _monitor(self, _connection: Any, domain: Any, *_event: Any) -> None:
        self._queue.put(PowerEvent(domain.UUIDString(), domain.name(), POWERDOWN.lower()))

    def _closed(self, _connection: Any, _reason: int, _opaque: Any) -> None:
        self._queue.put(None)

    def events(self, seconds: float) -> List[PowerEvent]:
        """What happened since the last call; waits for the first event, [] when seconds have passed without any.

        Raises EffectError connection_failed when the connection is lost, after all that was heard before was told.
        """
        found: List[PowerEvent] = []
        deadline = time.monotonic() + seconds
        while True:
            try:
                left = max(deadline - time.monotonic(), 0.0)
                event = self._queue.get(timeout=left) if not found and left else self._queue.get_nowait()
            except queue.Empty:
                break
            if event is None:
                self._queue.put(None)  # the next call ends with it, too
                if found:
                    return found
                raise _lost("the connection to libvirt was lost")
            if event is WAKE:
                return found
            found.append(event)
        if not found and not self._is_alive():
            raise _lost("the connection to libvirt was lost")
        return [each for each in found if each.kind != SUSPENDED or not self._passing(each.uuid)]

    def _passing(self, uuid: str) -> bool:
        """Whether a guest was stopped for a moment by libvirt itself, which the event does not tell; not when that can't be told."""
        try:
            state, reason = self._connection.lookupByUUIDString(uuid).state()
        except libvirt.libvirtError:
            return False
        saved = state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_SAVED
        return saved or passing(state, reason)

    def wake(self) -> None:
        """Let whoever waits for events go on at once. A signal handler may call it."""
        self._queue.put(WAKE)

    def _is_alive(self) -> bool:
        try:
            return bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """End the connection. What was not taken is dropped."""
        leaving, self._leaving = self._leaving, []
        for leave in leaving:
            try:
                leave()
            except libvirt.libvirtError:
                continue  # the connection was lost, and the registration with it
        try:
            self._if_supported(self._connection.unregisterCloseCallback)
            self._connection.close()
        except libvirt.libvirtError:
            return


def _lost(message: str) -> EffectError:
    return EffectError("connection_failed", message)


def _ignore(_context: object, _error: object) -> None:
    """Errors arrive as exceptions too."""


_LOOP_LOCK = threading.Lock()
_loop: Optional[threading.Thread] = None


def _run_loop() -> None:
    """libvirt's own event loop, once a process: it can't be taken away again, and connections that know it rely on it."""
    global _loop
    with _LOOP_LOCK:
        if _loop is None:
            libvirt.virEventRegisterDefaultImpl()
            _loop = threading.Thread(target=_loop_for_ever, name="libvirt events", daemon=True)
            _loop.start()


def _loop_for_ever() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(1.0)  # one turn of it failed; connections that can't be served any more are closed by it
