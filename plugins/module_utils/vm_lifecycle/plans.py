# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do, as data: an entry for each VM with its actions. actions.py has the actions."""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING, Optional, Tuple

from .frozen import dataclass
from .model import Pressure

if TYPE_CHECKING:
    from .actions import Action
    from .changes import StoreChange
    from .disks import VolumeVerdict
    from .model import Document


@dataclass(frozen=True)
class Guard:
    """What must still be true of a VM when something is done to it: its UUID exists, with this metadata text's digest."""

    uuid: str
    digest: Optional[str]


class Bookkeeping:
    """Base of actions that only keep the engine's own books: they never make a result "changed"."""


class Removing:
    """Base of actions with which a removal begins, which takes one of the host's places for that."""


@dataclass(frozen=True)
class Entry:
    """What is planned for one VM: why, and the actions in their order. decision is the word that the result will use."""

    uuid: str
    name: str
    decision: str
    reason: str
    message: str
    actions: Tuple[Action, ...] = ()
    #: The declaration as it will be (after) and as it was (before), without the recorded state of the host.
    before: Optional[Document] = None
    after: Optional[Document] = None
    verdicts: Tuple[VolumeVerdict, ...] = ()
    schedule: Optional[Document] = None
    #: Epoch seconds from which the VM may go, as far as its own deadline is concerned.
    due_unix: Optional[float] = None
    warnings: Tuple[str, ...] = ()
    #: How its limits stand now and afterwards; None when nobody asked.
    limits: Optional[Tuple[Document, Document]] = None

    @property
    def changes(self) -> bool:
        """Whether carrying this out changes the host, and not only our own books."""
        return not all(isinstance(action, Bookkeeping) for action in self.actions)

    @property
    def removes(self) -> bool:
        """Whether it begins to remove something."""
        return any(isinstance(action, Removing) for action in self.actions)


@dataclass(frozen=True)
class Conduct:
    """How a plan is carried out. The defaults are those of a plan that removes nothing.

    batch_size: removals after which the host is looked at again. workers: removals at once, over all runs of the host.
    writers: entries that remove nothing at once, when they are many; more than 1 where none relies on another one.
    """

    batch_size: int = 1
    workers: int = 1
    writers: int = 1
    #: Pressure above which no further batch begins.
    limits: Pressure = field(default_factory=Pressure)
    max_attempts: int = 5
    #: Whether operations that succeed are logged.
    log: bool = True
    #: Whether failures are told to the hooks.
    alert: bool = False
    #: Whether files outside pools may go.
    unpooled: bool = False
    #: Whether nothing is done at all when the store can't be written. Without it that is a failure, but stops nothing.
    needs_store: bool = True
    #: Moment of the boot, in seconds, at which it has to be over; infinity for no limit.
    until: float = math.inf


@dataclass(frozen=True)
class Plan:
    """What a run would do. An empty plan, or one that is not applied, changes nothing."""

    entries: Tuple[Entry, ...] = ()
    warnings: Tuple[str, ...] = ()
    #: What is written to the store first, all of it or nothing.
    books: Tuple[StoreChange, ...] = ()
    conduct: Conduct = field(default_factory=Conduct)
