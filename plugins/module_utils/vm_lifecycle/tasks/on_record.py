# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on record of VMs for their recovery, for whoever only wants to know it."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ..errors import DomainGone, EffectError, refuse
from ..policy.recovery import document
from ..ports import World
from .host import HostSeen
from .targets import Wish


def with_recovery(seen: HostSeen, world: World, named: Sequence[Wish]) -> HostSeen:
    """The same, with the VmRecoveryState of each VM that exists and of which one is on record. named empty: of all VMs.

    Raises LifecycleError when the store or libvirt can't be read.
    """
    wanted = {wish.uuid or wish.name for wish in named}
    found = {}
    try:
        kept = world.store.recoveries()
        for domain in seen.domains:
            if domain.uuid not in kept or (wanted and not wanted & {domain.uuid, domain.name}):
                continue
            try:
                facts = world.hypervisor.memory_facts(domain.uuid)
            except DomainGone:
                continue  # it went away since the VMs were listed
            found[domain.uuid] = document(kept[domain.uuid], seen.states.get(domain.uuid), seen.clock.boot_id, facts)
    except EffectError as error:
        raise refuse(error.code, error.message) from error
    return replace(seen, recovery=found)
