# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting VMs in their order, as a state machine without a host: what has happened so far says what happens next.

Times are seconds since the run began. Phases: waiting (for others), delayed (its own delay), starting, resting (before it
is tried again), up (it runs), probing (for SSH), and at the end ready, failed or skipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence, Tuple

from ..frozen import dataclass
from .boot_order import RETRY_PAUSE, waits_for

if TYPE_CHECKING:
    from ..boots import Place

DONE = ("ready", "failed", "skipped")
#: Failures that another start does not change: somebody wants it otherwise.
FINAL = ("changed_meanwhile",)


@dataclass(frozen=True)
class Step:
    """Where a VM is on its way up. turn: when its turn came; begun: when its first start began; started: when it ran.

    since: when this phase began.
    """

    phase: str = "waiting"
    since: float = 0.0
    turn: float = 0.0
    begun: float = 0.0
    started: float = 0.0
    #: Starts, and waits for SSH, that were begun.
    attempts: int = 0
    probes: int = 0
    #: UUID of the VM that was done last of those that it waited for.
    after: str = ""
    reason: str = ""
    message: str = ""

    @property
    def done(self) -> bool:
        """Whether nobody has to wait for it any more."""
        return self.phase in DONE


@dataclass(frozen=True)
class Moves:
    """What follows now: steps as they become, VMs to start and to probe, and when to look again at the latest."""

    steps: Mapping[str, Step]
    start: Tuple[str, ...] = ()
    probe: Tuple[str, ...] = ()
    wake: Optional[float] = None


class Order:
    """The order of one run. unmet: UUID -> dependency that is neither part of the run nor running."""

    def __init__(self, places: Sequence[Place], unmet: Mapping[str, str], cap: int) -> None:
        self.places = {place.uuid: place for place in places}
        self._waits_for = waits_for(places)
        by_name = {place.name: place.uuid for place in places}
        self._depends_on: Dict[str, List[str]] = {
            place.uuid: [by_name[name] for name in place.depends_on if name in by_name] for place in places
        }
        self._unmet = unmet
        self._cap = cap

    def begin(self) -> Dict[str, Step]:
        """Everybody waits."""
        return {uuid: Step() for uuid in self.places}

    def advance(self, steps: Mapping[str, Step], now: float) -> Moves:
        """All that follows from the steps at this moment. A VM that is skipped may let others go, and so on."""
        known = dict(steps)
        moved = True
        while moved:
            moved = False
            for uuid, step in known.items():
                following = self._next(uuid, step, known, now)
                moved = moved or following is not step
                known[uuid] = following
        return self._with_starts(known, now)

    def _next(self, uuid: str, step: Step, known: Mapping[str, Step], now: float) -> Step:
        if step.phase != "waiting":
            return step
        waited, order = self._waits_for[uuid], self.places[uuid].order
        if not all(known[each].done for each in waited if self.places[each].order < order):
            return (
                step  # also one that will be skipped: higher orders wait for it, and so for all that are lower than it
            )
        done = sorted(each for each in waited if known[each].done)
        last = max(done, key=lambda each: (known[each].since, known[each].phase != "skipped"), default="")
        failed = self._failed_dependency(uuid, known)
        if failed:
            return replace(
                step, phase="skipped", since=now, turn=now, after=last, reason="dependency_failed", message=failed
            )
        return replace(step, phase="delayed", since=now, turn=now, after=last) if len(done) == len(waited) else step

    def _failed_dependency(self, uuid: str, known: Mapping[str, Step]) -> str:
        """Why it can't be started, "" as long as it may be."""
        if uuid in self._unmet:
            return f"it depends on {self._unmet[uuid]}, which is not started"
        for each in self._depends_on[uuid]:
            step, place = known[each], self.places[each]
            if step.phase == "skipped" or (step.phase == "failed" and place.on_failure != "ignore"):
                return f"it depends on {place.name}, which did not come up"
        return ""

    def _with_starts(self, known: Dict[str, Step], now: float) -> Moves:
        """Begin what is due, as many at once as the cap allows: lower orders first, then whoever waited longer."""
        moments = {uuid: self._due(uuid, step) for uuid, step in known.items()}
        due = [
            (self.places[uuid].order, at, self.places[uuid].name, uuid)
            for uuid, at in moments.items()
            if at is not None
        ]
        going = sum(step.phase == "starting" for step in known.values())
        start: List[str] = []
        wake: Optional[float] = None
        for _order, moment, _name, uuid in sorted(due):
            if moment > now:
                wake = moment if wake is None else min(wake, moment)
            elif going < self._cap:
                going += 1
                start.append(uuid)
                step = known[uuid]
                begun = step.begun if step.attempts else now
                known[uuid] = replace(step, phase="starting", since=now, begun=begun, attempts=step.attempts + 1)
        probe = [uuid for uuid, step in known.items() if step.phase == "up"]
        for uuid in probe:
            known[uuid] = replace(known[uuid], phase="probing", since=now, probes=known[uuid].probes + 1)
        return Moves(known, tuple(start), tuple(probe), wake)

    def _due(self, uuid: str, step: Step) -> Optional[float]:
        """When it is to be started, None when that is no question."""
        if step.phase == "delayed":
            return step.turn if self.places[uuid].running else step.turn + self.places[uuid].delay
        return step.since + RETRY_PAUSE if step.phase == "resting" else None

    def started(self, uuid: str, step: Step, now: float, error: Tuple[str, str] = ("", "")) -> Step:
        """A start ended. error: (code, message), empty when the VM runs."""
        place = self.places[uuid]
        if not error[0]:
            phase = "up" if place.wait_for_ssh else "ready"
            return replace(step, phase=phase, since=now, started=now, reason="", message="")
        again = place.on_failure == "retry" and step.attempts < place.retries and error[0] not in FINAL
        return replace(step, phase="resting" if again else "failed", since=now, reason=error[0], message=error[1])

    def hung(self, step: Step, now: float) -> Step:
        """A job does not come back. It is not tried again: what hangs holds the VM."""
        what = "starting it" if step.phase == "starting" else "looking for its addresses"
        said = f"libvirt has not come back from {what} in {now - step.since:.0f} s"
        return replace(step, phase="failed", since=now, reason="effect_failed", message=said)

    def probed(self, uuid: str, step: Step, now: float, problem: str, runs: bool) -> Step:
        """A wait for SSH ended. problem: why it counts as silent, "" when it answered; runs: whether the VM still does.

        A VM that runs is never started anew: under retry it is waited for once more.
        """
        if not problem:
            return replace(step, phase="ready", since=now)
        if not runs:
            return self.started(uuid, step, now, ("stopped_again", problem))
        if self.places[uuid].on_failure == "retry" and step.probes < 2:
            return replace(step, phase="up", since=now)
        return replace(step, phase="failed", since=now, reason="ssh_silent", message=problem)
