# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate in front of every removal (Janitor Monkey's, widened): all conditions hold, or the VM stays and the first reason is said."""

from __future__ import annotations

from dataclasses import field
from typing import FrozenSet, NamedTuple, Optional, Tuple

from ..frozen import dataclass
from ..metadata import Declaration
from ..model import Document, Pressure
from ..removals import Notice
from ..times import iso
from .cleanup_policy import CleanupPolicy, pressed
from .clock import ClockVerdict
from .expiry import is_expired
from .notice import arrived_long_enough_ago
from .schedule import given_up, next_try


@dataclass(frozen=True)
class Circumstances:
    """What holds for the whole sweep. named: a person named its VMs; ignore: conditions that they lifted."""

    now: float
    clock: ClockVerdict
    synchronised: bool
    policy: CleanupPolicy
    ignore: FrozenSet[str] = frozenset()
    named: bool = False
    pressure: Pressure = field(default_factory=Pressure)


class Subject(NamedTuple):
    """One VM in front of the gate. known: the store has seen it before. schedule: None for one that is not temporary."""

    name: str
    declaration: Declaration
    persistent: bool
    known: bool
    schedule: Optional[Document] = None
    notice: Optional[Notice] = None


class Decision(NamedTuple):
    """decision: removed, kept or waiting. reason is a code of reasons.DECISIONS."""

    decision: str
    reason: str
    message: str


def decide(subject: Subject, at: Circumstances) -> Decision:
    """Whether a VM is due: everything that concerns it alone. What the host allows now is timing's to say."""
    name = subject.name
    reason, detail = _protected(subject, at)
    if reason:
        return Decision("kept", reason, f"{name}: {detail}" if detail else f"{name} is kept")
    reason, detail = _postponed(subject, at)
    if reason:
        return Decision("waiting", reason, f"{name}: {detail}")
    persistence = subject.declaration.document["persistence"]
    moment = iso(persistence["scheduled_cleanup"])
    if is_expired(persistence, at.now):
        return Decision("removed", "expired", f"{name} expired {moment}")
    return Decision("removed", "requested", f"{name} was named, its deadline {moment} was lifted")


def _protected(subject: Subject, at: Circumstances) -> Tuple[str, str]:
    """What keeps a VM however long one waits, or until a person acts."""
    declaration = subject.declaration
    if not subject.persistent:
        return "transient", "transient domains are left alone"
    if not declaration.valid:
        return declaration.reason, declaration.detail
    persistence = declaration.document["persistence"]
    if persistence["mode"] != "temporary":
        return "permanent", "permanent VMs are never removed"
    held = declaration.document.get("hold")
    if held:
        return "held", f"held since {iso(held['since_unix'])}" + (f": {held['reason']}" if held["reason"] else "")
    expired = is_expired(persistence, at.now)
    if not persistence["auto_cleanup"]:
        # ignore: [expiry] lifts the deadline alone; whoever turned auto_cleanup off decided against any removal by us.
        return (
            ("auto_cleanup_off", "expired, but auto_cleanup is off") if expired else ("not_expired", _left(persistence))
        )
    if not expired and "expiry" not in at.ignore:
        return "not_expired", _left(persistence)
    return _given_up(subject, at)


def _left(persistence: Document) -> str:
    return f"expires {iso(persistence['scheduled_cleanup'])}"


def _given_up(subject: Subject, at: Circumstances) -> Tuple[str, str]:
    """A person who names the VM has it tried again."""
    schedule = subject.schedule
    if schedule is None or at.named or not given_up(schedule, at.policy.limit("max_cleanup_attempts")):
        return "", ""
    attempts, error = schedule["cleanup_attempts"], schedule.get("cleanup_error", "every attempt was interrupted")
    return "gave_up", f"given up after {attempts} attempts, sweep it by name to try again: {error}"


def _postponed(subject: Subject, at: Circumstances) -> Tuple[str, str]:
    """What makes a VM wait whose time is over."""
    reason, detail = _host_closed(at)
    if reason:
        return reason, detail
    if not subject.known:
        return "newly_seen", "this host's store did not know it; marked now, removed from the next sweep on"
    retry = next_try(subject.schedule) if subject.schedule is not None and not at.named else 0.0
    if at.now < retry and subject.schedule is not None:
        return "backing_off", f"tried again from {iso(retry)} on, after: {subject.schedule['cleanup_error']}"
    if (
        at.policy.notice_required
        and "expiry" not in at.ignore
        and not arrived_long_enough_ago(subject.notice, at.policy, at.now)
    ):
        hours = at.policy.limit("notify_before_hours")
        return "not_notified", f"its notice has to arrive {hours} hours before it goes"
    return "", ""


def timing(at: Circumstances) -> Tuple[str, str]:
    """What makes all that is due wait. dry_run_mode comes last, so that it names just what a real run would do."""
    if at.policy.closing(at.now, "window" in at.ignore) is None:
        return "outside_window", f"the window opens {iso(at.policy.effective(at.now))}"
    strained = "" if "load" in at.ignore else pressed(at.pressure, at.policy.pressure_limits)
    if strained:
        return "low_resources", strained
    if at.policy.dry_run:
        return "dry_run_mode", "would be removed, but dry_run_mode is on"
    return "", ""


def may_resume(at: Circumstances) -> Tuple[str, str]:
    """Why an interrupted removal may not be finished now, empty when it may. The window only bounds beginnings."""
    return ("dry_run_mode", "dry_run_mode is on") if at.policy.dry_run else _host_closed(at)


def _host_closed(at: Circumstances) -> Tuple[str, str]:
    if not at.clock.sane:
        return "insane_clock", at.clock.problem
    if at.policy.synchronised_only and not at.synchronised:
        return "clock_unsynchronised", "the clock is not synchronised"
    if not at.policy.enabled and "disabled" not in at.ignore:
        return "cleanup_disabled", "cleanup_enabled is off"
    return "", ""
