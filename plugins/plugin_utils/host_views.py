# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows of a host and of each VM of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Dict, List, Sequence, Tuple

from .attention import KINDS, Concern
from .fleet import Boot, Host, Operation, Vm
from .reader import Reader

#: So much of a host is shown; all of it is in the other files.
VMS_OF_A_HOST, OPERATIONS_OF_A_HOST = 200, 20


@dataclass(frozen=True)
class Bar:
    """A VM's start in per cent of the boot: it waited, it was started, it was waited for."""

    name: str
    outcome: str
    note: str
    critical: bool
    parts: Tuple[Tuple[str, float, float], ...]


def bars(boot: Boot) -> List[Bar]:
    """The last boot as bars."""
    whole = max([boot.seconds] + [start.ended for start in boot.starts]) or 1.0
    made = []
    for start in boot.starts:
        begun = start.begun if start.started or start.begun else start.ended
        ran = start.started or start.ended
        steps = (
            ("wait", 0.0, start.turn),
            ("queue", start.turn, begun),
            ("start", begun, ran),
            ("ready", ran, start.ended),
        )
        parts = [
            (word, 100 * since / whole, 100 * (until - since) / whole) for word, since, until in steps if until > since
        ]
        after = f", after {start.after}" if start.after else ""
        note = f"{start.outcome} at {start.ended:.1f} s{after}"
        made.append(
            Bar(
                start.name,
                start.outcome,
                note + (f": {start.message}" if start.message else ""),
                start.critical,
                tuple(parts),
            )
        )
    return made


@dataclass(frozen=True)
class HostView:
    """A host as it is shown: what it needs first. more: VMs that are not listed."""

    host: Host
    anchor: str
    #: error, warning, or "" for one that needs nobody.
    worst: str
    concerns: Tuple[Concern, ...]
    running: int
    temporary: int
    soon: int
    vms: Tuple[Vm, ...]
    more: int
    bars: Tuple[Bar, ...]
    operations: Tuple[Operation, ...]
    updated: str


def host_views(hosts: Sequence[Host], found: Sequence[Concern], reader: Reader) -> List[HostView]:
    """Hosts that need a person first, then in their order."""
    by_host: Dict[str, List[Concern]] = {}
    for concern in found:
        by_host.setdefault(concern.host, []).append(concern)
    made = [_host_view(host, f"host-{at}", by_host.get(host.name, []), reader) for at, host in enumerate(hosts, 1)]
    return sorted(made, key=lambda view: not view.concerns)


def _host_view(host: Host, anchor: str, concerns: Sequence[Concern], reader: Reader) -> HostView:
    tomorrow = reader.now + timedelta(hours=24)
    shown = sorted(host.vms, key=lambda vm: (not vm.problems, vm.deadline is None, vm.deadline or reader.now, vm.name))
    return HostView(
        host=host,
        anchor=anchor,
        worst=next(
            (word for word in ("error", "warning") if any(KINDS[each.kind].severity == word for each in concerns)), ""
        ),
        concerns=tuple(concerns),
        running=sum(vm.power_state == "running" for vm in host.vms),
        temporary=sum(vm.mode == "temporary" for vm in host.vms),
        soon=sum(vm.deadline is not None and vm.deadline <= tomorrow for vm in host.vms),
        vms=tuple(shown[:VMS_OF_A_HOST]),
        more=max(len(shown) - VMS_OF_A_HOST, 0),
        bars=tuple(bars(host.boot)) if host.boot else (),
        operations=host.operations[:OPERATIONS_OF_A_HOST],
        updated=reader.when(host.asked) if host.asked else "",
    )


def words(vm: Vm, now: datetime) -> str:
    """What a reader may filter by."""
    found = [vm.mode, vm.power_state]
    found += ["expired"] if vm.deadline and vm.deadline <= now else []
    found += ["soon"] if vm.deadline and now < vm.deadline <= now + timedelta(hours=24) else []
    return " ".join([*found, *(["held"] if vm.hold else []), *(["failed"] if vm.problems else [])])
