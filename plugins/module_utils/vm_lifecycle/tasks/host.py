# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot and a shutdown of the host observe: every managed VM, what it was before, and how its last start went."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Collection, Dict, List, Mapping, Optional, Tuple

from .. import metadata
from ..errors import EffectError, LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..host_changes import RememberState
from ..model import Document, Domain, Observed
from ..policy import boot_order, host_boot, power
from ..schema import violations, with_defaults
from . import observe as reads

if TYPE_CHECKING:
    from ..boots import BootRun, LastState, StartRecord
    from ..ports import Host, World
    from ..pressures import Pressed
    from ..restarts import RestartRecord


@dataclass(frozen=True)
class HostSeen(Observed):
    """What was seen of a host whose VMs go up or down in order."""

    states: Mapping[str, LastState] = field(default_factory=dict)
    starts: Mapping[str, StartRecord] = field(default_factory=dict)
    #: Of calls that report: VMs that stopped, and what becomes of them.
    restarts: Mapping[str, RestartRecord] = field(default_factory=dict)
    boot: Optional[BootRun] = None
    #: VMs to which something was done because their host is short of something.
    pressed: Mapping[str, Pressed] = field(default_factory=dict)
    going_down: bool = False
    budget: float = 0.0
    #: VmRecoveryStates by UUID, where somebody asked for them.
    recovery: Mapping[str, Document] = field(default_factory=dict)
    #: How limits of VMs with a policy stand, by UUID, where somebody asked for them.
    limited: Mapping[str, Document] = field(default_factory=dict)
    #: What is on record of the host, where somebody asked for it.
    on_record: Mapping[str, Any] = field(default_factory=dict)


def whole(world: World, needs_store: bool = True, stopping: bool = False) -> HostSeen:
    """Everything but storage. Raises LifecycleError when libvirt can't be read, or the store, unless that is not needed.

    Without a store nobody knows what VMs were, but what they declare is known, and a full disk must not keep them down.
    stopping: it is about the host's end, and how long systemd waits for that is asked, too.
    """
    try:
        return _seen(world, stopping)
    except EffectError as error:
        if needs_store or error.code != "store_unusable":
            raise refuse(error.code, error.message) from error
        problem = error.message
    try:
        return replace(_seen(world, stopping, store=False), store_problem=problem)
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def _seen(world: World, stopping: bool, store: bool = True) -> HostSeen:
    """Asking systemd takes as long as all the rest together, and the VMs of a host that boots wait for this."""
    seen = HostSeen(**vars(reads.at_once(world, _books if store else reads.blank_books)))
    if stopping:
        seen = replace(seen, budget=world.host.stop_budget())
    if stopping or any(not domain.active and _ran(domain, seen) for domain in seen.domains):
        seen = replace(seen, going_down=world.host.going_down())
    return seen


def _books(world: World) -> HostSeen:
    with world.store.together():
        seen = HostSeen(**vars(reads.whole_books(world)))
        return replace(
            seen,
            states=_states(world, seen.clock.boot_id),
            starts=world.store.starts(),
            boot=world.store.boot(),
            pressed=world.store.pressed(),
        )


def _states(world: World, boot_id: str) -> Mapping[str, LastState]:
    states, restarts = world.store.states(), world.store.restarts()
    if not restarts:
        return states
    from ..policy.restart import owed

    return owed(states, restarts, boot_id)


def _ran(domain: Domain, observed: HostSeen) -> bool:
    """Whether a VM ran when it was last seen in this boot of the host."""
    last = observed.states.get(domain.uuid)
    return last is not None and last.boot_id == observed.clock.boot_id and last.state in power.UP


def known(world: World, cleanup: bool = False) -> HostSeen:
    """What is known of every VM: its declaration, its last state and its last start in order. cleanup: as for observe.whole."""
    observed = reads.whole(world, cleanup)
    try:
        store = world.store
        seen = HostSeen(**vars(observed), states=store.states(), starts=store.starts(), restarts=store.restarts())
        return replace(seen, pressed=store.pressed())
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def boot_policy(host: Host) -> Document:
    """The host's VmBootPolicy, /etc/vm-lifecycle/boot.json. Raises LifecycleError when it is not valid."""
    stored = host.configuration("boot") or {}
    found = stored and boot_problems(stored, "/etc/vm-lifecycle/boot.json")
    if found:
        raise LifecycleError([Problem("invalid_configuration", f"{p.field}: {p.message}") for p in found])
    return with_defaults("VmBootPolicy", stored)


def lenient_boot_policy(host: Host) -> Tuple[Document, Tuple[str, ...]]:
    """The same, with the schema's defaults for one that is not valid, and what is wrong with it."""
    try:
        return boot_policy(host), ()
    except LifecycleError as error:
        return with_defaults("VmBootPolicy", {}), tuple(str(problem) for problem in error.problems)


def boot_problems(document: Mapping[str, object], where: str) -> List[Problem]:
    """What is wrong with a VmBootPolicy."""
    return problems_of("VmBootPolicy", document, where)


def problems_of(schema: str, document: Mapping[str, object], where: str) -> List[Problem]:
    """What is wrong with a host's own document of a schema."""
    return [
        Problem("invalid_option", broken.rule, "", f"{where}.{broken.field}".rstrip("."))
        for broken in violations(schema, document)
    ]


def managed(observed: Observed) -> List[Tuple[Domain, Document]]:
    """Every VM whose declaration may be acted on, by name."""
    found = []
    for domain in observed.domains:
        carried = metadata.read(domain, observed.records.get(domain.uuid))
        if carried.valid and domain.persistent:
            found.append((domain, carried.document))
    return found


def declared(observed: Observed, documents: Optional[Mapping[str, Document]] = None) -> List[boot_order.Declared]:
    """Every managed VM as others may depend on it. documents: declarations as they will be, by UUID; {} for one that is forgotten."""
    found = []
    now: Dict[str, Document] = {domain.uuid: document for domain, document in managed(observed)}
    now.update(documents or {})
    for domain in observed.domains:
        document = now.get(domain.uuid)
        if document:
            found.append(boot_order.Declared(host_boot.place(domain, document), host_boot.never(document)))
    return found


def strangers(observed: Observed, documents: Optional[Mapping[str, Document]] = None) -> List[str]:
    """Names of VMs that are not managed, or will not be."""
    known = {vm.place.name for vm in declared(observed, documents)}
    return [domain.name for domain in observed.domains if domain.name not in known]


def upcoming(observed: HostSeen) -> HostSeen:
    """The host as its next boot finds it, if it goes down in order now."""
    clock = observed.clock
    states = {
        domain.uuid: power.seen(observed.states.get(domain.uuid), domain, clock.now, clock.boot_id)
        for domain in observed.domains
    }
    domains = tuple(replace(domain, power_state="shutoff") for domain in observed.domains)
    return replace(
        observed, clock=replace(clock, boot_id=f"{clock.boot_id}, next"), domains=domains, states=states, boot=None
    )


def states_now(
    observed: HostSeen, leaving: Collection[str] = (), starting: Collection[str] = ()
) -> List[RememberState]:
    """What is known of each managed VM after this look, where that is news. leaving, starting: UUIDs, as a boot decided."""
    clock = observed.clock
    found: List[RememberState] = []
    for domain, _document in managed(observed):
        last = observed.states.get(domain.uuid)
        if observed.going_down and not domain.active and _ran(domain, observed):
            state = power.stopped(last, domain, "host_shutdown", clock.now, clock.boot_id)
        else:
            state = power.seen(last, domain, clock.now, clock.boot_id)
        if domain.uuid in leaving:
            state = power.left(state)
        elif domain.uuid in starting:
            state = power.starting(state)
        if state != last:
            found.append(RememberState(state))
    return found
