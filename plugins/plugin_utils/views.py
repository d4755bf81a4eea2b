# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows of a fleet, as values that a template only has to place. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .attention import Concern
from .fleet import Host, Operation, Vm
from .host_views import host_views
from .reader import Reader

#: Days of the timeline that have a column of their own.
DAYS = 14
#: So much of each list is shown; all of it is in the other files.
LISTED, TOP = 100, 5


def totals(hosts: Sequence[Host], now: datetime) -> Dict[str, int]:
    """The fleet in numbers."""
    vms = [vm for host in hosts for vm in host.vms]
    modes = Counter(vm.mode for vm in vms)
    left = [(vm.deadline - now) / timedelta(hours=1) for vm in vms if vm.deadline]
    return {
        "hosts": len(hosts),
        "silent": sum(not host.answered for host in hosts),
        "vms": len(vms),
        "running": sum(vm.power_state == "running" for vm in vms),
        **{word: modes[word] for word in ("permanent", "temporary", "unmanaged", "invalid")},
        "held": sum(bool(vm.hold) for vm in vms),
        "failed": sum(bool(vm.problems) for vm in vms),
        "expired": sum(hours <= 0 for hours in left),
        "day": sum(0 < hours <= 24 for hours in left),
        "week": sum(0 < hours <= 168 for hours in left),
    }


@dataclass(frozen=True)
class Expiry:
    """A VM that expires."""

    host: str
    vm: Vm
    at: datetime


@dataclass(frozen=True)
class Column:
    """A column of the timeline: how many VMs expire then, and how many of these are held. share: of the highest, in per cent."""

    label: str
    title: str
    going: int
    held: int
    going_share: float
    held_share: float


@dataclass(frozen=True)
class Timeline:
    """What expires when. groups: (heading, its VMs), the earliest first; more: VMs that are not listed."""

    columns: Tuple[Column, ...]
    groups: Tuple[Tuple[str, Tuple[Expiry, ...]], ...]
    more: int


def timeline(hosts: Sequence[Host], reader: Reader) -> Timeline:
    """Overdue, then a day each, then later."""
    found = sorted(
        (Expiry(host.name, vm, vm.deadline) for host in hosts for vm in host.vms if vm.deadline),
        key=lambda each: (each.at, each.host, each.vm.name),
    )
    today = reader.local(reader.now).date()
    days = [today + timedelta(days=number) for number in range(DAYS)]
    bins: Dict[str, List[Expiry]] = {word: [] for word in ("over", *map(str, days), "later")}
    for each in found:
        day = str(reader.local(each.at).date())
        bins["over" if each.at <= reader.now else day if day in bins else "later"].append(each)
    columns = [("past", "Overdue", bins["over"])]
    columns += [(f"{day:%a}"[:2] + f" {day.day}", reader.day(day), bins[str(day)]) for day in days]
    columns += [("later", f"After {days[-1].strftime('%d %B')}", bins["later"])]
    highest = max([len(some) for _label, _title, some in columns] + [1])
    groups, left = [], LISTED
    for _label, title, some in columns:
        if some and left > 0:
            groups.append((title, tuple(some[:left])))
            left -= len(some)
    made = tuple(_column(label, title, some, highest) for label, title, some in columns)
    return Timeline(made, tuple(groups), max(len(found) - LISTED, 0))


def _column(label: str, title: str, some: Sequence[Expiry], highest: int) -> Column:
    held = sum(bool(each.vm.hold) for each in some)
    going = len(some) - held
    return Column(label, title, going, held, 100 * going / highest, 100 * held / highest)


@dataclass(frozen=True)
class Gone:
    """A VM that was removed. until: it can be brought back by then."""

    host: str
    line: Operation
    until: Optional[datetime]


def gone(hosts: Sequence[Host]) -> List[Gone]:
    """The newest first."""
    found = []
    for host in hosts:
        kept = {each.name: each.until for each in host.undo}
        for line in host.operations:
            if line.operation == "remove" and line.outcome == "done":
                found.append(Gone(host.name, line, kept.pop(line.name, None)))
    return sorted(found, key=lambda each: each.line.at, reverse=True)


def staying(hosts: Sequence[Host], now: datetime) -> List[Expiry]:
    """VMs whose time is over and that are still there, the longest first."""
    over = [
        Expiry(host.name, vm, vm.deadline)
        for host in hosts
        for vm in host.vms
        if vm.deadline and vm.deadline <= now and vm.decision
    ]
    return sorted(over, key=lambda each: (each.at, each.host, each.vm.name))


def reasons(hosts: Sequence[Host]) -> List[Tuple[str, int]]:
    """Why VMs stay, by number of VMs."""
    found = Counter(vm.reason for host in hosts for vm in host.vms if vm.decision in ("kept", "waiting", "failed"))
    return found.most_common()


def most(hosts: Sequence[Host], word: str) -> List[Tuple[str, Vm, float]]:
    """The VMs that use most of cpu, memory or disk."""
    found = [(host.name, vm, float(getattr(vm.use, word))) for host in hosts for vm in host.vms if vm.use]
    return sorted((each for each in found if each[2] > 0), key=lambda each: -each[2])[:TOP]


def context(
    hosts: Sequence[Host], found: Sequence[Concern], reader: Reader, explained: Mapping[str, str]
) -> Dict[str, Any]:
    """All that the template needs. explained: what a code means, by code."""
    removed, over = gone(hosts), staying(hosts, reader.now)
    return {
        "reader": reader,
        "totals": totals(hosts, reader.now),
        "timeline": timeline(hosts, reader),
        "removed": removed[:LISTED],
        "removed_more": max(len(removed) - LISTED, 0),
        "staying": over[:LISTED],
        "staying_more": max(len(over) - LISTED, 0),
        "reasons": [(code, number, explained.get(code, "")) for code, number in reasons(hosts)],
        "most": [(title, unit, rows) for title, unit, word in USES if (rows := most(hosts, word))],
        "hosts": host_views(hosts, found, reader),
        "explained": explained,
    }


#: What VMs use, as it is shown.
USES = (("Processor", "%", "cpu"), ("Memory", "MiB", "memory"), ("Disk", "GiB", "disk"))
