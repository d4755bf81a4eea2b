# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a fleet needs a person, the worst first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from .fleet import Host, Vm
from .reader import span

#: Seconds that a clock may differ by: asking a host takes a while itself.
SKEW = 120.0
#: A sweep is missed when none ended in so many intervals of the timer.
MISSED = 3
#: VMs of a plan that are named.
NAMED = 8


@dataclass(frozen=True)
class Kind:
    """What may need a person. severity: error or warning; code: one that `vm-lifecycle explain` knows, "" for none."""

    title: str
    severity: str
    remedy: str = ""
    code: str = ""


#: The order is that of the page.
KINDS: Dict[str, Kind] = {
    "unreachable": Kind("Can't be reached", "error", "Nothing is known of its VMs. See whether it is up and answers SSH."),
    "failed": Kind("Could not be asked in full", "error", "The message says what is missing."),
    "clock": Kind(
        "Clock that can't be believed", "error",
        "Nothing is removed until it is right. Set it, then: vm-lifecycle clock-accept.", "insane_clock",
    ),
    "sweep_refused": Kind("Sweep that could not run", "error", "Nothing is removed there until it can."),
    "removal_failed": Kind("VM that could not be removed", "error", "See to the cause; vm-lifecycle log has more.", "removal_given_up"),
    "start_failed": Kind("VM that did not come up", "error", code="start_failed"),
    "gave_up": Kind("VM that was given up", "error", code="retries_used_up"),
    "invalid": Kind("VM whose declaration can't be used", "warning", "It is never touched until it is declared again."),
    "pressed": Kind("VM that gave way to pressure", "warning", "Its host is short of memory or space."),
    "confirmation": Kind("Plan that waits for a person", "warning", "Read it, then: vm-lifecycle confirm PLAN.", "over_cap"),
    "interrupted": Kind("Removal that was interrupted", "warning", "The next sweep finishes it, or rolls it back."),
    "sweep_missed": Kind("No sweep for a long time", "warning", "See: systemctl status vm-lifecycle-cleanup.timer."),
    "warned": Kind("Something that the host warns of", "warning", "See: vm-lifecycle doctor."),
    "skew": Kind("Clock that differs from the controller's", "warning", "Deadlines are meant by the clock of the host."),
}  # fmt: skip


@dataclass(frozen=True)
class Concern:
    """Something of a host, or of a VM of it, that needs a person. kind: a word of KINDS."""

    kind: str
    host: str
    vm: str
    message: str


def concerns(hosts: Sequence[Host], now: datetime) -> List[Concern]:
    """All of them, in the order of KINDS, then of the hosts."""
    found = [each for host in hosts for each in _of_host(host, now)]
    order = list(KINDS)
    return sorted(found, key=lambda each: order.index(each.kind))


def by_kind(found: Sequence[Concern]) -> List[Tuple[str, List[Concern]]]:
    """The same, each kind with its own."""
    return [(kind, some) for kind in KINDS if (some := [each for each in found if each.kind == kind])]


def remedy(kind: str, explained: Mapping[str, str]) -> str:
    """What to do about a kind. explained: code -> its text."""
    return KINDS[kind].remedy or explained.get(KINDS[kind].code, "")


def _of_host(host: Host, now: datetime) -> Iterator[Concern]:
    def concern(kind: str, message: str, vm: str = "") -> Concern:
        return Concern(kind, host.name, vm, message)

    if host.problem:
        yield concern("unreachable" if host.problem == "unreachable" else "failed", host.message)
    if host.clock_problem:
        yield concern("clock", host.clock_problem)
    if abs(host.skew) > SKEW:
        yield concern("skew", f"it is {span(abs(host.skew))} {'ahead' if host.skew > 0 else 'behind'}")
    if host.sweep is not None and host.sweep.outcome == "refused":
        yield concern("sweep_refused", host.sweep.message)
    if host.interval and (missed := _missed(host, now)):
        yield concern("sweep_missed", missed)
    for plan in host.plans:
        if plan.vms:
            yield concern("confirmation", f"{plan.plan_id}: {_some(plan.vms)}")
    for warning in host.warnings:
        yield concern("warned", warning)
    for name in host.interrupted:
        yield concern("interrupted", "its record of the removal is still there", name)
    for vm in host.vms:
        yield from _of_vm(host.name, vm)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _missed(host: Host, now: datetime) -> str:
    """Since when there was no sweep, if that is too long; "" if it is not."""
    if host.sweep is None:
        return "none is on record" if host.answered else ""
    minutes = (now - host.sweep.ended).total_seconds() / 60
    if minutes <= MISSED * host.interval:
        return ""
    return f"the last one ended {span(minutes * 60)} ago, and there is to be one every {host.interval} minutes"


def _of_vm(host: str, vm: Vm) -> Iterator[Concern]:
    for word, kind in (("failed", "removal_failed"), ("start_failed", "start_failed"), ("gave_up", "gave_up")):
        if word in vm.problems:
            yield Concern(kind, host, vm.name, vm.told.get(word, ""))
    if vm.pressure:
        yield Concern("pressed", host, vm.name, vm.pressure)
    if vm.mode == "invalid":
        yield Concern(
            "invalid",
            host,
            vm.name,
            "; ".join(f"{text} [{code}]" for code, text in vm.told.items() if code not in vm.problems),
        )
