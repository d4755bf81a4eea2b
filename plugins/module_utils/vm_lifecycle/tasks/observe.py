# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that every task begins with, in bulk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Generic, List, Mapping, Optional, Tuple, TypeVar

from ..errors import EffectError, LifecycleError, Problem, refuse
from ..model import ClockMemory, Observed

if TYPE_CHECKING:
    from ..policy.cleanup_policy import CleanupPolicy
    from ..ports import Host, World

Seen = TypeVar("Seen")


def whole(world: World, cleanup: bool = False) -> Observed:
    """Clock, domains, records, schedules and intents: everything but storage. cleanup: what only a sweep asks, too."""
    try:
        seen = at_once(world)
        return _with_history(seen, world) if cleanup else seen
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def at_once(world: World, read: Optional[Callable[[World], Observed]] = None) -> Observed:
    """libvirt and the store are read at the same time: on hosts with many VMs each keeps its reader waiting.

    read: what is read beside libvirt, if it is not what every task begins with. Raises EffectError.
    """
    domains, books = _Read(world.hypervisor.domains), _Read(lambda: (read or whole_books)(world))
    world.host.parallel([domains, books], 2)
    return replace(books.result(), domains=tuple(domains.result()))


def whole_books(world: World) -> Observed:
    """Everything but domains."""
    clock = world.host.clock()
    with world.store.together():
        memory, records, schedules = world.store.clock(), world.store.records(), world.store.schedules()
    return Observed(
        clock=clock,
        memory=memory,
        records=records,
        schedules=schedules,
        intents=tuple(world.store.intents()),
        damage=tuple(world.store.damage()),
        features=world.host.features(),
    )


def blank_books(world: World) -> Observed:
    """The same without the store."""
    return Observed(world.host.clock(), ClockMemory(), features=world.host.features())


class _Read(Generic[Seen]):
    """A job for Host.parallel that keeps what it read, or why it could not. It never sleeps."""

    waits = False

    def __init__(self, read: Callable[[], Seen]) -> None:
        self._read = read
        self._error: Optional[Exception] = None

    def __call__(self) -> None:
        try:
            self._seen = self._read()
        except Exception as error:  # told in the caller's thread
            self._error = error

    def result(self) -> Seen:
        """What was read. Raises what went wrong."""
        if self._error is not None:
            raise self._error
        return self._seen


def _with_history(seen: Observed, world: World) -> Observed:
    return replace(
        seen,
        undo=tuple(world.store.undo_records()),
        plans=tuple(world.store.plans()),
        notices=tuple(world.store.notices()),
        pools=world.store.pools(),
        pressure=world.host.pressure(),
    )


def cleanup_policy(host: Host, given: Optional[Mapping[str, object]] = None) -> CleanupPolicy:
    """The host's policy, or the given one beside what protects in the host's. Raises LifecycleError."""
    from ..policy.cleanup_policy import beside  # no boot waits for what only a clean-up asks

    stored = host.configuration("cleanup") or {}
    where = "/etc/vm-lifecycle/cleanup.json"
    own, problems = _decoded(host, stored, where)
    if own is None:
        raise LifecycleError([Problem("invalid_configuration", f"{p.field}: {p.message}") for p in problems])
    if given is None:
        return own
    policy, problems = _decoded(host, beside(stored, given), "policy")
    if policy is None:
        raise LifecycleError(problems)
    return policy


def _decoded(host: Host, document: Mapping[str, object], where: str) -> Tuple[Optional[CleanupPolicy], List[Problem]]:
    """The window is in window_timezone, else in the host's own zone."""
    from ..policy.cleanup_policy import decode

    try:
        zone = host.zone(str(document.get("window_timezone") or ""))
    except LifecycleError as error:
        return None, [replace(problem, field=f"{where}.window_timezone") for problem in error.problems]
    return decode(document, zone, where)


def lenient_policy(host: Host) -> Tuple[Optional[CleanupPolicy], List[str]]:
    """The host's policy for reporting only: an invalid one is a warning, not a refusal."""
    try:
        return cleanup_policy(host), []
    except LifecycleError as error:
        return None, [str(problem) for problem in error.problems]
