# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a domain, and the networks and pools that it needs for that."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping
from xml.etree import ElementTree

from ...boots import Need

try:
    import libvirt
except ImportError:
    libvirt = None


def start(handle: Any, uri: str, paused: bool) -> None:
    """Start a domain, with its saved memory if there is any. Already running is success. Raises EffectError, libvirtError."""
    if handle.hasManagedSaveImage() and not handle.isActive():
        from .memory import require_loadable

        require_loadable(handle, uri)
    try:
        if paused:
            handle.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        else:
            handle.create()
    except libvirt.libvirtError:
        state = handle.state()[0]
        if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
            raise


#: virDomainShutoffReason -> a word of policy.power.STOPS. libvirt ends QEMU itself when it can't talk to it any more after a
#: restart of its daemon (8). Whose idea a shutdown was (1) only its event tells, and a start that failed (6) is no stop.
REASONS: Dict[int, str] = {2: "forced", 3: "failed", 4: "elsewhere", 5: "saved", 7: "elsewhere", 8: "failed"}


def stop_reason(handle: Any) -> str:
    """Why a domain is off, as far as libvirt knows. Raises libvirtError."""
    state, reason = handle.state()
    return REASONS.get(reason, "unknown") if state == libvirt.VIR_DOMAIN_SHUTOFF else "unknown"


#: Elements and their values in the order of virDomainLifecycle and virDomainLifecycleAction.
ENDS = ("on_poweroff", "on_reboot", "on_crash")
DEEDS = ("destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart")


def set_actions(handle: Any, values: Mapping[str, str]) -> None:
    """What libvirt does when the guest ends. A process that runs keeps its own where it can't change it. Raises libvirtError."""
    for name, value in values.items():
        kind, deed = ENDS.index(name), DEEDS.index(value)
        handle.setLifecycleAction(kind, deed, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        try:
            if handle.isActive():
                handle.setLifecycleAction(kind, deed, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError:
            continue  # from its next start on


def needs(connection: Any, xml: str) -> List[Need]:
    """Networks and pools of a definition, once each, in its order. Raises libvirtError."""
    devices = ElementTree.fromstring(xml)
    named = [
        ("network", source.get("network")) for source in devices.findall("devices/interface[@type='network']/source")
    ]
    named += [
        ("pool", source.get("pool"))
        for source in devices.findall("devices/disk[@type='volume']/source")
        if source.get("startupPolicy") != "optional"  # libvirt starts without such a medium
    ]
    return [_need(connection, kind, name) for kind, name in dict.fromkeys(named) if name]


def _lookup(connection: Any, kind: str) -> Callable[[str], Any]:
    found: Callable[[str], Any] = (
        connection.networkLookupByName if kind == "network" else connection.storagePoolLookupByName
    )
    return found


def _need(connection: Any, kind: str, name: str) -> Need:
    try:
        found = _lookup(connection, kind)(name)
        return Need(kind, name, bool(found.isActive()), bool(found.autostart()))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_STORAGE_POOL):
            return Need(kind, name, active=False, known=False)
        raise


def activate(connection: Any, need: Need) -> None:
    """Start a network or a pool. Already active is success. Raises libvirtError."""
    found = _lookup(connection, need.kind)(need.name)
    try:
        found.create()
    except libvirt.libvirtError:
        if not found.isActive():
            raise
