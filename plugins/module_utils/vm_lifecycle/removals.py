# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of removals: plans that people confirm, whom to tell, what has begun, and what can be undone."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Dict, List, Tuple

from .frozen import dataclass

if TYPE_CHECKING:
    from .disks import SavedDomain, VolumeVerdict
    from .model import Document


@dataclass(frozen=True)
class Hooks:
    """Whom to tell: a command that reads an event as JSON on its standard input, an address that takes it by POST."""

    command: Tuple[str, ...] = ()
    webhook: str = ""


@dataclass(frozen=True)
class Notice:
    """A message for the hooks. kind: expiring, failed or confirmation. delivered_unix 0: not arrived yet."""

    key: str
    kind: str
    uuid: str
    name: str
    message: str
    queued_unix: int
    delivered_unix: int = 0
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True)
class SeenVm:
    """A VM in a plan as a person saw it. digest: over UUID, deadline and verdicts. confirmed_unix 0: not confirmed."""

    uuid: str
    name: str
    digest: str
    confirmed_unix: int = 0


@dataclass(frozen=True)
class SweepPlan:
    """A plan that waits for confirmation, or that was confirmed, as a whole or for some of its VMs."""

    plan_id: str
    digest: str
    created_unix: int
    vms: Tuple[SeenVm, ...] = ()


@dataclass(frozen=True)
class Intent:
    """A removal that has begun. armed: the VM is about to be undefined; once it is, the removal is finished."""

    uuid: str
    name: str
    #: Digest of the metadata text that the removal was planned on.
    digest: str
    #: The VM's inactive definition, so that nothing but the disks' content is lost.
    definition: str
    volumes: Tuple[VolumeVerdict, ...] = ()
    armed: bool = False
    started_unix: int = 0
    schedule: Document = field(default_factory=dict)
    #: Epoch seconds until which the disks are kept for an undo; 0: they go with the VM.
    undo_until: int = 0
    #: The VM was removed before, for an undo, whose time is over now.
    purge: bool = False
    #: Revision of its declaration: a VM that comes back with it, by somebody's hand, is not removed again.
    revision: int = 0


@dataclass(frozen=True)
class UndoRecord:
    """A VM that was removed and whose disks are still there. volumes: verdicts on them, as they will be purged."""

    uuid: str
    name: str
    removed_unix: int
    until_unix: int
    saved: SavedDomain
    #: Digest of its metadata text, and the document in it.
    digest: str = ""
    document: Document = field(default_factory=dict)
    volumes: Tuple[VolumeVerdict, ...] = ()
    schedule: Document = field(default_factory=dict)
    #: Path of a disk -> UUIDs of the VMs that used it then; its own if it had the disk in another role, too, "" for a file of no VM.
    sharers: Dict[str, List[str]] = field(default_factory=dict)
