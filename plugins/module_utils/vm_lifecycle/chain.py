# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known while a plan is carried out: of one VM's chain of actions, and of the run as a whole."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Set, Tuple, Type

from .errors import EffectError
from .host_changes import LogOperation
from .plans import Conduct, Entry

if TYPE_CHECKING:
    from .actions import Action
    from .boots import StartRecord
    from .changes import StoreChange
    from .disks import VolumeVerdict
    from .model import ClockMemory, Document
    from .ports import World
    from .recoveries import Recovery
    from .removals import Intent

#: Failures that mean "not now": when nothing was begun, the VM waits for the next run.
POSTPONING = (
    "busy",
    "connection_failed",
    "outside_window",
    "insane_clock",
    "low_resources",
    "changed_meanwhile",
    "storage_unreadable",
)


@dataclass
class Chain:
    """One VM's actions while they are carried out: what was done, and what is known by now."""

    entry: Entry
    done: List[Action] = field(default_factory=list)
    error: Optional[EffectError] = None
    intent: Optional[Intent] = None
    verdicts: Tuple[VolumeVerdict, ...] = ()
    schedule: Optional[Document] = None
    #: Nothing was carried out: what would be left if nothing failed.
    predicted: bool = False
    #: libvirt was told to undefine the VM: from here on only finishing is right, unless the VM turns out to exist.
    irreversible: bool = False
    #: The store knows the removal as completed: what is left of it only has to be put away, and is not done again.
    complete: bool = False
    #: Something was done to the host, not only to our own books.
    touched: bool = False
    #: Its NVRAM stays when it is undefined, by the last look at its storage.
    keep_nvram: bool = True
    #: NVRAM files that go with the disks when an undo is over.
    nvram: Tuple[VolumeVerdict, ...] = ()
    #: Who else uses its disks, as UndoRecord.sharers.
    sharers: Dict[str, List[str]] = field(default_factory=dict)
    #: At host boot, how its start went; at host shutdown, in words, how it went down, and whether that was not the way declared.
    start: Optional[StartRecord] = None
    way: str = ""
    fell_back: bool = False
    #: What is kept of it for recovery since this run.
    kept: Optional[Recovery] = None
    #: Paths of volumes whose deletion was confirmed.
    deleted: Set[str] = field(default_factory=set)

    @property
    def changed(self) -> bool:
        """Whether something was really done to the host, or would be."""
        return self.touched or (self.predicted and self.entry.changes)

    @property
    def waits(self) -> bool:
        """Whether it only was not the time: nothing was done, and the next run may find it different."""
        return self.error is not None and self.error.code in POSTPONING and not self.touched


@dataclass
class Run:
    """State of one run: the ports, the clock's memory it began with, and store changes that wait to be written together.

    Its chains may be carried out at the same time, in threads.
    """

    world: World
    clock: ClockMemory
    now: float
    conduct: Conduct = field(default_factory=Conduct)
    pending: List[StoreChange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def save_now(self, *changes: StoreChange) -> None:
        """Write what waits and these, before something irreversible may rely on them."""
        with self._lock:
            batch, self.pending = [*self.pending, *changes], []
            try:
                self.world.store.save([change for change in batch if self._kept(change)])
            except EffectError:
                self.pending = batch[: len(batch) - len(changes)]  # what could not be written waits on
                raise
        for change in batch:
            if isinstance(change, LogOperation) and self._kept(change):
                self.world.host.journal(change)

    def later(self, *changes: StoreChange) -> None:
        """Write these with whatever is written next, at the end of the run at the latest."""
        with self._lock:
            self.pending.extend(changes)

    def _kept(self, change: StoreChange) -> bool:
        """log_cleanup_operations off: failures are kept all the same."""
        return self.conduct.log or not isinstance(change, LogOperation) or change.outcome == "failed"

    def log(self, entry: Entry, operation: str, outcome: str, message: str = "") -> LogOperation:
        """A line of the operation log, stamped with the latest time that the run has read."""
        return LogOperation(int(self.now), entry.uuid, entry.name, operation, outcome, message)


#: A handler takes the one type of action that it is listed for.
Handler = Callable[[Run, Chain, Any], None]
Handlers = Mapping[Type[object], Handler]
