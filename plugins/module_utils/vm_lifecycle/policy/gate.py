# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate in front of every removal (Janitor Monkey's, widened): all conditions hold, or the VM stays and the first reason is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, Tuple

from ..metadata import Declaration
from ..model import Document
from ..times import iso
from .cleanup_policy import CleanupPolicy
from .clock import ClockVerdict
from .expiry import is_expired


@dataclass(frozen=True)
class Circumstances:
    """What holds for the whole sweep."""

    now: float
    clock: ClockVerdict
    synchronised: bool
    policy: CleanupPolicy
    ignore: FrozenSet[str] = frozenset()


@dataclass(frozen=True)
class Decision:
    """decision: removed, kept or waiting. reason is a code of reasons.DECISIONS."""

    decision: str
    reason: str
    message: str


def decide(name: str, declaration: Declaration, persistent: bool, known: bool, at: Circumstances) -> Decision:
    """Whether a VM is removed now. known: the store has seen this VM before."""
    reason, detail = _protected(declaration, persistent, at)
    if reason:
        return Decision("kept", reason, f"{name}: {detail}" if detail else f"{name} is kept")
    reason, detail = _postponed(known, at)
    if reason:
        return Decision("waiting", reason, f"{name}: {detail}")
    persistence = declaration.document["persistence"]
    moment = iso(persistence["scheduled_cleanup"])
    if is_expired(persistence, at.now):
        return Decision("removed", "expired", f"{name} expired {moment}")
    return Decision("removed", "requested", f"{name} was named, its deadline {moment} was lifted")


def _protected(declaration: Declaration, persistent: bool, at: Circumstances) -> Tuple[str, str]:
    """What keeps a VM however long one waits, or until a person acts."""
    if not persistent:
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
    return "", ""


def _left(persistence: Document) -> str:
    return f"expires {iso(persistence['scheduled_cleanup'])}"


def _postponed(known: bool, at: Circumstances) -> Tuple[str, str]:
    """What makes a VM wait whose time is over. dry_run_mode comes last, so that it names just what a real run would do."""
    reason, detail = _host_closed(at)
    if reason:
        return reason, detail
    if not known:
        return "newly_seen", "this host's store did not know it; marked now, removed from the next sweep on"
    if at.policy.closing(at.now, "window" in at.ignore) is None:
        return "outside_window", f"the window opens {iso(at.policy.effective(at.now))}"
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
