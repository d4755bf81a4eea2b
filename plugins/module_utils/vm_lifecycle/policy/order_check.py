# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call would do to the order of its host: refused is what it causes, or leaves in VMs whose place it declares."""

from __future__ import annotations

from typing import Collection, Dict, List, Tuple

from ..errors import Problem
from ..frozen import dataclass
from .boot_order import Broken, Declared, broken, dependencies, ring_problem, rings


@dataclass(frozen=True)
class Order:
    """A host's VMs as others may depend on them, and the names of those that are not managed."""

    vms: Tuple[Declared, ...]
    strangers: Tuple[str, ...] = ()

    @property
    def broken(self) -> List[Broken]:
        """Its dependencies that can't be kept."""
        return broken(self.vms, self.strangers)

    @property
    def sound(self) -> List[Tuple[str, str]]:
        """Those that can: (VM, the one that it depends on)."""
        wrong = {(each.vm, each.dependency) for each in self.broken}
        every = [(name, other) for name, others in dependencies(self.vms).items() for other in others]
        return [edge for edge in every if edge not in wrong]


def judge(before: Order, after: Order, placed: Collection[str]) -> Tuple[List[Problem], List[Problem]]:
    """(problems that refuse the call, those that were there and stay). placed: names of VMs whose place it declares.

    A VM that others depend on, and that they could not depend on any more, is needed by them.
    """
    sound = set(before.sound)
    refused: List[Problem] = []
    stays: List[Problem] = []
    needed: Dict[str, List[Broken]] = {}
    for each in after.broken:
        problem = Problem(each.code, each.message, each.vm, "depends_on")
        if each.vm in placed:
            refused.append(problem)
        elif (each.vm, each.dependency) not in sound:
            stays.append(problem)
        elif each.lost:
            needed.setdefault(each.dependency, []).append(each)
        else:
            refused.append(problem)
    refused += [_needed(name, found) for name, found in needed.items()]
    for ring in rings(dependencies(after.vms), placed):
        (refused if set(ring) & set(placed) else stays).append(ring_problem(ring))
    return refused, stays


def _needed(name: str, found: List[Broken]) -> Problem:
    who = ", ".join(each.vm for each in found)
    verb = "depends" if len(found) == 1 else "depend"
    return Problem("needed_by", f"{who} {verb} on it, which then {found[0].lost}", name)
