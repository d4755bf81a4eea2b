# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations and schedules in rows of the store: valid when they were written, so only the types of their values are looked at."""

from __future__ import annotations

from typing import Any

from .._generated.defaults import ADDITIONAL, DEFAULTS
from ..model import Document
from ..times import iso

#: Block of a declaration -> schema, whose defaults say of which type a field is.
BLOCKS = {
    "persistence": "VmPersistence",
    "policy": "VmLifecyclePolicy",
    "autostart": "VmAutoStartConfig",
    "hold": "VmHold",
    "limits": "VmLimits",
    "libvirt_actions_before": "VmLibvirtActions",
}
#: Fields that are times, wherever they are.
MOMENTS = ("created_at_unix", "scheduled_cleanup", "last_state_change", "temporary_since_unix", "since_unix")
#: What every VM has that has a deadline.
WITH_DEADLINE = ("created_at_unix", "ttl_hours", "auto_cleanup", "force_cleanup", "cleanup_grace_period")
#: No deadline is further away than this; times are computed with it.
LONGEST_LIFE = 10**6


def document(stored: Any) -> Document:
    """A VmMetadata document, at least of its shape. Raises ValueError, TypeError, KeyError or OverflowError."""
    require(stored, dict, "a document")
    _moments(stored)
    if "revision" in stored:
        whole_number(stored["revision"], "revision")
    for name, schema in BLOCKS.items():
        if stored.get(name) is not None:
            _block(stored[name], schema)
    persistence = stored.get("persistence")
    if persistence is None:
        return _checked(stored)
    if persistence["mode"] == "temporary" and persistence.get("scheduled_cleanup") is not None:
        for name in WITH_DEADLINE:
            require(persistence[name], (int, bool), name)
    if not 0 <= persistence.get("ttl_hours", 0) <= LONGEST_LIFE:
        raise ValueError("ttl_hours is no life of a VM")
    return _checked(stored)


def schedule(stored: Any) -> Document:
    """A VmCleanupSchedule, as far as it is computed with."""
    require(stored, dict, "a schedule")
    attempts = stored.get("cleanup_attempts", 0)
    if whole_number(attempts, "cleanup_attempts") < 0:
        raise ValueError("cleanup_attempts is no number of attempts")
    return _checked(stored)


def whole_number(value: Any, name: str) -> int:
    """A number that has a column in the database; True is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} is not of its type")
    return value


def require(value: Any, kinds: Any, name: str) -> None:
    """A value of another type is as bad as a missing one."""
    if not isinstance(value, kinds):
        raise ValueError(f"{name} is not of its type")


def _block(stored: Any, schema: str) -> None:
    require(stored, dict, schema)
    _moments(stored)
    for name in (schema, ADDITIONAL.get(schema, schema)):
        for field, default in DEFAULTS[name].items():
            if field in stored and type(stored[field]) is not type(default):
                raise ValueError(f"{field} is not of its type")
    if not all(isinstance(name, str) for name in stored.get("depends_on", ())):
        raise ValueError("depends_on names no VMs")


def _moments(stored: Document) -> None:
    for name in MOMENTS:
        if stored.get(name) is not None:
            iso(whole_number(stored[name], name))  # a time that no calendar has is none


def _checked(stored: Any) -> Document:
    found: Document = stored
    return found
