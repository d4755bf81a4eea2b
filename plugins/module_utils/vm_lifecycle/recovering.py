# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a VM to the state that it had: its memory is loaded when it fits, kept when it does not, and never lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Type

from . import actions as do
from .apply import check
from .chain import Chain, Handler, Run
from .changes import ForgetRecovery, RememberRecovery
from .errors import DomainGone, EffectError
from .loading import activate_needs, begin_manifest, end_manifest, load
from .policy.memory import mismatch
from .policy.power import UP
from .policy.recovery import difference
from .ports import World
from .recoveries import Recovery

#: Seconds for saving a VM's memory when a person asks for it.
SAVING = 600.0


def _capture(run: Run, chain: Chain, action: do.Capture) -> None:
    check(run, action.guard)
    world, uuid = run.world, action.guard.uuid
    domain = world.hypervisor.domain(uuid)
    if domain is None:
        raise DomainGone(uuid)
    now = int(world.host.clock().now)
    kept = Recovery(uuid, domain.name, action.created_unix, now, world.hypervisor.configuration(uuid))
    if action.memory and domain.power_state in UP:
        begin_manifest(world, domain)
        if action.path:
            world.hypervisor.save_memory_to(uuid, action.path, SAVING)
        else:
            world.hypervisor.save_memory(uuid, SAVING)
        memory = end_manifest(world, domain, action.path)
        kept = replace(kept, memory=memory if action.path else None)
        chain.touched = True
    run.save_now(RememberRecovery(kept))
    chain.kept = kept


def _redefine(run: Run, chain: Chain, action: do.Redefine) -> None:
    """Names, UUIDs and disks are looked at again; what turns out to be impossible leaves nothing behind.

    But saved memory may have outlived the definition, and would go with it: then the definition stays.
    """
    world, kept = run.world, action.recovery
    world.hypervisor.define_xml(kept.configuration.xml)
    chain.touched = True
    problem = _disks(world, kept)
    if problem is not None:
        domain = world.hypervisor.domain(kept.uuid)
        if domain is not None and not domain.saved:
            world.hypervisor.undefine(kept.uuid, keep_nvram=True, keep_tpm=True)
            chain.touched = False
        raise problem
    run.save_now(RememberRecovery(replace(kept, removed=False)), run.log(chain.entry, "restore", "done", "defined"))


def _disks(world: World, kept: Recovery) -> Optional[EffectError]:
    missing = [disk.path for disk in world.hypervisor.memory_facts(kept.uuid).disks if disk.size < 0]
    if missing:
        return EffectError("disk_missing", f"the disk {missing[0]} is not there")
    active = {domain.uuid for domain in world.hypervisor.domains() if domain.active and domain.uuid != kept.uuid}
    # kernels, firmware and media are for many VMs; what is written to is for one
    uses = [use for use in world.hypervisor.storage().attachments if use.role == "disk" and not use.read_only]
    own = {
        use.image.identity.file for use in uses if use.uuid == kept.uuid and use.image.identity and not use.shareable
    }
    for use in uses:
        if use.uuid in active and use.image.identity is not None and use.image.identity.file in own:
            return EffectError("disk_in_use", f"{use.vm}, which runs, uses the disk {use.image.path}")
    return None


def _bring(run: Run, chain: Chain, action: do.Bring) -> None:
    world = run.world
    domain = world.hypervisor.domain(action.uuid)
    if domain is None:
        raise DomainGone(action.uuid)
    if domain.power_state in UP or action.state == "stopped":
        return
    activate_needs(world, action.uuid)
    paused = action.state == "paused"
    if action.path:
        facts = world.hypervisor.memory_facts(action.uuid, action.path)
        problem = mismatch(world.store.manifests().get(action.uuid), facts) or (
            "" if facts.memory else "there is no such file"
        )
        if problem:
            raise EffectError("memory_mismatch", f"{action.path}: {problem}; nothing was started")
        world.hypervisor.restore_memory(action.uuid, action.path, paused)
        kept = world.store.recoveries([action.uuid]).get(action.uuid)
        if (
            kept is not None and kept.memory is not None
        ):  # its guest has gone on from there: loaded again, it would go back
            run.later(RememberRecovery(replace(kept, memory=None)))
    else:
        chain.way = load(world, domain, paused, action.on_restore_failure)
    chain.touched = True
    run.later(run.log(chain.entry, "restore", "done", chain.way or action.state))


def _drop_recovery(run: Run, chain: Chain, action: do.DropRecovery) -> None:
    run.save_now(ForgetRecovery(action.uuid))
    chain.touched = True


RECOVERY: Dict[Type[object], Handler] = {
    do.Capture: _capture,
    do.Redefine: _redefine,
    do.Bring: _bring,
    do.DropRecovery: _drop_recovery,
}


def differing(world: World, kept: Recovery) -> List[str]:
    """Lines in which the VM's definition differs from what is kept, [] when it does not."""
    return difference(kept.configuration.xml, world.hypervisor.configuration(kept.uuid).xml)
