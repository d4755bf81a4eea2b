# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a VM goes down with its host: its memory is saved, its guest is shut down, its process is ended."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import List

from . import actions as do
from .chain import Chain
from .errors import DomainGone, EffectError
from .loading import begin_manifest, end_manifest
from .model import Domain
from .patience import AWAY, POLL, patiently
from .policy.pressure import in_force
from .ports import World

#: Seconds for which libvirt's daemon may be away: it is being restarted.
RESTART = 10.0
#: Seconds after which a guest is asked again: one that was still booting did not hear the first time.
ASK_AGAIN = 10.0
#: MiB that stay free beside a saved memory image.
RESERVE_MIB = 64


def go_down(world: World, chain: Chain, action: do.Stop, domain: Domain, off: float) -> str:
    """What became of the VM, in words; each way falls back to the next. off: moment of the boot at which no way but the last is left.

    Raises EffectError when even the last one fails.
    """
    said: List[str] = []
    if domain.power_state == "crashed":  # and was preserved: there is no guest any more that could be asked, or saved
        _power_off(world, action)
        return "powered off, since it had crashed"
    if action.how != "destroy" and domain.passing and _let_end(world, action, off):
        return "off, since somebody saved its memory"
    if action.how != "destroy" and domain.power_state == "paused" and _gave_way(world, domain.uuid):
        domain = replace(domain, power_state="running")
    if action.how == "save-state":
        problem = _save(world, action, domain, off)
        if not problem:
            return "saved"
        said.append(f"not saved: {problem}")
    # a paused guest hears nothing
    if action.how != "destroy" and domain.power_state != "paused":
        problem = _shut_down(world, action, off)
        if not problem:
            return "; ".join([*said, "shut down"])
        said.append(problem)
    _power_off(world, action)
    chain.fell_back = bool(said)
    return "; ".join([*said, "powered off"])


def _let_end(world: World, action: do.Stop, off: float) -> bool:
    """Wait for what libvirt paused it for, such as a save: whoever stops it before loses its memory. Whether it is off then."""
    until = world.host.clock().boottime + _left(world, action, off)
    try:
        while True:
            found = patiently(world, RESTART, lambda: world.hypervisor.domain(action.guard.uuid))
            if found is None or not found.active:
                return True
            if not found.passing or world.host.clock().boottime >= until:
                return False
            world.host.sleep(POLL)
    except EffectError:
        return False  # the ways that follow tell what is the matter


def _gave_way(world: World, uuid: str) -> bool:
    """Whether it stands still only because its host was short of something; then it goes on, to hear that its host goes down."""
    try:
        record = world.store.pressed().get(uuid)
        if not in_force(record, world.host.clock().boot_id):
            return False
        world.hypervisor.resume(uuid)
    except EffectError:
        return False  # as any other VM that is paused
    return True


def _save(world: World, action: do.Stop, domain: Domain, off: float) -> str:
    """Why its memory was not saved, "" when it was."""
    uuid = action.guard.uuid
    try:
        cost = patiently(world, RESTART, lambda: world.hypervisor.memory_cost(uuid))
        if cost.obstacle:
            return cost.obstacle
        if cost.mib + RESERVE_MIB > cost.free_mib:
            return f"{cost.mib} MiB are needed, and {cost.free_mib} MiB are free"
        begin_manifest(world, domain)
        world.hypervisor.save_memory(uuid, _left(world, action, off))
        end_manifest(world, domain)
    except DomainGone:
        raise
    except EffectError as error:
        return error.message
    return ""


def _left(world: World, action: do.Stop, off: float) -> float:
    return min(action.seconds, max(off - world.host.clock().boottime, 0.0))


def _shut_down(world: World, action: do.Stop, off: float) -> str:
    """Why its guest did not shut down, "" when it did. A daemon that is away for a while changes nothing."""
    began, asked_at, heard = world.host.clock().boottime, -math.inf, False
    until = began + _left(world, action, off)
    while True:
        now = world.host.clock().boottime
        try:
            found = world.hypervisor.domain(action.guard.uuid)
            if found is None or not found.active:
                return ""
            if now >= until:
                return f"its guest did not shut down in {now - began:.0f} s"
            if now >= asked_at + ASK_AGAIN:
                world.hypervisor.request_shutdown(action.guard.uuid)
                asked_at, heard = now, True
        except DomainGone:
            raise
        except EffectError as error:
            if now >= until or not (heard or error.code == AWAY or _is_off(world, action)):
                return error.message
        world.host.sleep(POLL)


def _is_off(world: World, action: do.Stop) -> bool:
    found = world.hypervisor.domain(action.guard.uuid)
    return found is None or not found.active


def _power_off(world: World, action: do.Stop) -> None:
    patiently(world, RESTART, lambda: world.hypervisor.power_off(action.guard.uuid))
