# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's part in limits: VMs that were started are limited, and disks are looked at from time to time."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Optional, Sequence

from .boots import PowerEvent
from .errors import EffectError, LifecycleError
from .ports import World
from .run import run

#: Seconds between two looks at disks, and after which a VM that another run had is looked at again.
INTERVAL = 60.0
#: Seconds between two looks whether the disks of any VM are limited at all: most hosts have none, and pay for no more than this.
SURVEY = 600.0


class Enforcer:
    """waiting: VMs that were started and not limited yet. What fails is said once, and tried again after INTERVAL."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.waiting: FrozenSet[str] = frozenset()
        self._due = 0.0
        self._said: FrozenSet[str] = frozenset()
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
        if now < self._due:
            return
        self._due = now + INTERVAL
        waiting, self.waiting = self.waiting, frozenset()
        problems = []
        if self._fresh:
            problems += self._run({}, None)
        elif waiting:
            problems += self._run({"uuids": sorted(waiting)}, waiting)
        if now >= self._survey:
            self._survey, self._disks = now + SURVEY, self._limited()
        if not self._fresh and self._disks:
            problems += self._run({"groups": False}, None)
        self._fresh = False
        for problem in problems:
            if problem not in self._said:
                self._world.host.progress(problem)
        self._said = frozenset(problems)

    def _limited(self) -> bool:
        """Whether the disks of any VM are limited at all: most hosts are not looked at."""
        try:
            records = self._world.store.records().values()
        except EffectError:
            return self._disks
        return any((record.document.get("policy") or {}).get("enforce_disk_limit") for record in records)

    def _run(self, arguments: Dict[str, object], waiting: Optional[FrozenSet[str]]) -> List[str]:
        from .tasks.limits import TASK  # hosts whose VMs have no policy do without

        try:
            rows = run(TASK, arguments, self._world)["vms"]
        except (EffectError, LifecycleError) as error:
            self.waiting |= waiting or frozenset()
            return [str(error)]
        self.waiting |= frozenset(row["uuid"] for row in rows if row.get("failed") and waiting)
        return [f"{row['message']} [{row['reason']}]" for row in rows if row["reason"] != "limit_enforced"]
