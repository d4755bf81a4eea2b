# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts of domains, as a part of the hypervisor's port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

from ...errors import DomainGone
from .calls import translated
from .power import activate, needs, off, start, start_cold

if TYPE_CHECKING:
    from ...boots import Need, Off
    from .connections import Connections

try:
    import libvirt
except ImportError:
    libvirt = None


class Starting:
    """To be mixed into what has the handles of domains."""

    _connections: Connections

    def _handle(self, uuid: str) -> Any:
        raise NotImplementedError

    def _looked_up(self, uuid: str) -> Any:
        """Its handle anew, which says whether it is off at this moment."""
        raise NotImplementedError

    def expect(self, threads: int) -> None:
        """See Hypervisor."""
        self._connections.open_ahead(threads)

    def start(self, uuid: str, paused: bool = False) -> None:
        """See Hypervisor."""
        with translated(uuid):
            start(self._handle(uuid), self._connections.uri, paused)

    def off(self, uuid: str) -> Optional[Off]:
        """See Hypervisor."""
        try:
            with translated(uuid):
                return off(self._connections.current(), self._looked_up(uuid))
        except DomainGone:
            return None

    def start_cold(self, uuid: str, paused: bool = False) -> bool:
        """See Hypervisor."""
        with translated(uuid):
            return start_cold(self._handle(uuid), paused)

    def needs(self, uuid: str) -> List[Need]:
        """See Hypervisor."""
        with translated(uuid):
            return needs(self._connections.current(), self._handle(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def activate(self, need: Need) -> None:
        """See Hypervisor."""
        with translated():
            activate(self._connections.current(), need)
