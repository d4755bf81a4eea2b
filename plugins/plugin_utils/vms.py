# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs as hosts of an inventory: their names, variables, groups and addresses. Pure: what was collected of hosts in, values out.

Names and addresses are words of whoever makes a VM or has its guest, so they may neither stand for another host of the inventory nor
lead to one.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

#: Names that Ansible gives a meaning of its own.
RESERVED = ("all", "ungrouped", "localhost", "vms")
#: What is kept of a row of vm_lifecycle_info.
KEPT = (
    "name", "uuid", "power_state", "managed", "metadata_problem", "persistence", "policy", "autostart", "hold",
    "scheduled_cleanup_at", "effective_cleanup_at", "schedule", "start", "restart",
)  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """What a person chose. hostname: name, qualified or uuid; networks empty: an address of any network."""

    hostname: str = "name"
    expires_within_hours: Tuple[int, ...] = (24,)
    networks: Tuple[Any, ...] = ()
    managed_only: bool = False


@dataclass(frozen=True)
class InventoryVm:
    """A VM as a host of an inventory. note: why it is not called what it was asked to be; "" when it is."""

    hostname: str
    variables: Mapping[str, Any]
    groups: Tuple[str, ...]
    note: str = ""


def trimmed(kept: Mapping[str, Any]) -> Dict[str, Any]:
    """Of what was collected of a host, what an inventory needs: it may be cached."""
    rows = []
    for vm in kept["info"]["vms"]:
        addresses = (vm.get("snapshot") or {}).get("ip_addresses") or []
        rows.append({**{name: vm.get(name) for name in KEPT}, "addresses": list(addresses)})
    return {"host": kept["host"], "asked_at": kept["asked_at"], "vms": rows}


def mode(vm: Mapping[str, Any]) -> str:
    """permanent, temporary, unmanaged, or invalid for one whose metadata can't be used."""
    if vm["persistence"]:
        return str(vm["persistence"]["mode"])
    return "invalid" if vm["metadata_problem"] else "unmanaged"


def problems(vm: Mapping[str, Any]) -> List[str]:
    """What failed of it: the words that filter.state of vm_lifecycle_info has for it."""
    schedule, start, restart = vm["schedule"] or {}, vm["start"] or {}, vm["restart"] or {}
    found = {
        "failed": bool(schedule.get("cleanup_error")),
        "start_failed": start.get("outcome", "ready") != "ready",
        "gave_up": restart.get("state") == "gave_up",
    }
    return [word for word, so in found.items() if so]


def moment(text: Optional[str]) -> Optional[datetime]:
    """A time of a result, 2026-11-22T15:00:00Z; None for none."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) if text else None


def groups(vm: Mapping[str, Any], host: str, now: datetime, within: Iterable[int]) -> Tuple[str, ...]:
    """The groups of a VM, as they are named before Ansible makes them safe."""
    found = ["vms", f"vm_on_{host}", f"vm_{mode(vm)}", f"vm_{vm['power_state']}"]
    deadline = moment(vm["scheduled_cleanup_at"])
    if deadline is not None:
        hours = (deadline - now).total_seconds() / 3600
        found += ["vm_expired"] if hours <= 0 else []
        found += [f"vm_expires_within_{limit}h" for limit in within if hours <= limit]
    found += ["vm_held"] if vm["hold"] else []
    failed = problems(vm)
    return (*found, *(["vm_failed"] if failed else []))


def variables(vm: Mapping[str, Any], host: str, asked_at: str) -> Dict[str, Any]:
    """The variables of a VM, but for its address."""
    same = ("name", "uuid", "power_state", "persistence", "policy", "autostart", "hold", "schedule", "addresses")
    return {
        **{f"vm_{word}": vm[word] for word in same},
        "vm_hypervisor": host,
        "vm_mode": mode(vm),
        "vm_expires_at": vm["scheduled_cleanup_at"],
        "vm_removed_from": vm["effective_cleanup_at"],
        "vm_problems": problems(vm),
        "vm_metadata_problem": vm["metadata_problem"],
        "vm_seen_at": asked_at,
    }


def address(given: Sequence[str], networks: Sequence[Any], taken: Collection[str]) -> Optional[str]:
    """The address at which a VM is reached: IPv4 before IPv6, as the host found them. taken: addresses of others."""
    usable = []
    for text in given:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            continue
        if found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified or text in taken:
            continue
        if not networks or any(found in network for network in networks):
            usable.append(found)
    return str(min(usable, key=lambda each: each.version)) if usable else None


def _shared(vms: Iterable[Mapping[str, Any]]) -> List[str]:
    """Addresses that several VMs of a host claim: they belong to none of them."""
    claims = Counter(text for vm in vms for text in set(vm["addresses"]))
    return [text for text, times in claims.items() if times > 1]


def safe(name: str) -> str:
    """A name without what has a meaning in a pattern of hosts."""
    return re.sub(r"[^\w.-]+", "_", name).lstrip("-.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def called(vm: Mapping[str, Any], host: str, choices: Choices, taken: Collection[str]) -> Tuple[str, str]:
    """(name in the inventory, note). taken: names that mean something else."""
    plain, qualified = safe(vm["name"]), safe(f"{vm['name']}.{host}")
    asked = {"name": plain, "qualified": qualified, "uuid": vm["uuid"]}[choices.hostname]
    if asked and asked not in taken and not _is_address(asked):
        return asked, ""
    name = qualified if qualified not in taken and plain and choices.hostname == "name" else vm["uuid"]
    why = "that is an address" if _is_address(asked) else "several VMs or something else are called that"
    return name, f"VM {vm['name']!r} of {host} is {name} in the inventory, since {why}"


def hosts_of(
    found: Sequence[Mapping[str, Any]],
    now: datetime,
    choices: Choices,
    names: Collection[str],
    addresses: Collection[str],
) -> List[InventoryVm]:
    """All VMs of the hosts that were asked. names, addresses: of what is in the inventory already, and of the hosts themselves."""
    rows = [(vm, each) for each in found for vm in each["vms"] if vm["persistence"] or not choices.managed_only]
    plain = Counter(safe(vm["name"]) for vm, _each in rows)
    taken = {*RESERVED, *names, *(each["host"] for each in found)}
    taken |= {name for name, times in plain.items() if times > 1 and choices.hostname == "name"}
    made = []
    for vm, each in rows:
        name, note = called(vm, each["host"], choices, taken)
        taken.add(name)
        told = variables(vm, each["host"], each["asked_at"])
        reached = address(vm["addresses"], choices.networks, {*addresses, *_shared(each["vms"])})
        if reached is not None:
            told["ansible_host"] = reached
        made.append(InventoryVm(name, told, groups(vm, each["host"], now, choices.expires_within_hours), note))
    return made
