# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle flags: libvirt's autostart flag of every managed VM becomes what is right for the units that are enabled.

While the boot unit is enabled, it alone starts VMs; otherwise libvirt starts those with auto_start.
"""

from __future__ import annotations

from typing import Any, List, Mapping

from ..actions import Entry, Guard, Plan, SetAutostart
from ..apply import DECLARATIONS
from ..chain import Chain
from ..metadata import digest
from ..model import Document, Domain, Observed
from ..policy.declaration import flag
from ..ports import World
from ..run import Task
from . import host
from . import observe as reads


def decode(_document: Mapping[str, Any], _world: World) -> None:
    """It takes no options: everything follows from the host."""


def observe(_request: None, world: World) -> Observed:
    """Everything but storage."""
    return reads.whole(world)


def plan(_request: None, observed: Observed) -> Plan:
    """An entry for each managed VM whose flag is another one. Who is not managed, or not understood, is left alone."""
    boot = "boot" in observed.features
    wanted = [(domain, flag(document, boot)) for domain, document in host.managed(observed)]
    return Plan(tuple(_entry(domain, value) for domain, value in wanted if value != domain.autostart), observed.damage)


def _entry(domain: Domain, value: bool) -> Entry:
    message = f"{domain.name}: libvirt's autostart flag is turned {'on' if value else 'off'}"
    action = SetAutostart(domain.uuid, value, Guard(domain.uuid, digest(domain.metadata)))
    return Entry(domain.uuid, domain.name, "set", "autostart flag", message, (action,))


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
