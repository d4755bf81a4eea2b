# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a VM that stopped, with the questions that a boot asks, too: is it the VM that was declared, and is it still wanted."""

from __future__ import annotations

from .boots import LastState
from .errors import EffectError
from .loading import activate_needs, load
from .metadata import read
from .model import Document, Domain
from .policy.host_boot import policy_of
from .policy.power import UP
from .policy.pressure import in_force
from .policy.restart import LEFT, rule
from .ports import World


def start_again(world: World, uuid: str) -> str:
    """Start a VM under its claim; "" when it runs already, else what there is to say.

    Raises EffectError: with a code of RESTART_REASONS when it is not to be started; busy when another run works on it.
    """
    with world.host.claim(uuid) as free:
        if not free:
            raise EffectError("busy", "another run is working on it")
        return start_claimed(world, uuid)


def start_claimed(world: World, uuid: str, by_hand: bool = False) -> str:
    """The same for whoever holds the claim. by_hand: a person asks for it, so whoever stopped it is no reason to leave it."""
    domain = world.hypervisor.domain(uuid)
    if domain is None:
        raise EffectError("restart_refused", "the VM is gone")
    if domain.power_state in UP:
        return ""
    document = _declared(world, domain)
    if domain.active and domain.power_state != "crashed":
        raise EffectError("busy", f"it is {domain.power_state}")  # and will be off in a moment
    if domain.active:
        raise EffectError("crash_preserved", "it crashed and is kept as it is; power it off first")
    if not by_hand:
        _require_wish(world, domain, document)
    activate_needs(world, uuid)
    return load(world, domain, False, str(policy_of(document)["on_restore_failure"]))


def _declared(world: World, domain: Domain) -> Document:
    carried = read(domain, world.store.records([domain.uuid]).get(domain.uuid))
    if not carried.valid or not domain.persistent:
        raise EffectError("restart_refused", carried.detail or "it carries no declaration any more")
    return carried.document


def _require_wish(world: World, domain: Domain, document: Document) -> None:
    """What only nobody's start asks. Its memory, if there is some, was saved by somebody who wanted it to stay down."""
    declared, last = rule(document), world.store.states([domain.uuid]).get(domain.uuid)
    code, said = declared.barrier, ""
    if domain.saved:
        code = "memory_saved"
    elif declared.policy == "no":
        code = "restart_not_declared"
    elif last is not None and not _is_relieved(world, last):
        code = LEFT.get(last.reason, "")
    if not code and world.host.going_down():
        code, said = "host_goes_down", "its host goes down"
    if code:
        raise EffectError(code, said)


def _is_relieved(world: World, last: LastState) -> bool:
    """Whether it was powered off for want of memory or space, and that is over."""
    if last.reason != "pressure":
        return False
    return not in_force(world.store.pressed().get(last.uuid), world.host.clock().boot_id)
