# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a supervisor looks whether its host is short of memory or space, and what follows from a look."""

from __future__ import annotations

from functools import partial
from typing import Callable, FrozenSet, Mapping, Optional, Sequence

from .boots import PowerEvent
from .errors import EffectError, LifecycleError
from .giving_way import Found, look, thresholds
from .one_look import OneLook
from .patience import POLL
from .policy import pressure as policy
from .ports import Jobs, World
from .pressures import DISK, MEMORY, Watched
from .restarting import Restarts
from .slices import declared

#: Seconds between two looks at memory, and of two at disks while there is space.
INTERVAL, DISK_INTERVAL = 5.0, 15.0
#: What libvirt tells of a disk that was refused space, and then of its guest: (kind, detail).
STARVED = (("starved", -1), ("suspended", 2))


def _never_raising(world: World, watched: Mapping[str, Watched]) -> Found:
    try:
        return look(world, watched)
    except (EffectError, LifecycleError) as error:
        return Found(watched, (f"what the host is short of was not looked at: {error}",))
    except Exception as error:  # a defect of ours, or of a library: it must not end the supervisor
        return Found(watched, (f"unexpected: {type(error).__name__}: {error}",))


class Pressing:
    """When one supervisor looks. A host no VM of which speaks of pressure is not looked at, and one that is calm costs two small files.

    jobs: as for OneLook. arm: called when a VM speaks of
    memory, so that hurry is called when processes begin to wait for it.
    """

    def __init__(
        self, world: World, restarts: Restarts, jobs: Optional[Jobs] = None, arm: Callable[[], object] = bool
    ) -> None:
        self._world, self._restarts, self._arm = world, restarts, arm
        self._looking: OneLook[Found] = OneLook(world, jobs)
        self._watched: Mapping[str, Watched] = {}
        #: What the store was when it was read last.
        self._stamp: Optional[object] = None
        #: Causes that VMs speak of, and whether any VM gives way.
        self.concerned: FrozenSet[str] = frozenset()
        self._gave = False
        self._due = self._disks = 0.0
        self._relieved: FrozenSet[str] = frozenset()

    def take(self, events: Sequence[PowerEvent]) -> None:
        """A disk that was refused space is looked at now."""
        if any((event.kind, event.detail) in STARVED for event in events):
            self.hurry()

    def hurry(self) -> None:
        """Look at once. Any thread may call it."""
        self._due = self._disks = 0.0

    def tick(self) -> None:
        """Whatever is due. Never raises EffectError or LifecycleError."""
        now = self._world.host.clock().boottime
        self._settle(self._looking.ended(now))
        if self._relieved:
            self._come_back()
        if self._looking.going or now < self._due:
            return
        self._due = now + INTERVAL
        try:
            self._survey()
        except EffectError:
            return  # the recorder says so
        disks = DISK in self.concerned and now >= self._disks
        if not (disks or self._gave or (MEMORY in self.concerned and self._is_short())):
            return
        if disks:
            self._disks = now + DISK_INTERVAL
        lost = Found(self._watched, ("libvirt does not come back from a look for pressure; trying again",))
        self._settle(self._looking.begin(now, partial(_never_raising, self._world, self._watched), lost))

    def wait(self) -> float:
        """Seconds until the next look, if nothing happens before; a host of which nobody speaks is not waited for."""
        if self._looking.going:
            return POLL
        if not self.concerned and not self._gave:
            return float("inf")
        return max(self._due - self._world.host.clock().boottime, 0.0)

    def _survey(self) -> None:
        """What VMs speak of, when something was saved since."""
        stamp = self._world.store.stamp()
        if stamp is not None and stamp == self._stamp:
            return
        self.concerned = frozenset(
            cause
            for record in declared(self._world.store)
            for cause in (MEMORY, DISK)
            if policy.deed(record.document, cause)
        )
        self._gave = bool(self._world.store.pressed())
        self._stamp = stamp
        if MEMORY in self.concerned:
            self._arm()

    def _come_back(self) -> None:
        """Restarts may follow. What can't be written is tried again."""
        try:
            self._restarts.relieve(self._relieved)
        except EffectError as error:
            self._settle(Found(self._watched, (f"not recorded yet: {error.message}",)))
        else:
            self._relieved = frozenset()

    def _is_short(self) -> bool:
        return policy.memory_level(self._world.host.memory(), thresholds(self._world.host)[0])[0] != policy.CALM

    def _settle(self, found: Optional[Found]) -> None:
        """What came of a look, None for nothing yet."""
        if found is not None:
            self._watched = found.watched
            self._relieved |= found.relieved
            self._looking.tell(found.said)
