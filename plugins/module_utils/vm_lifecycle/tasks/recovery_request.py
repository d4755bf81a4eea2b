# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of vm_recovery: the states, the VMs, and documents of elsewhere, judged before anything is looked at."""

from __future__ import annotations

from typing import Any, List, Mapping, Tuple
from xml.etree import ElementTree

from ..errors import LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..policy.recovery import recovery_of
from ..ports import World
from ..schema import violations
from .targets import Wish, wishes

STATES = ("captured", "restored", "absent")
INHERITED = ("memory", "memory_path", "recovery", "on_restore_failure")
CHOICES = ("fail", "start-cold")


@dataclass(frozen=True)
class Request:
    """named empty: all managed VMs, or all that are on record. lost: VMs whose definition is lost are defined, and no more."""

    state: str
    named: Tuple[Wish, ...]
    skip_missing: bool
    lost: bool = False


def decode(given: Mapping[str, Any], _world: World) -> Request:
    """A document of elsewhere is judged by its schema; what is only for one state is refused with another."""
    state = given.get("state", "captured")
    if state not in STATES:
        raise refuse("invalid_option", f"must be one of: {', '.join(STATES)}", field="state")
    named = wishes(given, INHERITED, required=state == "absent")
    problems = [problem for wish in named for problem in _problems(wish, state)]
    if problems:
        raise LifecycleError(problems)
    return Request(state, tuple(named), given.get("missing", "fail") == "skip", bool(given.get("lost")))


def _problems(wish: Wish, state: str) -> List[Problem]:
    found = []
    options = wish.options
    for option, states in (("memory", ("captured",)), ("memory_path", STATES[:2]), ("recovery", ("restored",))):
        if options.get(option) and state not in states:
            found.append(
                Problem("invalid_option", f"belongs to {' and '.join(states)}, not to {state}", wish.label, option)
            )
    if options.get("memory_path") and not str(options["memory_path"]).startswith("/"):
        found.append(Problem("invalid_option", "must be an absolute path", wish.label, "memory_path"))
    if options.get("on_restore_failure") not in (None, *CHOICES):
        found.append(
            Problem("invalid_option", f"must be one of: {', '.join(CHOICES)}", wish.label, "on_restore_failure")
        )
    if options.get("recovery") is not None:
        broken = violations("VmRecoveryState", options["recovery"])
        found += [Problem("invalid_option", each.rule, wish.label, f"recovery.{each.field}") for each in broken]
        if not broken:
            found += _foreign(wish)
    return found


def _foreign(wish: Wish) -> List[Problem]:
    try:
        kept = recovery_of(wish.options["recovery"])
    except (KeyError, ValueError, TypeError, ElementTree.ParseError) as error:
        return [Problem("invalid_option", f"can't be understood: {error}", wish.label, "recovery.config_snapshot")]
    if wish.name not in (None, kept.name) or wish.uuid not in (None, kept.uuid):
        return [Problem("name_uuid_mismatch", f"it is of {kept.name}, {kept.uuid}", wish.label, "recovery")]
    return []
