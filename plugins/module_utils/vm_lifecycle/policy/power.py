# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM was when its host went down, from what was seen of it, and why a VM stopped, from libvirt's events."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Optional, Tuple

from ..boots import LastState, PowerEvent
from ..model import Domain

#: States in which a VM counts as up. One that has crashed and was preserved does not.
UP = ("running", "blocked", "paused", "pmsuspended")

#: Why a VM does not run. The words are kept in the store and shown.
STOPS: Mapping[str, str] = {
    "guest": "its guest shut itself down",
    "asked": "it was asked to shut down, from the host",
    "forced": "it was powered off",
    "killed": "its process was ended from outside libvirt",
    "failed": "its process died, or its guest crashed",
    "saved": "its memory was saved",
    "pressure": "it was powered off, since its host was short of memory or space",
    "host_shutdown": "its host went down",
    "host_down": "its host lost power, or went down without stopping it",
    "starting": "it is being started since its host booted",
    "left": "it was not started when its host booted",
    "elsewhere": "it was migrated, or reverted to a snapshot",
    "unknown": "nobody saw why it stopped",
}

#: VIR_DOMAIN_EVENT_STOPPED_*: what the number says by itself. 0 depends on what came before.
STOPPED: Mapping[int, str] = {1: "forced", 2: "failed", 3: "elsewhere", 4: "saved", 5: "failed", 6: "elsewhere"}
#: VIR_DOMAIN_EVENT_SHUTDOWN_*: whose idea a shutdown was.
BY_GUEST, BY_HOST = 1, 2
#: Reasons of VMs that are off because their host was.
BY_HOST_DOWN = ("host_down", "host_shutdown")
#: Reasons of stops that somebody wanted, and of those that a boot does not take back when it goes on after an interruption.
BY_SOMEBODY = ("asked", "forced")
NOT_TAKEN_BACK = (*BY_SOMEBODY, "guest", "killed", "elsewhere", "unknown")
#: Kind of an event -> the state that the VM is in afterwards.
AFTER: Mapping[str, str] = {
    "started": "running",
    "resumed": "running",
    "suspended": "paused",
    "pmsuspended": "pmsuspended",
    "crashed": "crashed",
}


def before(last: Optional[LastState], boot_id: str) -> str:
    """What a VM was when its host last went down, as a word of libvirt; "" when nobody knows.

    A managed save counts as running: its guest goes on where it was. A VM that was not brought back yet when the power failed
    again is what it was before.
    """
    if last is None:
        return ""
    if last.boot_id == boot_id or (last.state == "shutoff" and last.reason in BY_HOST_DOWN):
        return last.before
    if last.reason == "starting":
        return last.before if last.before in UP else "running"
    return "running" if last.reason == "saved" else last.state


def was_up(last: Optional[LastState], boot_id: str) -> bool:
    """Whether a VM ran when its host last went down, by whatever way that was."""
    return before(last, boot_id) in UP


def seen(last: Optional[LastState], domain: Domain, now: float, boot_id: str, reason: str = "unknown") -> LastState:
    """What is known of a VM after a look at it. reason: why it does not run, if that is not known already."""
    if domain.power_state == "shutdown":  # it still runs; why it goes down is told when it has
        domain = replace(domain, power_state="running")
    if last is not None and last.boot_id == boot_id:
        going_down = last.reason == "host_shutdown" and not domain.active  # then what it was before that counts
        if going_down or last.state == domain.power_state:
            return replace(last, name=domain.name, reason="" if domain.active else last.reason)
    known = before(last, boot_id)
    if domain.active or last is None or last.boot_id == boot_id:
        why = "" if domain.active else reason
        return LastState(domain.uuid, domain.name, domain.power_state, why, int(now), boot_id, known)
    if last.state == "shutoff" or last.reason == "host_shutdown":  # it has been off since the boot before
        return replace(last, name=domain.name, state="shutoff", boot_id=boot_id, before=known)
    return LastState(domain.uuid, domain.name, domain.power_state, "host_down", int(now), boot_id, known)


def starting(state: LastState) -> LastState:
    """What is known of a VM that a boot decided to start: should the power fail before it is seen to run, it counts as running."""
    return replace(state, reason="starting") if state.state == "shutoff" else state


def left(state: LastState) -> LastState:
    """What is known of a VM that a boot decided not to start: from now on it is off for its own sake."""
    return replace(state, reason="left") if state.state == "shutoff" and state.reason in BY_HOST_DOWN else state


def stopped_meanwhile(last: Optional[LastState], known: Optional[LastState], boot_id: str) -> bool:
    """Whether somebody stopped a VM in this boot, and after it was known to be otherwise."""
    if last is None or last.boot_id != boot_id or last.reason not in BY_SOMEBODY:
        return False
    return known is None or (last.at_unix, last.reason) != (known.at_unix, known.reason)


def heard_since(last: Optional[LastState], since: int, boot_id: str) -> bool:
    """Whether a supervisor heard of a VM in this boot after a moment: what it says is newer than what a boot did itself."""
    if last is None or last.boot_id != boot_id or last.at_unix < since:
        return False
    return last.reason not in ("starting", "left", *BY_HOST_DOWN)


def ran_before(last: Optional[LastState], boot_id: str, since: int) -> bool:
    """Whether a VM that is off ran in this boot after a moment, and did not just fail."""
    if last is None or last.boot_id != boot_id or last.at_unix < since:
        return False
    return last.reason in NOT_TAKEN_BACK or (last.state in UP and not last.reason)


def stopped(last: Optional[LastState], domain: Domain, reason: str, now: float, boot_id: str) -> LastState:
    """What is known of a VM that stopped. While the host goes down it keeps the state that it had."""
    if reason != "host_shutdown":
        return LastState(domain.uuid, domain.name, "shutoff", reason, int(now), boot_id, before(last, boot_id))
    known = last is not None and last.boot_id == boot_id and last.state != "shutoff"
    state = last.state if last is not None and known else "running"
    return LastState(domain.uuid, domain.name, state, reason, int(now), boot_id, before(last, boot_id))


def stop_reason(event: PowerEvent, shutdown_detail: int, asked: bool, going_down: bool) -> str:
    """Why a VM stopped. shutdown_detail: of the shutdown event before, -1 for none; asked: the host asked its guest to.

    libvirt-guests, or whoever else stops VMs while the machine goes down, does it because of that.
    """
    reason = STOPPED.get(event.detail)
    if reason is None:
        by_host = {BY_HOST: "killed"}.get(shutdown_detail, "guest")
        reason = "asked" if asked and by_host == "guest" else by_host
    # also what looks like a crash: QEMU ends badly when two managers stop it at the same time
    return "host_shutdown" if going_down and reason != "elsewhere" else reason


def following(event: PowerEvent, last: Optional[LastState], now: float, boot_id: str, going_down: bool,
              notes: Tuple[int, bool] = (-1, False)) -> Optional[LastState]:  # fmt: skip
    """What is known of a VM after an event, None when the event says nothing about it. notes: as for stop_reason.

    The stop of a VM that was stopped in order may be heard when that is on record already.
    """
    known = last is not None and last.boot_id == boot_id and last.state in UP and last.reason == "host_shutdown"
    if event.kind == "stopped" and known:
        return last
    domain = Domain(event.uuid, event.name, AFTER.get(event.kind, "shutoff"))
    if event.kind == "stopped":
        return stopped(last, domain, stop_reason(event, *notes, going_down), now, boot_id)
    if event.kind not in AFTER or (event.kind == "suspended" and going_down):
        return None  # saving a VM's memory suspends it first
    return LastState(event.uuid, event.name, domain.power_state, "", int(now), boot_id, before(last, boot_id))
