# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter: carries a plan out through the ports. Nothing else in the engine changes a host.

Every VM is claimed before it is touched and re-read before each step; a chain stops at its first failure, the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple, Type

from . import actions as do
from .changes import Forget, LogOperation, Remember, RememberSchedule, StoreChange
from .errors import DomainGone, EffectError
from .metadata import digest
from .model import ClockMemory, Document, Intent, Record, VolumeVerdict
from .ports import World

#: Decision of an entry -> the word for it in the operation log.
OPERATIONS = {"removed": "remove", "forgotten": "forget"}
#: Failures that mean "not now": when nothing was begun, the VM waits for the next run.
POSTPONING = ("busy", "outside_window", "insane_clock", "changed_meanwhile", "storage_unreadable")


@dataclass
class Chain:
    """One VM's actions while they are carried out: what was done, and what is known by now."""

    entry: do.Entry
    done: List[do.Action] = field(default_factory=list)
    error: Optional[EffectError] = None
    intent: Optional[Intent] = None
    verdicts: Tuple[VolumeVerdict, ...] = ()
    schedule: Optional[Document] = None
    #: Nothing was carried out: what would be left if nothing failed.
    predicted: bool = False
    #: libvirt was told to undefine the VM: from here on only finishing is right, unless the VM turns out to exist.
    irreversible: bool = False
    #: Something was done to the host, not only to our own books.
    touched: bool = False
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
    """State of one run: the ports, the clock's memory it began with, and store changes that wait to be written together."""

    world: World
    clock: ClockMemory
    now: float
    pending: List[StoreChange] = field(default_factory=list)

    def save_now(self, *changes: StoreChange) -> None:
        """Write what waits and these, before something irreversible may rely on them."""
        self.world.store.save([*self.pending, *changes])
        self.pending = []  # only now: what could not be written waits on

    def log(self, entry: do.Entry, operation: str, outcome: str, message: str = "") -> LogOperation:
        """A line of the operation log, stamped with the latest time that the run has read."""
        return LogOperation(int(self.now), entry.uuid, entry.name, operation, outcome, message)


#: A handler takes the one type of action that it is listed for.
Handler = Callable[[Run, Chain, Any], None]


def apply(plan: do.Plan, world: World, clock: ClockMemory, handlers: Mapping[Type[object], Handler]) -> List[Chain]:
    """Carry out every entry of a plan, in order; returns a chain for each entry, also for those without actions."""
    run = Run(world, clock, world.host.clock().now)
    acting = sum(bool(entry.actions) for entry in plan.entries)
    chains: List[Chain] = []
    for entry in plan.entries:
        chain = Chain(entry, verdicts=entry.verdicts, schedule=entry.schedule)
        chains.append(chain)
        if entry.actions:
            if entry.changes:
                world.host.progress(
                    f"{entry.name}: {entry.reason} ({len(chains)} of {len(plan.entries)}, {acting} to do)"
                )
            _carry_out(run, chain, handlers)
            if entry.changes:  # a line a VM, at once: the report comes last, and a killed run has none
                world.host.progress(f"{entry.name}: {chain.error.message if chain.error else entry.decision}")
    _flush(run, chains)
    return chains


def _carry_out(run: Run, chain: Chain, handlers: Mapping[Type[object], Handler]) -> None:
    """One odd VM never stops the others: whatever goes wrong with it is its own failure."""
    try:
        with run.world.host.claim(chain.entry.uuid) as free:
            if free:
                for action in chain.entry.actions:
                    handlers[type(action)](run, chain, action)
                    chain.done.append(action)
            elif chain.entry.changes or chain.entry.decision == "rolled_back":
                # our own books alone are kept by whoever holds the VM
                raise EffectError("busy", "another run is working on it")
    except EffectError as error:
        chain.error = error
    except Exception as error:  # a defect of ours, or of a library: it must not end the sweep
        chain.error = EffectError("effect_failed", f"unexpected: {type(error).__name__}: {error}")
    if chain.error is not None:
        _record_failure(run, chain, chain.error)


def _record_failure(run: Run, chain: Chain, error: EffectError) -> None:
    """Note a failure in the log and, for a removal, in its schedule; what only has to wait has not failed."""
    if chain.intent is None and chain.waits:
        return
    operation = OPERATIONS.get(chain.entry.decision, "declare")
    run.pending.append(run.log(chain.entry, operation, "failed", f"{error.code}: {error.message}"))
    if chain.intent is None:
        return
    schedule = {**chain.intent.schedule, "cleanup_status": "pending", "cleanup_error": f"{error.code}: {error.message}"}
    chain.schedule = schedule
    run.pending.append(RememberSchedule(chain.intent.uuid, schedule))
    _roll_back(run, chain, chain.intent)


def _roll_back(run: Run, chain: Chain, intent: Intent) -> None:
    """Drop the intent unless we undefined the VM: when a person undefines it, its disks are theirs to keep."""
    try:
        domain = run.world.hypervisor.domain(intent.uuid)
        if not chain.irreversible or (domain is not None and domain.persistent):
            run.world.store.drop_intent(intent.uuid)
    except EffectError:
        pass  # libvirt or the disk does not answer: the intent stays, and the next run decides with a fresh look


def _flush(run: Run, chains: List[Chain]) -> None:
    """Write what waits; if that fails, every chain whose record was lost says so: a result must not claim it."""
    if not run.pending:
        return
    try:
        run.save_now()
    except EffectError as error:
        for chain in chains:
            if chain.error is None and any(type(action) in do.BOOKKEEPING for action in chain.done):
                chain.error = error


def check(run: Run, guard: do.Guard) -> None:
    """Re-read a VM just before a step: the same UUID with the same metadata, or the step does not happen."""
    try:
        text = run.world.hypervisor.metadata(guard.uuid)
    except DomainGone as error:
        raise EffectError("changed_meanwhile", "the VM is gone") from error
    if digest(text) != guard.digest:  # unreadable metadata has no digest, as none has
        raise EffectError("changed_meanwhile", "its metadata changed after the plan was made")


def _write_metadata(run: Run, chain: Chain, action: do.WriteMetadata) -> None:
    check(run, action.guard)
    run.world.hypervisor.write_metadata(action.guard.uuid, action.text)
    chain.touched = True
    run.pending.append(run.log(chain.entry, "declare", "done", chain.entry.message))


def _remove_metadata(run: Run, chain: Chain, action: do.RemoveMetadata) -> None:
    check(run, action.guard)
    run.world.hypervisor.write_metadata(action.guard.uuid, None)
    chain.touched = True
    run.pending.append(run.log(chain.entry, "forget", "done"))


def _set_autostart(run: Run, chain: Chain, action: do.SetAutostart) -> None:
    run.world.hypervisor.set_autostart(action.uuid, action.value)
    chain.touched = True


def _keep_record(run: Run, _chain: Chain, action: do.KeepRecord) -> None:
    run.pending.append(Remember(action.record))


def _drop_record(run: Run, _chain: Chain, action: do.DropRecord) -> None:
    run.pending += [Forget(action.uuid), Remember(Record(action.uuid, action.name, action.revision, ""))]


def _drop_intent(run: Run, _chain: Chain, action: do.DropIntent) -> None:
    """Only what the claim confirms: another run may have come further with this removal since it was looked at."""
    intent = next((intent for intent in run.world.store.intents() if intent.uuid == action.uuid), None)
    gone = run.world.hypervisor.domain(action.uuid) is None
    if intent is not None and intent.armed and gone and not action.completed:
        raise EffectError("changed_meanwhile", "its removal went on meanwhile; the next run finishes it")
    run.world.store.drop_intent(action.uuid)


DECLARATIONS: Dict[Type[object], Handler] = {
    do.WriteMetadata: _write_metadata,
    do.RemoveMetadata: _remove_metadata,
    do.SetAutostart: _set_autostart,
    do.KeepRecord: _keep_record,
    do.DropRecord: _drop_record,
    do.DropIntent: _drop_intent,
}
