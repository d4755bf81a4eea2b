# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on record of a host: its clock, its last sweep, its last boot, and what was done to its VMs."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Sequence

from ..errors import EffectError, refuse
from ..host_changes import LogOperation
from ..model import Document
from ..policy.cleanup_policy import CleanupPolicy
from ..ports import World
from ..snapshots import SweepRun
from ..times import iso
from .boot_timeline import last_boot
from .host import HostSeen

#: Operations that are told, so that a result keeps to a size. An error may quote a whole definition, so a text is bounded, too.
OPERATIONS, LONGEST = 200, 1000
#: Options of the clean-up policy that say whether a sweep is to be expected.
SHOWN = ("cleanup_enabled", "dry_run_mode", "check_interval_minutes")


def with_history(seen: HostSeen, world: World, policy: Optional[CleanupPolicy], warnings: Sequence[str]) -> HostSeen:
    """The same, with the history of the host. warnings: of the call. Raises LifecycleError when the store can't be read."""
    try:
        history = {
            "now": iso(seen.clock.now),
            "cleanup": {name: policy.document[name] for name in SHOWN} if policy is not None else None,
            "sweep": _sweep(world.store.sweep()),
            "boot": last_boot(world.store),
            "warnings": [*warnings, *seen.damage],
            "operations": _operations(world.store.operations(OPERATIONS)),
        }
    except EffectError as error:
        raise refuse(error.code, error.message) from error
    return replace(seen, on_record=history)


def _sweep(last: Optional[SweepRun]) -> Optional[Document]:
    if last is None:
        return None
    told = {word: value for word, value in vars(last).items() if word != "ended_unix"}
    return {**told, "ended_at": iso(last.ended_unix), "message": last.message[:LONGEST]}


def _operations(lines: List[LogOperation]) -> List[Document]:
    return [
        {
            "at": iso(line.at_unix),
            "uuid": line.uuid,
            "name": line.name,
            "operation": line.operation,
            "outcome": line.outcome,
            "message": line.message[:LONGEST],
        }
        for line in lines
    ]
