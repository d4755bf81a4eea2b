# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses at which a guest can be reached from its host."""

from __future__ import annotations

import ipaddress
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Set
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
#: Agents that are asked at the same time.
AT_ONCE = 16

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
        cards = _cards(root)
        found = _of(_interfaces(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE).values())
        asked = self._begun(handle.UUIDString(), root)
        found += _told(asked, cards, AGENT_LIMIT) if asked is not None else []
        # The kernel is asked itself: libvirt 9.0 can't read what Linux 6.18 answers (wrong nlmsg len).
        met = neighbours()
        found += [address for card in sorted(cards) for address in met.get(card, [])]
        own = own_addresses() if found else frozenset()
        return [address for address in dict.fromkeys(_reachable(found)) if address not in own]

    def of_all(self, connection: Any, running: Mapping[str, ElementTree.Element]) -> Dict[str, List[str]]:
        """The same for many guests by their definitions, by UUID: networks are asked for their leases, agents several at once."""
        if not running:
            return {}
        leases, met, own = _leases(connection), neighbours(), own_addresses()
        found: Dict[str, List[str]] = {}
        uuids = list(running)
        for first in range(0, len(uuids), AT_ONCE):
            some = uuids[first : first + AT_ONCE]
            asked = {uuid: self._begun(uuid, running[uuid]) for uuid in some}
            deadline = time.monotonic() + AGENT_LIMIT
            for uuid in some:
                cards, agent = _cards(running[uuid]), asked[uuid]
                left = max(deadline - time.monotonic(), 0.0)
                told = _told(agent, cards, left) if agent is not None else []
                by_lease, by_kernel = (
                    [a for card in sorted(cards) for a in book.get(card, [])] for book in (leases, met)
                )
                given = _reachable([*by_lease, *told, *by_kernel])
                found[uuid] = [address for address in dict.fromkeys(given) if address not in own]
        return found

    def _begun(self, uuid: str, root: ElementTree.Element) -> Optional[Asked]:
        """A question to a guest's agent, unless it has none that listens, or one that owes an answer."""
        channel = root.find(f"devices/channel/target[@name='{AGENT}']")
        waiting = self._asked.get(uuid)
        if channel is None or channel.get("state") != "connected" or (waiting and not waiting.ended()):
            return None
        self._asked[uuid] = asked = Asked(self._uri, uuid, _ask_agent)
        return asked


def _cards(root: ElementTree.Element) -> Set[str]:
    return {mac.get("address", "").lower() for mac in root.findall("devices/interface/mac")}


def _told(asked: Asked, cards: Set[str], seconds: float) -> List[str]:
    """What an agent says of the cards that the domain has: a bridge inside a guest may have the address of another machine.

    A guest all of whose cards are devices of the host has none that the definition knows; then all count.
    """
    if not asked.ended(seconds):
        return []
    try:
        found: List[Dict[str, Any]] = list(asked.answer().values())
    except EffectError:
        return []
    return _of([each for each in found if str(each.get("hwaddr") or "").lower() in cards] or found)


def _leases(connection: Any) -> Dict[str, List[str]]:
    """Hardware address -> addresses that libvirt's own networks gave it. A network that can't tell says nothing."""
    found: Dict[str, List[str]] = {}
    try:
        networks = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    except libvirt.libvirtError:  # a daemon without networks
        return {}
    for network in networks:
        try:
            given = network.DHCPLeases()
        except libvirt.libvirtError:
            continue
        for lease in given:
            found.setdefault(str(lease.get("mac") or "").lower(), []).append(str(lease["ipaddr"]))
    return found


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
