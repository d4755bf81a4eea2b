# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter: carries a plan out through the ports. Nothing else in the engine changes a host.

Every VM is claimed before it is touched and re-read before each step; a chain stops at its first failure, the others go on.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Sequence, Type

from . import actions as do
from .boots import LastState
from .chain import Chain, Handler, Handlers, Run
from .changes import Forget, QueueNotice, Remember, RememberSchedule
from .errors import DomainGone, EffectError
from .host_changes import RememberState
from .metadata import digest
from .model import ClockMemory, Record
from .patience import POLL, SLOT_WAIT
from .plans import Bookkeeping
from .policy import notice, schedule
from .policy.cleanup_policy import pressed
from .ports import Hypervisor, World
from .removals import Intent

#: Entries from which on several writers pay: each has a connection of its own, and waits while libvirt saves a definition.
MANY = 32
#: Decision of an entry -> the word for it in the operation log.
OPERATIONS = {
    "removed": "remove",
    "forgotten": "forget",
    "restored": "restore",
    "started": "retry",
    "limited": "limit",
    "paused": "pause",
}


def apply(plan: do.Plan, world: World, clock: ClockMemory, handlers: Handlers) -> List[Chain]:
    """Carry out every entry of a plan; returns a chain for each entry, in their order, also for those without actions.

    Removals come last, in batches, several at once; all else goes one by one, or by as many writers as the plan allows.
    """
    run = Run(world, clock, world.host.clock().now, plan.conduct)
    chains = [Chain(entry, verdicts=entry.verdicts, schedule=entry.schedule) for entry in plan.entries]
    removals = [chain for chain in chains if chain.entry.removes]
    others = [chain for chain in chains if chain.entry.actions and not chain.entry.removes]
    jobs = [partial(_told, run, chain, handlers) for chain in others]
    if plan.conduct.writers > 1 and len(jobs) >= MANY:
        world.host.parallel(jobs, plan.conduct.writers)
    else:
        for job in jobs:
            job()
    _in_batches(run, removals, handlers)
    _flush(run, chains)
    return chains


def _in_batches(run: Run, chains: Sequence[Chain], handlers: Handlers) -> None:
    """Before each batch the host is looked at again; each removal looks at window and clock by itself."""
    size = run.conduct.batch_size
    for start in range(0, len(chains), size):
        strained = pressed(run.world.host.pressure(), run.conduct.limits) if start else ""
        if strained:
            for chain in chains[start:]:
                chain.error = EffectError("low_resources", strained)
            return
        batch = chains[start : start + size]
        if len(chains) > size:
            run.world.host.progress(f"removing {start + 1} to {start + len(batch)} of {len(chains)}")
        jobs = [partial(_in_turn, run, chain, handlers) for chain in batch]
        run.world.host.parallel(jobs, run.conduct.workers)


def _in_turn(run: Run, chain: Chain, handlers: Handlers) -> None:
    """A removal that holds one of the host's places for removals, which all its runs share."""
    try:
        with _place(run):
            _told(run, chain, handlers)
    except EffectError as error:
        chain.error = error


@contextmanager
def _place(run: Run) -> Iterator[None]:
    """A place whose lock can't be taken is none; the others are left."""
    host, began = run.world.host, run.world.host.clock().boottime
    while True:
        problems: List[EffectError] = []
        for number in range(run.conduct.workers):
            with ExitStack() as held:
                try:
                    free = held.enter_context(host.claim(f"removal-{number}"))
                except EffectError as error:
                    problems.append(error)
                    continue
                if free:
                    yield
                    return
        if len(problems) == run.conduct.workers:
            raise problems[0]
        if host.clock().boottime - began > SLOT_WAIT:
            raise EffectError("busy", "as many removals as max_concurrent_cleanups allows are going on")
        host.sleep(POLL)


def _told(run: Run, chain: Chain, handlers: Handlers) -> None:
    """A line a VM, at once: the report comes last, and a killed run has none."""
    entry, say = chain.entry, run.world.host.progress
    if entry.changes:
        say(f"{entry.name}: {entry.reason}")
    _carry_out(run, chain, handlers)
    if entry.changes:
        say(f"{entry.name}: {chain.error.message if chain.error else entry.decision}")


def _carry_out(run: Run, chain: Chain, handlers: Handlers) -> None:
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
    operation, said = OPERATIONS.get(chain.entry.decision, "declare"), f"{error.code}: {error.message}"
    run.later(run.log(chain.entry, operation, "failed", said))
    if run.conduct.alert and not chain.waits:
        run.later(
            QueueNotice(notice.failure(chain.entry.uuid, chain.entry.name, said, run.now, _attempt(chain, error)))
        )
    if chain.intent is None:
        return
    if not chain.complete:
        chain.schedule = schedule.failed(chain.intent.schedule, said, run.conduct.max_attempts)
        run.later(RememberSchedule(chain.intent.uuid, chain.schedule))
    _roll_back(run, chain, chain.intent)


def _attempt(chain: Chain, error: EffectError) -> str:
    """What tells one failure from the next: one that comes again with every sweep is told once."""
    known = (chain.intent.schedule if chain.intent is not None else chain.schedule) or {}
    return f"{known.get('scheduled_cleanup_at')}:{known.get('cleanup_attempts')}:{error.code}"


def _roll_back(run: Run, chain: Chain, intent: Intent) -> None:
    """Drop the intent unless we undefined the VM: when a person undefines it, its disks are theirs to keep."""
    try:
        domain = run.world.hypervisor.domain(intent.uuid)
        if not chain.irreversible or (domain is not None and domain.persistent):
            if intent.undo_until:
                run.world.store.drop_undo(intent.uuid)
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
            if chain.error is None and any(isinstance(action, Bookkeeping) for action in chain.done):
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
    run.later(run.log(chain.entry, "declare", "done", chain.entry.message))


def _remove_metadata(run: Run, chain: Chain, action: do.RemoveMetadata) -> None:
    check(run, action.guard)
    run.world.hypervisor.write_metadata(action.guard.uuid, None)
    chain.touched = True
    run.later(run.log(chain.entry, "forget", "done"))


def _guarded(effect: Callable[[Hypervisor, Any], None]) -> Handler:
    """A handler of a change to a VM: its guard is checked first, if it has one."""

    def handle(run: Run, chain: Chain, action: Any) -> None:
        if action.guard is not None:
            check(run, action.guard)
        effect(run.world.hypervisor, action)
        chain.touched = True

    return handle


def _set_limit(hypervisor: Hypervisor, action: do.SetLimit) -> None:
    hypervisor.set_limit(action.uuid, action.kind, action.amount, action.persistent)


def _pause(run: Run, chain: Chain, action: do.Pause) -> None:
    check(run, action.guard)
    run.world.hypervisor.pause(action.guard.uuid)
    chain.touched = True
    run.later(run.log(chain.entry, "pause", "done", chain.entry.message))


def _keep_record(run: Run, _chain: Chain, action: do.KeepRecord) -> None:
    record, clock = action.record, run.world.host.clock()
    run.later(Remember(record))
    if action.doomed:
        state = LastState(record.uuid, record.name, record.power_state, "", int(clock.now), clock.boot_id)
        run.later(RememberState(state))


def _drop_record(run: Run, _chain: Chain, action: do.DropRecord) -> None:
    run.later(Forget(action.uuid), Remember(Record(action.uuid, action.name, action.revision, "")))


def _drop_intent(run: Run, chain: Chain, action: do.DropIntent) -> None:
    """Only what the claim confirms: another run may have come further with this removal since it was looked at."""
    intent = next((intent for intent in run.world.store.intents() if intent.uuid == action.uuid), None)
    gone = run.world.hypervisor.domain(action.uuid) is None
    if intent is not None and intent.armed and gone and not action.completed:
        raise EffectError("changed_meanwhile", "its removal went on meanwhile; the next run finishes it")
    # not armed: we did not undefine it, and a person who did keeps the disks
    never_undefined = intent is not None and intent.undo_until and not (gone and intent.armed)
    purged = intent is not None and intent.purge and action.completed
    if never_undefined or purged:
        run.world.store.drop_undo(action.uuid)
    if intent is not None and not gone and not action.completed and _leaves_disks(run, intent):
        run.later(run.log(chain.entry, "remove", "failed", f"{chain.entry.message}; delete by hand what no VM needs"))
    run.world.store.drop_intent(action.uuid)


def _leaves_disks(run: Run, intent: Intent) -> bool:
    """Whether a VM that came back is another one than was removed: disks of that one may be left, and nobody else's any more."""
    if not intent.armed or not any(verdict.remove for verdict in intent.volumes):
        return False
    try:
        return run.world.hypervisor.definition(intent.uuid) != intent.definition
    except EffectError:
        return True  # it can't be told


#: What keeps running VMs within their limits.
LIMITS: Dict[Type[object], Handler] = {do.SetLimit: _guarded(_set_limit), do.Pause: _pause}

DECLARATIONS: Dict[Type[object], Handler] = {
    do.WriteMetadata: _write_metadata,
    do.RemoveMetadata: _remove_metadata,
    do.SetAutostart: _guarded(lambda hypervisor, action: hypervisor.set_autostart(action.uuid, action.value)),
    do.SetActions: _guarded(lambda hypervisor, action: hypervisor.set_actions(action.uuid, action.values)),
    do.SetLimit: LIMITS[do.SetLimit],
    do.SetPanicDevice: _guarded(lambda hypervisor, action: hypervisor.set_panic_device(action.uuid, action.present)),
    do.KeepRecord: _keep_record,
    do.DropRecord: _drop_record,
    do.DropIntent: _drop_intent,
}
