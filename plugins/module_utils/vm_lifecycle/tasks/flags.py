# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle flags: what libvirt does with managed VMs by itself becomes what is right for the units that are enabled.

While the boot unit is enabled, it alone starts VMs; otherwise libvirt starts those with auto_start. While the supervisor is
enabled, it alone restarts them; otherwise libvirt does what it did before.
"""

from __future__ import annotations

from typing import Any, List, Mapping

from ..actions import Action, Guard, SetAutostart
from ..apply import DECLARATIONS
from ..chain import Chain
from ..metadata import digest
from ..model import Document, Domain, Observed
from ..plans import Entry, Plan
from ..policy.declaration import flag
from ..ports import World
from ..run import Task
from . import host
from . import observe as reads
from .converge import resettled
from .habits import habits_of, with_habits


def decode(_document: Mapping[str, Any], _world: World) -> None:
    """It takes no options: everything follows from the host."""


def observe(_request: None, world: World) -> Observed:
    """Everything but storage."""
    return with_habits(reads.whole(world), world)


def plan(_request: None, observed: Observed) -> Plan:
    """An entry for each managed VM of which something is otherwise. Who is not managed, or not understood, is left alone."""
    entries = [_entry(domain, document, observed) for domain, document in host.managed(observed)]
    return Plan(tuple(entry for entry in entries if entry.actions), observed.damage)


def _entry(domain: Domain, document: Document, observed: Observed) -> Entry:
    actions: List[Action] = []
    said: List[str] = []
    value = flag(document, "boot" in observed.features)
    if value != domain.autostart:
        actions.append(SetAutostart(domain.uuid, value, Guard(domain.uuid, digest(domain.metadata))))
        said.append(f"libvirt's autostart flag is turned {'on' if value else 'off'}")
    current, supervisor = habits_of(observed, domain.uuid), "supervisor" in observed.features
    if current is not None:
        record, now = observed.records.get(domain.uuid), int(observed.clock.now)
        entry = resettled(domain, record, current, supervisor, now)
        actions += entry.actions
        said += [entry.message.partition(": ")[2]] if entry.actions else []
    return Entry(domain.uuid, domain.name, "set", "autostart flag", f"{domain.name}: {'; '.join(said)}", tuple(actions))


def report(_request: None, _observed: Observed, chains: List[Chain]) -> Document:
    """changed, failed, and the VMs whose flag was another one."""
    rows = []
    for chain in chains:
        entry = chain.entry
        row = {"name": entry.name, "uuid": entry.uuid, "changed": chain.changed, "message": entry.message}
        if chain.error is not None:
            row.update(failed=True, reason=chain.error.code, message=chain.error.message)
        rows.append(row)
    return {
        "changed": any(row["changed"] for row in rows),
        "failed": any(row.get("failed") for row in rows),
        "vms": rows,
    }


TASK = Task("flags", decode, observe, plan, report, DECLARATIONS)
