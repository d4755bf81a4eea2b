# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How calls to libvirt end: its errors become ours, and a call that may hang is given up after a while."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional
from xml.etree import ElementTree

from ...errors import DomainGone, EffectError

try:
    import libvirt
except ImportError:
    libvirt = None

#: virDomainState -> libvirt's own words.
STATES = ("no state", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
#: A domain that is off, for a reason that is not told.
OFF = (STATES.index("shutoff"), 0)
#: virDomainPausedReason: libvirt itself stopped the guest for a while, to save its memory, dump it, or take a snapshot of it. What
#: it is by itself is running. One that is migrated is left out: it may run elsewhere by then; so is one that is being started.
PASSING = (3, 4, 9)


def passing(state: int, reason: int) -> bool:
    """Whether a guest is paused in passing."""
    return STATES[state] == "paused" and reason in PASSING


def power_state(state: int, reason: int) -> str:
    """libvirt's word for a state; a guest that is paused in passing runs."""
    return "running" if passing(state, reason) else STATES[state]


@contextmanager
def translated(uuid: str = "") -> Iterator[None]:
    """DomainGone and EffectError instead of what libvirt and its XML raise."""
    try:
        yield
    except (UnicodeError, ElementTree.ParseError) as error:  # the name of a volume need not be text
        raise EffectError("effect_failed", str(error)) from error
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise DomainGone(uuid) from error
        lost = error.get_error_domain() == libvirt.VIR_FROM_RPC  # the daemon went away; the next call connects anew
        raise EffectError("connection_failed" if lost else "effect_failed", str(error)) from error


class Asked:
    """A call on a domain, in a thread and on a connection of its own: the monitor of a QEMU that hangs never answers.

    libvirt waits for it without limit, and a connection that waits in one thread serves no other. Without a UUID it is a call on
    the connection.
    """

    def __init__(self, uri: str, uuid: str, call: Callable[[Any], Any]) -> None:
        self._uri, self._uuid, self._call = uri, uuid, call
        self._answer: Any = None
        self._error: Optional[EffectError] = None
        self._thread = threading.Thread(target=self._ask, name=f"call {uuid}", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with translated(self._uuid):
                own = libvirt.open(self._uri)
                self._answer = self._call(own.lookupByUUIDString(self._uuid) if self._uuid else own)
                own.close()
        except EffectError as error:
            self._error = error
        except Exception as error:  # a defect of ours, or of the library, is no answer
            self._error = EffectError("effect_failed", f"unexpected: {type(error).__name__}: {error}")

    def ended(self, seconds: float = 0.0) -> bool:
        """Whether the call came back, at the latest after so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def answer(self) -> Any:
        """What a call that has ended returned. Raises its EffectError."""
        if self._error is not None:
            raise self._error
        return self._answer
