# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a temporary VM's time is over. All times are epoch seconds; all spans are hours of 3600 s."""

from __future__ import annotations

from typing import Optional

from ..model import HOUR, Document

#: The schema's own upper bound of ttl_hours, taken for the whole life as a temporary VM.
LIFE_LIMIT_HOURS = 8760


def deadline(base: int, ttl_hours: int) -> int:
    """The moment from which a VM counts as expired."""
    return base + ttl_hours * HOUR


def base_of(persistence: Document) -> int:
    """The moment from which ttl_hours counts: creation, conversion to temporary, or the last renewal."""
    return int(persistence["scheduled_cleanup"]) - int(persistence["ttl_hours"]) * HOUR


def life_end(temporary_since: int) -> int:
    """The end of the longest life that a temporary VM may have."""
    return temporary_since + LIFE_LIMIT_HOURS * HOUR


def exceeds_life_limit(temporary_since: int, scheduled: int) -> bool:
    """Whether a deadline would carry a VM past that."""
    return scheduled > life_end(temporary_since)


def is_expired(persistence: Document, now: float) -> bool:
    """Whether a temporary VM's deadline has come. A VM without one is never expired."""
    scheduled = persistence.get("scheduled_cleanup")
    return persistence["mode"] == "temporary" and scheduled is not None and now >= scheduled


def hours_left(persistence: Document, now: float) -> Optional[float]:
    """Hours until the deadline, negative when it is past; None for a VM without one."""
    scheduled = persistence.get("scheduled_cleanup")
    return None if scheduled is None else (int(scheduled) - now) / HOUR
