# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that every task begins with, in bulk."""

from __future__ import annotations

from typing import List, Mapping, Optional, Tuple

from ..errors import EffectError, LifecycleError, Problem, refuse
from ..model import Observed
from ..policy.cleanup_policy import CleanupPolicy, decode
from ..ports import World


def host(world: World) -> Observed:
    """Clock, domains, records, schedules and intents: everything but storage."""
    try:
        return Observed(
            clock=world.host.clock(),
            memory=world.store.clock(),
            domains=tuple(world.hypervisor.domains()),
            records=world.store.records(),
            schedules=world.store.schedules(),
            intents=tuple(world.store.intents()),
            damage=tuple(world.store.damage()),
            features=world.host.features(),
        )
    except EffectError as error:
        raise refuse(error.code, error.message) from error


def cleanup_policy(world: World, given: Optional[Mapping[str, object]] = None) -> CleanupPolicy:
    """The host's policy, or the given one; a dry_run_mode on the host wins over both. Raises LifecycleError."""
    stored = world.host.configuration("cleanup") or {}
    where = "/etc/vm-lifecycle/cleanup.json"
    own, problems = decode(stored, world.host.zone(), where)
    if own is None:
        raise LifecycleError([Problem("invalid_configuration", f"{p.field}: {p.message}") for p in problems])
    if given is None:
        return own
    policy, problems = decode({**given, **({"dry_run_mode": True} if own.dry_run else {})}, world.host.zone(), "policy")
    if policy is None:
        raise LifecycleError(problems)
    return policy


def lenient_policy(world: World) -> Tuple[Optional[CleanupPolicy], List[str]]:
    """The host's policy for reporting only: an invalid one is a warning, not a refusal."""
    try:
        return cleanup_policy(world), []
    except LifecycleError as error:
        return None, [str(problem) for problem in error.problems]
