# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's part in limits: VMs that were started are limited, and disks are looked at from time to time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Dict, FrozenSet, Optional, Sequence, Tuple

from .boots import PowerEvent
from .errors import EffectError, LifecycleError
from .one_look import OneLook
from .ports import Jobs, World
from .recorder import FEW
from .slices import declared

#: Seconds between two looks at disks, and after which a VM that another run had is looked at again.
INTERVAL = 60.0
#: Seconds between two looks whether the disks of any VM are limited at all: most hosts have none, and pay for no more than this.
SURVEY = 600.0


@dataclass(frozen=True)
class Look:
    """What is looked at together. fresh: all VMs that run; else those that waiting names. disks: those of all VMs as well."""

    waiting: FrozenSet[str]
    fresh: bool
    disks: bool


@dataclass(frozen=True)
class Found:
    """What is to be said after a look, and what it has left: VMs that were not limited, or all of them (fresh)."""

    problems: Tuple[str, ...]
    waiting: FrozenSet[str] = frozenset()
    fresh: bool = False


def carry_out(look: Look, world: World) -> Found:
    """It never raises Exception."""
    if look.fresh:
        found = _run(world, {}, Found((), fresh=True)) if _spoken_of(world) else Found(())
    elif look.waiting:
        found = _run(world, {"uuids": sorted(look.waiting)}, Found((), look.waiting))
    else:
        found = Found(())
    if look.disks and not look.fresh:
        found = replace(found, problems=(*found.problems, *_run(world, {"groups": False}, Found(())).problems))
    return found


def _spoken_of(world: World) -> bool:
    """Whether any VM's metadata has a policy: on most hosts none has, and what limits take need not be in memory."""
    try:
        return any('"policy"' in text for text in world.hypervisor.metadata_texts())
    except EffectError:
        return True


def _run(world: World, arguments: Dict[str, object], left: Found) -> Found:
    """left: what is left when it can't be carried out at all."""
    from .run import run
    from .tasks.limits import TASK  # hosts whose VMs have no policy do without

    try:
        rows = run(TASK, arguments, world)["vms"]
    except (EffectError, LifecycleError) as error:
        return replace(left, problems=(str(error),))
    except Exception as error:  # a defect of ours, or of a library: it must not end the supervisor
        return replace(left, problems=(f"unexpected: {type(error).__name__}: {error}",))
    said = tuple(f"{row['message']} [{row['reason']}]" for row in rows if row["reason"] != "limit_enforced")
    failed = frozenset(row["uuid"] for row in rows if row.get("failed"))
    return Found(said, failed if left.waiting or left.fresh else frozenset())


class Enforcer:
    """waiting: VMs that were started and not limited yet. What fails is said once, and tried again after INTERVAL.

    jobs: as for OneLook.
    """

    def __init__(self, world: World, jobs: Optional[Jobs] = None) -> None:
        self._world = world
        self._looking: OneLook[Found] = OneLook(world, jobs)
        self.waiting: FrozenSet[str] = frozenset()
        self._due = 0.0
        self._survey, self._disks = 0.0, False
        #: VMs may have been started while nobody listened.
        self._fresh = True

    def take(self, events: Sequence[PowerEvent]) -> None:
        """Limit what was started, at once. Never raises: limits must not keep events from being recorded."""
        started = frozenset(event.uuid for event in events if event.kind == "started")
        if started:
            self.waiting |= started
            self._due = 0.0

    def tick(self) -> None:
        """Whatever is due. Never raises EffectError or LifecycleError."""
        now = self._world.host.clock().boottime
        self._settle(self._looking.ended(now))
        if self._looking.going or now < self._due:
            return
        self._due = now + INTERVAL
        if now >= self._survey:
            self._survey, self._disks = now + SURVEY, self._limited()
        look = Look(self._concerned(), self._fresh, self._disks)
        self.waiting, self._fresh = frozenset(), False
        if not (look.waiting or look.fresh or look.disks):
            self._looking.tell(())
            return
        said = "libvirt does not come back from a look at limits; trying again"
        lost = Found((said,), look.waiting, look.fresh)
        self._settle(self._looking.begin(now, partial(carry_out, look, self._world), lost))

    def wait(self) -> float:
        """Nothing is waited for: looks are far apart."""
        return float("inf")

    def _settle(self, found: Optional[Found]) -> None:
        """What came of a look, None for nothing yet."""
        if found is not None:
            self.waiting |= found.waiting
            self._fresh = self._fresh or found.fresh
            self._looking.tell(found.problems)

    def _concerned(self) -> FrozenSet[str]:
        """VMs that wait and have a policy, as far as that is known; a host may start others all the time."""
        if not self.waiting:
            return self.waiting
        try:
            records = self._world.store.records(self.waiting if len(self.waiting) <= FEW else None)
        except EffectError:
            return self.waiting
        return frozenset(uuid for uuid in self.waiting & set(records) if records[uuid].document.get("policy"))

    def _limited(self) -> bool:
        """Whether the disks of any VM are limited at all: most hosts are not looked at."""
        try:
            policies = (record.document.get("policy") or {} for record in declared(self._world.store))
            return any(policy.get("enforce_disk_limit") for policy in policies)
        except EffectError:
            return self._disks
