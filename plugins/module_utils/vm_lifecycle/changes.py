# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be written to the store, as data: a closed set of changes, of which a save makes all durable or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, FrozenSet, Mapping, Union

from .frozen import dataclass
from .host_changes import LogOperation, RememberBoot, RememberClock, RememberStart, RememberState

if TYPE_CHECKING:
    from .model import Document, Record
    from .pressures import Pressed
    from .recoveries import Recovery
    from .removals import Notice, SweepPlan
    from .restarts import RestartRecord
    from .snapshots import Sample, SweepRun


@dataclass(frozen=True)
class Remember:
    """What is known of a VM replaces what was, unless a higher revision is known already.

    A sweep that looked before another run declared anew must not make the store believe the older declaration.
    """

    record: Record


@dataclass(frozen=True)
class Forget:
    """Record, schedule, last state, start, restarts and snapshots of a VM are dropped. What was suspended is resumed all the same."""

    uuid: str


@dataclass(frozen=True)
class RememberSchedule:
    """A VmCleanupSchedule of a VM."""

    uuid: str
    schedule: Document


@dataclass(frozen=True)
class RememberPools:
    """Storage pools that this host is known to have: name -> epoch seconds since which it is missed, 0 when it is there.

    Replaces what was known.
    """

    pools: Mapping[str, int]


@dataclass(frozen=True)
class RememberPlan:
    """A plan that waits for confirmation, or was confirmed; replaces the one of the same id."""

    plan: SweepPlan


@dataclass(frozen=True)
class QueueNotice:
    """A message for the host's hooks, unless one with the same key is known already."""

    notice: Notice


@dataclass(frozen=True)
class NoticeTried:
    """A delivery was tried at at_unix. error empty: it arrived."""

    key: str
    at_unix: int
    error: str = ""


@dataclass(frozen=True)
class Prune:
    """What ended before before_unix is dropped: operation log, snapshots, completed schedules, notices that need no delivery any more.

    What is known of a removed VM goes with its completed schedule; what was seen of VMs that nobody has or knows goes, too.
    Never a schedule that is not completed, and no undo record; nor anything of VMs that exist again: existing, UUIDs.
    A line of the log that was written after one of a time between before_unix and now_unix stays, however old it claims to be:
    the clock had stepped back. Later times are no such proof, or a clock that was ahead once would keep everything.
    """

    before_unix: int
    existing: FrozenSet[str] = frozenset()
    now_unix: int = 0


@dataclass(frozen=True)
class DropPlan:
    """A plan that is no longer valid."""

    plan_id: str


@dataclass(frozen=True)
class RememberRecovery:
    """What is kept to make a VM again; replaces what was kept of it."""

    recovery: Recovery


@dataclass(frozen=True)
class RememberRestart:
    """Where a VM is between its stop and its restart."""

    restart: RestartRecord


@dataclass(frozen=True)
class RememberPressed:
    """A VM gives way because its host is short of something."""

    pressed: Pressed


@dataclass(frozen=True)
class ForgetPressed:
    """It need not any more."""

    uuid: str


@dataclass(frozen=True)
class ForgetRecovery:
    """Nothing is kept of a VM any more."""

    uuid: str


@dataclass(frozen=True)
class RememberSnapshot:
    """A snapshot of a VM is kept, with what the next one is measured against; older ones than the newest keep of that VM are dropped."""

    sample: Sample
    keep: int


@dataclass(frozen=True)
class RememberSweep:
    """How the timer's last sweep ended."""

    sweep: SweepRun


StoreChange = Union[
    Remember,
    Forget,
    RememberSchedule,
    RememberClock,
    RememberPools,
    RememberPlan,
    DropPlan,
    QueueNotice,
    NoticeTried,
    Prune,
    RememberState,
    RememberStart,
    RememberBoot,
    RememberRecovery,
    RememberRestart,
    RememberPressed,
    ForgetPressed,
    ForgetRecovery,
    RememberSnapshot,
    RememberSweep,
    LogOperation,
]
