# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle supervise: waits for libvirt's events and has them recorded, until systemd stops it."""

from __future__ import annotations

import signal
import threading
from typing import List, Optional, Protocol

from ..adapters.journal import notify
from ..boots import PowerEvent
from ..errors import EffectError
from ..ports import World
from ..recorder import Recorder

#: Seconds for which events are waited for, between two looks at whether the host is to stop.
WAIT = 5.0
#: Seconds between two tries to reach libvirt: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
#: Events that are kept while they can't be recorded.
MOST_EVENTS = 10_000


class Source(Protocol):
    """Events of one connection to libvirt."""

    def events(self, seconds: float) -> List[PowerEvent]:
        """Events since the last call; waits for the first. Raises EffectError when the connection is lost."""

    def close(self) -> None:
        """End the connection."""


def supervise(uri: str, world: World) -> int:
    """Until SIGTERM. A connection that is lost is made again, and what was missed is seen by a look at the host."""
    from ..adapters.libvirt.events import EventSource  # no other verb of the command needs it

    ending = threading.Event()
    source: Optional[EventSource] = None

    def end(*_: object) -> None:
        ending.set()
        if source is not None:
            source.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    pause, recorder = FIRST_PAUSE, Recorder(world)
    # It is ready whether libvirt is or not: systemd must not hold back what comes after this, nor end it for a daemon's sake.
    notify("READY=1")
    while not ending.is_set():
        try:
            source = EventSource(uri)
            pause = FIRST_PAUSE
            watch(source, recorder, ending)
        except EffectError as error:
            world.host.progress(f"{error.message}; trying again")
            ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    notify("STOPPING=1")
    return 0


def watch(source: Source, recorder: Recorder, ending: threading.Event) -> None:
    """Record the events of one connection until it is lost (EffectError) or the end is asked for.

    A store that is full for a while loses none of them: they are kept, and when they become too many, a look replaces them.
    """
    heard: List[PowerEvent] = []
    looked = complained = False
    try:
        while True:
            try:
                looked = looked or _look(recorder)
                if heard:
                    recorder.take(heard)
                else:
                    recorder.catch_up()
                heard, complained = [], False
            except EffectError as error:
                if error.code != "store_unusable":
                    raise
                if not complained:
                    recorder.world.host.progress(f"not recorded yet: {error.message}")
                complained = True
                if len(heard) > MOST_EVENTS:
                    heard, looked = [], False
            if ending.is_set():
                return
            heard += source.events(WAIT)
    finally:
        source.close()


def _look(recorder: Recorder) -> bool:
    changed = recorder.look()
    recorder.world.host.progress(f"watching; {changed} VMs had changed")
    return True
