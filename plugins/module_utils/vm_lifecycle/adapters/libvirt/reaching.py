# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses at which a guest can be reached from its host."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterator, List
from xml.etree import ElementTree

from ...errors import EffectError
from ..machine import own_addresses
from .calls import Asked

try:
    import libvirt
except ImportError:
    libvirt = None

#: The channel of QEMU's guest agent, and the seconds that it has to answer.
AGENT, AGENT_LIMIT = "org.qemu.guest_agent.0", 3.0

#: As libvirt describes them: name -> hwaddr, addrs.
Interfaces = Dict[str, Dict[str, Any]]


class Addresses:
    """Finds addresses of guests. A guest whose agent still owes an answer is not asked again."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._asked: Dict[str, Asked] = {}

    def of(self, handle: Any) -> List[str]:
        """What leases, the agent and the kernel's neighbours say, in this order. A source that is missing says nothing."""
        if not handle.isActive():
            return []
        root = ElementTree.fromstring(handle.XMLDesc())
        found = list(_addresses(_interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)))
        found += _addresses(self._by_agent(handle.UUIDString(), root))
        found += _addresses(_interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP))
        own = own_addresses() if found else frozenset()
        return [address for address in dict.fromkeys(found) if address not in own]

    def _by_agent(self, uuid: str, root: ElementTree.Element) -> Interfaces:
        """Of the interfaces that the domain has: a bridge inside a guest may have the address of another machine.

        A guest all of whose interfaces are devices of the host has none that the definition knows; then all count.
        """
        channel = root.find(f"devices/channel/target[@name='{AGENT}']")
        waiting = self._asked.get(uuid)
        if channel is None or channel.get("state") != "connected" or (waiting and not waiting.ended()):
            return {}
        asked = Asked(self._uri, uuid, _ask_agent)
        self._asked[uuid] = asked
        if not asked.ended(AGENT_LIMIT):
            return {}
        try:
            found: Interfaces = asked.answer()
        except EffectError:
            return {}
        known = {mac.get("address", "").lower() for mac in root.findall("devices/interface/mac")}
        return {name: each for name, each in found.items() if _mac(each) in known} or found


def _ask_agent(handle: Any) -> Interfaces:
    return _interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)


def _interfaces(handle: Any, source: int) -> Interfaces:
    """Interfaces by name; none where that source does not exist or does not answer. Raises libvirtError when the domain is gone."""
    try:
        found: Interfaces = handle.interfaceAddresses(source)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return {}
    return found


def _mac(interface: Dict[str, Any]) -> str:
    return str(interface.get("hwaddr") or "").lower()


def _addresses(interfaces: Interfaces) -> Iterator[str]:
    """Those at which a guest can be reached from its host."""
    for interface in interfaces.values():
        for given in interface.get("addrs") or []:
            try:
                address = ipaddress.ip_address(given["addr"])
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local):
                yield str(address)
