# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's VmCleanupPolicy as the engine uses it: defaults filled in, times parsed, values that nobody acts on refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import List, Mapping, Optional, Tuple

from ..errors import Problem
from ..model import Document
from ..schema import violations, with_defaults
from .window import Window, closing_time, next_open, parse_clock_time

#: Fields that act in this version; another one may only have its default.
ENFORCED = (
    "cleanup_enabled",
    "check_interval_minutes",
    "cleanup_window_start",
    "cleanup_window_end",
    "cleanup_in_window_only",
    "dry_run_mode",
    "require_synchronised_clock",
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


def decode(document: Mapping[str, object], zone: tzinfo, where: str) -> Tuple[Optional[CleanupPolicy], List[Problem]]:
    """A policy, or every problem that it has. where names its origin in messages."""
    problems = _times(document, where)
    timed = {problem.field.rsplit(".", 1)[-1] for problem in problems}
    for broken in violations("VmCleanupPolicy", {k: v for k, v in document.items() if k not in timed}):
        problems.append(Problem("invalid_option", broken.rule, "", f"{where}.{broken.field}"))
    if problems:
        return None, problems
    whole = with_defaults("VmCleanupPolicy", dict(document))
    defaults = with_defaults("VmCleanupPolicy", {})
    idle = [name for name in sorted(document) if name not in ENFORCED and whole[name] != defaults[name]]
    if idle:
        return None, [
            Problem("not_enforced_yet", f"only {defaults[name]!r} is supported by this version", "", f"{where}.{name}")
            for name in idle
        ]
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
