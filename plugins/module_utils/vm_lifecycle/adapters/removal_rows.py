# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and files of the store about removals. Whatever is not of their shape raises ValueError, TypeError or KeyError."""

from __future__ import annotations

from typing import Any

from ..disks import FileIdentity, SavedDomain, VolumeVerdict
from ..removals import Intent, Notice, SeenVm, SweepPlan, UndoRecord
from ..times import iso

NOTICE_COLUMNS = "key, kind, uuid, name, message, queued_unix, delivered_unix, attempts, error"


def decode_plan(stored: Any) -> SweepPlan:
    """A SweepPlan."""
    plan = SweepPlan(**{**stored, "vms": tuple(SeenVm(**vm) for vm in stored["vms"])})
    iso(plan.created_unix)
    for vm in plan.vms:
        iso(vm.confirmed_unix)
    return plan


def decode_notice(row: Any) -> Notice:
    """A Notice from its columns."""
    return Notice(*row)


def decode_intent(stored: Any) -> Intent:
    """An Intent. One of an earlier version has fewer fields, whose defaults say what it meant."""
    intent = Intent(**{**stored, "volumes": _verdicts(stored["volumes"])})
    iso(intent.started_unix)
    if not isinstance(intent.schedule, dict) or not isinstance(intent.name, str):
        raise ValueError("not an intent")
    return intent


def decode_undo(stored: Any) -> UndoRecord:
    """An UndoRecord."""
    saved = SavedDomain(**{**stored["saved"], "snapshots": tuple(stored["saved"]["snapshots"])})
    record = UndoRecord(**{**stored, "saved": saved, "volumes": _verdicts(stored["volumes"])})
    iso(record.removed_unix)
    iso(record.until_unix)
    if not isinstance(record.document["revision"], int) or not isinstance(record.schedule, dict):
        raise ValueError("not an undo record")
    return record


def _verdicts(stored: Any) -> Any:
    return tuple(
        VolumeVerdict(**{
            **verdict,
            "used_by": tuple(verdict["used_by"]),
            "identity": FileIdentity(**verdict["identity"]) if verdict["identity"] else None,
        })
        for verdict in stored
    )  # fmt: skip
