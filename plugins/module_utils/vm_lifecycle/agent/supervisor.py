# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle supervise: waits for libvirt's events, has them recorded, VMs restarted, limited and suspended, until systemd stops it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Callable, List, Optional, Protocol, Sequence

from ..adapters import heap
from ..adapters.journal import notify
from ..adapters.memory_room import MemoryAlarm
from ..enforcing import Enforcer
from ..errors import EffectError, LifecycleError
from ..patience import AWAY
from ..policy.looking import PACE, next_look, rest
from ..pressing import Pressing
from ..recorder import Recorder
from ..restarting import Restarts

if TYPE_CHECKING:
    from ..boots import PowerEvent
    from ..ports import Host, World

#: Seconds for which events are waited for. Whatever ends the supervisor or its connection is heard at once; between two turns it
#: only has systemd's watchdog and VMs that were declared meanwhile to see to.
WAIT = 30.0
#: The same while the store can't be written to: what is due waits for that.
AGAIN = 5.0
#: Seconds between two tries to reach libvirt: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
#: What systemd hears at each turn of the loop. The unit's WatchdogSec is longer than any turn may take.
ALIVE = "WATCHDOG=1"
#: Events that are kept while they can't be recorded.
MOST_EVENTS = 10_000


class Source(Protocol):
    """Events of one connection to libvirt."""

    def events(self, seconds: float) -> List[PowerEvent]:
        """Events since the last call; waits for the first. Raises EffectError when the connection is lost."""

    def close(self) -> None:
        """End the connection."""


class Watcher(Protocol):
    """What goes on beside the recording of events, and never keeps it from that."""

    def take(self, events: Sequence[PowerEvent]) -> None:
        """What was heard."""

    def tick(self) -> None:
        """Begin or end what is due. Raises nothing."""

    def wait(self) -> float:
        """Seconds until the next tick, at most."""


def supervise(uri: str, host: Host, opened: Callable[[], World]) -> int:
    """Until SIGTERM. A connection that is lost is made again, and what was missed is seen by a look at the host.

    Starts and looks at limits that go on then are ended by libvirt; the next supervisor sees what became of them.
    """
    from ..adapters.libvirt.events import EventSource  # no other verb of the command needs it

    ending = threading.Event()
    recorder: Optional[Recorder] = None
    source: Optional[EventSource] = None
    enforcer: Optional[Enforcer] = None
    pressing: Optional[Pressing] = None

    def end(*_: object) -> None:
        ending.set()
        if source is not None:
            source.wake()

    def hurry() -> None:
        """Processes wait for memory."""
        if source is not None and pressing is not None:
            pressing.hurry()
            source.wake()

    alarm = MemoryAlarm(hurry)

    def attempt() -> None:
        nonlocal recorder, source, enforcer, pressing
        if recorder is None or pressing is None:
            world = opened()
            restarts = Restarts(world, jobs)
            recorder, pressing = Recorder(world, restarts=restarts), Pressing(world, restarts, others, alarm.arm)
        source = EventSource(uri)
        enforcer = enforcer or Enforcer(recorder.world, looks)
        watch(source, recorder, ending, enforcer, pressing)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # It is ready whether libvirt is or not: systemd must not hold back what comes after this, nor end it for a daemon's sake.
    notify("READY=1")
    with host.jobs() as jobs, host.jobs() as looks, host.jobs() as others:
        insist(host, ending, attempt)
    notify("STOPPING=1")
    return 0


def insist(host: Host, ending: threading.Event, attempt: Callable[[], None]) -> None:
    """Once more and again until the end is asked for, while libvirt does not answer; that is said once.

    Raises LifecycleError for what no waiting helps.
    """
    pause, said = FIRST_PAUSE, ""
    while not ending.is_set():
        notify(ALIVE)
        began, problem = host.clock().boottime, ""
        try:
            attempt()
        except EffectError as error:
            problem = error.message
        except LifecycleError as error:
            if any(each.code != AWAY for each in error.problems):
                raise
            problem = error.problems[0].message
        if host.clock().boottime - began > LONGEST_PAUSE:  # it went well for a while
            pause, said = FIRST_PAUSE, ""
        if problem and problem != said:
            host.progress(f"{problem}; trying again")
        said = problem
        ending.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def watch(source: Source, recorder: Recorder, ending: threading.Event, *watchers: Watcher) -> None:
    """Record the events of one connection until it is lost (EffectError) or the end is asked for.

    A store that is full for a while loses none of them: they are kept, and when they become too many, a look replaces them.
    """
    heard: List[PowerEvent] = []
    host, complained = recorder.world.host, False
    connected, looked = host.clock().boottime, None
    recorded = connected - PACE
    try:
        while True:
            notify(ALIVE)
            began, due, read = host.clock().boottime, next_look(connected, looked), recorder.caught_up
            try:
                if heard:
                    recorder.take(heard)
                    recorded = began
                elif began < due:
                    recorder.catch_up()
                for watcher in watchers:
                    watcher.take(heard)
                heard = []
                if began >= due:
                    _look(recorder, looked is None)
                    looked, due = began, next_look(connected, began)
                if recorder.restarts is not None:
                    recorder.restarts.step()
                complained = False
            except EffectError as error:
                if error.code != "store_unusable":
                    raise
                if not complained:
                    host.progress(f"not recorded yet: {error.message}")
                complained = True
                if len(heard) > MOST_EVENTS:
                    heard, looked = [], None
            if ending.is_set():
                return
            for watcher in watchers:
                watcher.tick()
            _pause(recorder, recorded, recorder.caught_up is not read)
            heard += source.events(_patience(recorder, due - began, complained, watchers))
    finally:
        source.close()


def _pause(recorder: Recorder, recorded: float, much: bool) -> None:
    """Before the wait for events: what is heard then is taken at once. much: somebody wrote something, so all of it was read anew."""
    if much:
        heap.give_back()
    host = recorder.world.host
    host.sleep(rest(recorded, host.clock().boottime))


def _patience(recorder: Recorder, left: float, complained: bool, watchers: Sequence[Watcher]) -> float:
    """Seconds for which events are waited for. left: those until the next look. complained: the store can't be written to.

    A look that failed is made up for when events were waited for, and what can't be written is not tried without a pause.
    """
    longest = AGAIN if complained else WAIT
    patience = min(longest, left) if left > 0 else longest
    if recorder.restarts is not None and not complained:
        patience = min(patience, recorder.restarts.wait())
    return min([patience, *(watcher.wait() for watcher in watchers)])


def _look(recorder: Recorder, first: bool) -> None:
    changed = recorder.look()
    heap.give_back()
    if first:
        recorder.world.host.progress(f"watching; {changed} VMs had changed")
    elif changed:
        recorder.world.host.progress(f"{changed} VMs had changed, and no event had told of it yet")
