# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks of a supervisor in a thread: one at a time, given up when it hangs, and what there is to say of them told once."""

from __future__ import annotations

from typing import Callable, FrozenSet, Generic, Optional, Sequence, Tuple, TypeVar

from .ports import Jobs, World

#: Seconds after which a look counts as one that hangs.
LOOK_LIMIT = 600.0

Found = TypeVar("Found")


class OneLook(Generic[Found]):
    """jobs: where looks go on, for nothing else: a QEMU that hangs keeps no event from being recorded. Without, begin waits."""

    def __init__(self, world: World, jobs: Optional[Jobs]) -> None:
        self._world, self._jobs = world, jobs
        #: Key of the look that goes on, the moment at which it counts as one that hangs, and what stands for what it would find.
        self._going: Optional[Tuple[str, float, Found]] = None
        self._number = 0
        self._said: FrozenSet[str] = frozenset()

    @property
    def going(self) -> bool:
        """Whether one goes on."""
        return self._going is not None

    def begin(self, now: float, look: Callable[[], Found], lost: Found) -> Optional[Found]:
        """What it found, if that is known at once. lost: what counts as found when it hangs; what comes of it later is nobody's."""
        if self._jobs is None:
            return look()
        self._number += 1
        self._going = (str(self._number), now + LOOK_LIMIT, lost)
        self._jobs.submit(str(self._number), look)
        return None

    def ended(self, now: float) -> Optional[Found]:
        """What the look found that goes on, once, when it has ended or hangs."""
        if self._going is None or self._jobs is None:
            return None
        key, limit, lost = self._going
        found: Optional[Found] = dict(self._jobs.wait(0.0)).get(key)
        if found is None and now >= limit:
            found = lost
        if found is not None:
            self._going = None
        return found

    def tell(self, lines: Sequence[str]) -> None:
        """What the last look did not say already."""
        for line in lines:
            if line not in self._said:
                self._world.host.progress(line)
        self._said = frozenset(lines)
