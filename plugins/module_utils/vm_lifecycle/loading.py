# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a VM that is off: what it needs, and its saved memory, which is loaded when it fits and never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence, Tuple

from .errors import DomainGone, EffectError

if TYPE_CHECKING:
    from .boots import Need
    from .model import Domain
    from .ports import World
    from .recoveries import Memory

#: Directory of the state for memory that was kept aside.
ASIDE = "memory"


def activate_needs(world: World, uuid: str) -> None:
    """Networks and pools that a VM needs are active afterwards. Raises EffectError need_inactive."""
    activate(world, [need for need in world.hypervisor.needs(uuid) if not need.active])


def activate(world: World, missing: Sequence[Need]) -> None:
    """The same for needs that were seen not to be active."""
    for need in missing:
        if not need.autostart:
            raise EffectError(
                "need_inactive", f"the {need.kind} {need.name} is not {'active' if need.known else 'there'}"
            )
        world.hypervisor.activate(need)


def load(world: World, domain: Domain, paused: bool, on_failure: str) -> str:
    """Start a VM that is off, with its saved memory if that fits. Returns what there is to say about it, "" for nothing.

    Raises EffectError memory_mismatch or restore_failed when it may not start without its memory; the image stays then.
    """
    said = ""
    if domain.saved and _was_interrupted(world, domain.uuid):
        world.hypervisor.drop_interrupted_memory(domain.uuid)
        world.store.drop_manifest(domain.uuid)
        said = "started without its memory: the power failed while that was being saved"
    elif domain.saved:
        code, problem = _resumed(world, domain, paused)
        if not code:
            return ""
        if on_failure != "start-cold":
            raise EffectError(
                code,
                f"{problem}; its memory stays where it is; vm-lifecycle recover --start-cold {domain.name} starts it without",
            )
        path = world.hypervisor.set_memory_aside(domain.uuid, world.store.directory(ASIDE))
        world.store.drop_manifest(domain.uuid)
        said = f"started without its memory, which is kept in {path}: {problem}"
    world.hypervisor.start(domain.uuid, paused)
    return said


def _was_interrupted(world: World, uuid: str) -> bool:
    """Whether it is half an image. What was whole when it had been saved, and is not now, is damage and no such thing."""
    manifest = world.store.manifests().get(uuid)
    return world.hypervisor.memory_facts(uuid).interrupted and (manifest is None or not manifest.memory.size)


def _resumed(world: World, domain: Domain, paused: bool) -> Tuple[str, str]:
    """(code, message) of why its memory was not loaded, empty when it was."""
    from .policy.memory import mismatch  # most VMs that are started have no saved memory

    manifest = world.store.manifests().get(domain.uuid)
    problem = mismatch(manifest, world.hypervisor.memory_facts(domain.uuid))
    if problem:
        return "memory_mismatch", problem
    try:
        world.hypervisor.start(domain.uuid, paused)
    except DomainGone:
        raise
    except EffectError as error:
        return "restore_failed", error.message
    if manifest is not None:
        world.store.drop_manifest(domain.uuid)
    return "", ""


def begin_manifest(world: World, domain: Domain) -> None:
    """Before memory is saved: that it was us, and on which machine. Its disks are still being written to."""
    from .recoveries import Manifest, Memory

    facts = world.hypervisor.memory_facts(domain.uuid)
    now = int(world.host.clock().now)
    world.store.write_manifest(Manifest(domain.uuid, domain.name, now, Memory(""), facts.machine))


def end_manifest(world: World, domain: Domain, path: str = "") -> Optional[Memory]:
    """When the VM is off: the image and its disks as they are now. Returns the image."""
    from .recoveries import Manifest

    facts = world.hypervisor.memory_facts(domain.uuid, path)
    if facts.memory is None:
        return None
    now = int(world.host.clock().now)
    seen = facts.disks if all(disk.size >= 0 for disk in facts.disks) else ()  # one that is out of sight proves nothing
    world.store.write_manifest(Manifest(domain.uuid, domain.name, now, facts.memory, facts.machine, seen))
    return facts.memory
