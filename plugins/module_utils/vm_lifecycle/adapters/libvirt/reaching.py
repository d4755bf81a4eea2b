# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses at which a guest can be reached from its host."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterable, Iterator, List, Set
from xml.etree import ElementTree

from ...errors import EffectError
from ..machine import neighbours, own_addresses
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
        cards = {mac.get("address", "").lower() for mac in root.findall("devices/interface/mac")}
        found = _of(_interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE).values())
        found += self._by_agent(handle.UUIDString(), root, cards)
        # The kernel is asked itself: libvirt 9.0 can't read what Linux 6.18 answers (wrong nlmsg len).
        met = neighbours()
        found += [address for card in sorted(cards) for address in met.get(card, [])]
        own = own_addresses() if found else frozenset()
        return [address for address in dict.fromkeys(_reachable(found)) if address not in own]

    def _by_agent(self, uuid: str, root: ElementTree.Element, cards: Set[str]) -> List[str]:
        """Of the cards that the domain has: a bridge inside a guest may have the address of another machine.

        A guest all of whose cards are devices of the host has none that the definition knows; then all count.
        """
        channel = root.find(f"devices/channel/target[@name='{AGENT}']")
        waiting = self._asked.get(uuid)
        if channel is None or channel.get("state") != "connected" or (waiting and not waiting.ended()):
            return []
        self._asked[uuid] = asked = Asked(self._uri, uuid, _ask_agent)
        if not asked.ended(AGENT_LIMIT):
            return []
        try:
            found: List[Dict[str, Any]] = list(asked.answer().values())
        except EffectError:
            return []
        return _of([each for each in found if str(each.get("hwaddr") or "").lower() in cards] or found)


def _ask_agent(handle: Any) -> Interfaces:
    return _interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)


def _interfaces(handle: Any, source: int) -> Interfaces:
    """None where that source does not exist or does not answer. Raises libvirtError when the domain is gone."""
    try:
        found: Interfaces = handle.interfaceAddresses(source)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return {}
    return found


def _of(interfaces: Iterable[Dict[str, Any]]) -> List[str]:
    return [str(given["addr"]) for interface in interfaces for given in interface.get("addrs") or []]


def _reachable(addresses: Iterable[str]) -> Iterator[str]:
    """Those at which a guest can be reached from its host."""
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local):
            yield str(address)
