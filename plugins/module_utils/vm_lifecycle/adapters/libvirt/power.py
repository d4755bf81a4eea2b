# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a domain, and the networks and pools that it needs for that."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple
from xml.etree import ElementTree

from ...boots import Need, Off
from ...metadata import NAMESPACE
from .definitions import plain_text

try:
    import libvirt
except ImportError:
    libvirt = None


def start(handle: Any, uri: str, paused: bool) -> None:
    """Start a domain, with its saved memory if there is any. Already running is success. Raises EffectError, libvirtError."""
    if handle.hasManagedSaveImage() and not handle.isActive():
        from .memory import require_loadable

        require_loadable(handle, uri)
    _create(handle, paused)


def start_cold(handle: Any, paused: bool) -> bool:
    """The same for a domain without saved memory; False, and nothing is done, when it has some."""
    if handle.hasManagedSaveImage():
        return False
    _create(handle, paused)
    return True


def _create(handle: Any, paused: bool) -> None:
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


#: ID of a domain that is off.
NO_ID = -1


def off(connection: Any, handle: Any) -> Optional[Off]:
    """A domain that was looked up just now, None for one that is not off. Raises libvirtError.

    Its definition says all but what its networks and pools are, and one list of each kind says that of all.
    """
    if handle.ID() != NO_ID:
        return None
    definition = ElementTree.fromstring(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    own = (each for each in definition.iterfind("metadata/*") if each.tag.startswith(f"{{{NAMESPACE}}}"))
    return Off(_text(next(own, None)), tuple(_missing(connection, _named(definition))))


def _text(element: Optional[ElementTree.Element]) -> Optional[str]:
    try:
        return None if element is None else plain_text(element)
    except ValueError:
        return None


def _missing(connection: Any, named: List[Tuple[str, str]]) -> List[Need]:
    """Those that are not active, as they are."""
    active: Set[Tuple[str, str]] = set()
    if any(kind == "network" for kind, _name in named):
        found = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        active.update(("network", each.name()) for each in found)
    if any(kind == "pool" for kind, _name in named):
        found = connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
        active.update(("pool", each.name()) for each in found)
    seen = [_need(connection, kind, name) for kind, name in named if (kind, name) not in active]
    return [need for need in seen if not need.active]


def needs(connection: Any, xml: str) -> List[Need]:
    """Networks and pools of a definition, once each, in its order. Raises libvirtError."""
    return [_need(connection, kind, name) for kind, name in _named(ElementTree.fromstring(xml))]


def _named(devices: ElementTree.Element) -> List[Tuple[str, str]]:
    """(kind, name) of each."""
    named = [
        ("network", source.get("network")) for source in devices.findall("devices/interface[@type='network']/source")
    ]
    named += [
        ("pool", source.get("pool"))
        for source in devices.findall("devices/disk[@type='volume']/source")
        if source.get("startupPolicy") != "optional"  # libvirt starts without such a medium
    ]
    return [(kind, name) for kind, name in dict.fromkeys(named) if name]


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
