# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and files of the store about removals. Whatever is not of their shape raises ValueError, TypeError or KeyError."""

from __future__ import annotations

from typing import Any, Tuple
from xml.etree import ElementTree

from ..disks import FileIdentity, SavedDomain, VolumeVerdict
from ..removals import Intent, Notice, SeenVm, SweepPlan, UndoRecord
from .declared_rows import document, require, schedule, whole_number
from .plain_rows import plain, typed

NOTICE_COLUMNS = "key, kind, uuid, name, message, queued_unix, delivered_unix, attempts, error"


def decode_plan(stored: Any) -> SweepPlan:
    """A SweepPlan."""
    return typed(SweepPlan(**{**stored, "vms": tuple(plain(SeenVm, vm) for vm in stored["vms"])}))


def decode_notice(row: Any) -> Notice:
    """A Notice from its columns."""
    return Notice(*row)


def decode_intent(stored: Any) -> Intent:
    """An Intent. One of an earlier version has fewer fields, whose defaults say what it meant."""
    intent = typed(Intent(**{**stored, "volumes": _verdicts(stored["volumes"])}))
    schedule(intent.schedule)
    whole_number(intent.revision, "revision")
    return intent


def decode_undo(stored: Any) -> UndoRecord:
    """An UndoRecord, whose XML is whole."""
    saved = typed(SavedDomain(**{**stored["saved"], "snapshots": _texts(stored["saved"]["snapshots"])}))
    record = typed(UndoRecord(**{**stored, "saved": saved, "volumes": _verdicts(stored["volumes"])}))
    document(record.document)
    schedule(record.schedule)
    whole_number(record.document["revision"], "revision")
    try:
        ElementTree.fromstring(saved.xml)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    return record


def _verdicts(stored: Any) -> Tuple[VolumeVerdict, ...]:
    require(stored, list, "volumes")
    return tuple(
        typed(VolumeVerdict(**{
            **verdict,
            "used_by": _texts(verdict["used_by"]),
            "identity": plain(FileIdentity, verdict["identity"]) if verdict["identity"] is not None else None,
        }))
        for verdict in stored
    )  # fmt: skip


def _texts(stored: Any) -> Tuple[str, ...]:
    require(stored, list, "a list of texts")
    for text in stored:
        require(text, str, "a text")
    return tuple(stored)
