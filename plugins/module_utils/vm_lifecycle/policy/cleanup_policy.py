# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's VmCleanupPolicy as the engine uses it: defaults filled in, times parsed."""

from __future__ import annotations

from datetime import tzinfo
from typing import List, Mapping, Optional, Tuple

from ..errors import Problem
from ..frozen import dataclass
from ..model import Document, Pressure
from ..removals import Hooks
from ..schema import violations, with_defaults
from .window import Window, closing_time, next_open, parse_clock_time

#: What of a host's policy holds for a call with a policy of its own too, unless the call gives that very option: whatever keeps VMs
#: or a way back to them, and the hooks, since messages go by the host's own. Other options that protect do so by default.
PROTECTING = (
    "cleanup_enabled",
    "dry_run_mode",
    "require_synchronised_clock",
    "require_confirmation",
    "max_removals",
    "max_removal_percent",
    "max_removal_gib",
    "undo_hours",
    "require_notice",
    "notify_before_hours",
    "alert_command",
    "alert_webhook",
)


@dataclass(frozen=True)
class CleanupPolicy:
    """document is the whole VmCleanupPolicy, with its additions; window is its daily window in the host's zone."""

    document: Document
    window: Window

    @property
    def enabled(self) -> bool:
        """cleanup_enabled."""
        return bool(self.document["cleanup_enabled"])

    @property
    def dry_run(self) -> bool:
        """dry_run_mode."""
        return bool(self.document["dry_run_mode"])

    def limit(self, name: str) -> int:
        """The value of an option that is a number."""
        return int(self.document[name])

    @property
    def confirmation(self) -> bool:
        """require_confirmation."""
        return bool(self.document["require_confirmation"])

    @property
    def notice_required(self) -> bool:
        """require_notice."""
        return bool(self.document["require_notice"])

    @property
    def alerts(self) -> bool:
        """alert_on_cleanup_failure."""
        return bool(self.document["alert_on_cleanup_failure"])

    @property
    def hooks(self) -> Hooks:
        """Whom to tell."""
        return Hooks(tuple(self.document.get("alert_command") or ()), self.document.get("alert_webhook") or "")

    @property
    def pressure_limits(self) -> Pressure:
        """Pressure above which no removal begins; all None without skip_on_low_resources."""
        if not self.document["skip_on_low_resources"]:
            return Pressure()
        return Pressure(*(float(self.limit(f"max_{name}_pressure")) for name in ("cpu", "io", "memory")))

    @property
    def synchronised_only(self) -> bool:
        """require_synchronised_clock."""
        return bool(self.document["require_synchronised_clock"])

    def closing(self, now: float, ignore_window: bool = False) -> Optional[float]:
        """Until when a removal may begin; None when none may begin now."""
        if ignore_window or not self.document["cleanup_in_window_only"]:
            return float("inf")
        return closing_time(self.window, now)

    def effective(self, scheduled: float) -> float:
        """The first moment at or after a deadline at which a sweep may remove the VM."""
        return next_open(self.window, scheduled) if self.document["cleanup_in_window_only"] else scheduled


def beside(own: Mapping[str, object], given: Mapping[str, object]) -> Document:
    """The options of a call's policy, over what protects in the host's own; a dry_run_mode of the host is not lifted."""
    kept = {name: own[name] for name in PROTECTING if name in own}
    return {**kept, **given, **({"dry_run_mode": True} if own.get("dry_run_mode") else {})}


def pressed(pressure: Pressure, limits: Pressure) -> str:
    """Which pressure is above its limit, in words; empty for none. What the kernel does not tell is no reason to wait."""
    for name in ("cpu", "io", "memory"):
        value, limit = getattr(pressure, name), getattr(limits, name)
        if value is not None and limit is not None and value > limit:
            return f"{name} pressure is {value:.0f} %, above {limit:.0f} %"
    return ""


def decode(document: Mapping[str, object], zone: tzinfo, where: str) -> Tuple[Optional[CleanupPolicy], List[Problem]]:
    """A policy, or every problem that it has. zone: that of its window. where names its origin in messages."""
    problems = _times(document, where)
    timed = {problem.field.rsplit(".", 1)[-1] for problem in problems}
    for broken in violations("VmCleanupPolicy", {k: v for k, v in document.items() if k not in timed}):
        problems.append(Problem("invalid_option", broken.rule, "", f"{where}.{broken.field}"))
    if problems:
        return None, problems
    whole = with_defaults("VmCleanupPolicy", dict(document))
    start, end = (parse_clock_time(whole[f"cleanup_window_{edge}"]) for edge in ("start", "end"))
    return CleanupPolicy(whole, Window(start, end, zone)), []


def _times(document: Mapping[str, object], where: str) -> List[Problem]:
    problems = []
    for name in ("cleanup_window_start", "cleanup_window_end"):
        value = document.get(name)
        if value is None or isinstance(value, bool):
            continue
        try:
            parse_clock_time(str(value))
        except ValueError as error:
            code = "unquoted_time" if str(value).isdigit() else "invalid_option"
            problems.append(Problem(code, str(error), "", f"{where}.{name}"))
    return problems
