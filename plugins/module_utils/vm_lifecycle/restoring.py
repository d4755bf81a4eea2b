# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out an undo: a removed VM is defined again from its record, which goes last."""

from __future__ import annotations

from typing import Dict, Type

from . import actions as do
from .apply import check
from .chain import Chain, Handler, Run
from .changes import Remember
from .errors import EffectError
from .removals import UndoRecord


def undo_record(run: Run, uuid: str) -> UndoRecord:
    """The record of a removed VM as it is now. Raises EffectError when it is gone."""
    found = next((record for record in run.world.store.undo_records() if record.uuid == uuid), None)
    if found is None:
        raise EffectError("changed_meanwhile", "its undo record is gone")
    return found


def _define(run: Run, chain: Chain, action: do.Define) -> None:
    """The higher revision is durable first: killed in between, the VM is back with an older one, and so is kept."""
    record = undo_record(run, action.record.uuid)
    if run.world.hypervisor.domain(record.uuid) is not None:
        raise EffectError("changed_meanwhile", "a VM has that UUID again")
    if any(intent.uuid == record.uuid for intent in run.world.store.intents()):
        # a purge that failed would go on as soon as a person undefines the VM, who keeps its disks
        run.world.store.drop_intent(record.uuid)
    run.save_now(Remember(action.record), run.log(chain.entry, "restore", "begun"))
    run.world.hypervisor.define(record.saved)
    chain.touched = True
    run.later(run.log(chain.entry, "restore", "done", chain.entry.message))


def _complete(run: Run, chain: Chain, action: do.Complete) -> None:
    record = undo_record(run, action.guard.uuid)
    check(run, action.guard)
    if run.world.hypervisor.complete(record.uuid, record.saved):
        chain.touched = True


def _drop_undo(run: Run, _chain: Chain, action: do.DropUndo) -> None:
    """Only while a VM has the UUID: else the record is all that is left of one."""
    if run.world.hypervisor.domain(action.uuid) is None:
        raise EffectError("changed_meanwhile", "the VM is gone again")
    run.world.store.drop_undo(action.uuid)


RESTORATION: Dict[Type[object], Handler] = {
    do.Define: _define,
    do.Complete: _complete,
    do.DropUndo: _drop_undo,
}
