# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits, and what a host needs that is short of something, as a part of the hypervisor's port.

What they take is imported by those runs alone that ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Collection, List, Optional

from ...errors import EffectError
from .calls import Asked, translated

if TYPE_CHECKING:
    from ...limits import DiskUsage, LimitsSeen
    from ...model import Domain
    from ...pressures import DiskRoom
    from .connections import Connections

try:
    import libvirt
except ImportError:
    libvirt = None

#: Seconds that the monitor of a QEMU has to answer.
ANSWER_LIMIT = 10.0


class Limited:
    """To be mixed into what has the handles of domains."""

    _connections: Connections

    def _handle(self, uuid: str) -> Any:
        raise NotImplementedError

    def limits(self, uuid: str) -> LimitsSeen:
        """See Limiting."""
        from .limits import limits_of

        with translated(uuid):
            return limits_of(self._handle(uuid))

    def set_limit(self, uuid: str, kind: str, amount: int, persistent: bool) -> None:
        """See Limiting."""
        from .limits import set_limit

        with translated(uuid):
            set_limit(self._handle(uuid), kind, amount, persistent)

    def has_panic_device(self, uuid: str) -> bool:
        """See Limiting."""
        from .panic_device import has_panic_device

        with translated(uuid):
            return has_panic_device(self._handle(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def set_panic_device(self, uuid: str, present: bool) -> None:
        """See Limiting."""
        from .panic_device import set_panic_device

        with translated(uuid):
            set_panic_device(self._connections.current(), self._handle(uuid), present)

    def disk_usage(self, uuid: str) -> Optional[DiskUsage]:
        """See Limiting."""
        from .disk_usage import disk_usage

        usage: Optional[DiskUsage] = self._answered(uuid, disk_usage)
        return usage

    def pause(self, uuid: str) -> None:
        """See Limiting."""
        from .disk_usage import pause

        self._answered(uuid, pause)

    def definition_mark(self, domain: Domain) -> Optional[object]:
        """See Meter. libvirt writes a definition anew for each change of it, under another name first."""
        from ..durable_files import stamp
        from .places import definition_file

        mark = stamp([definition_file(self._connections.uri, domain.name)])
        # one is kept of each VM for as long as the supervisor lasts, so it is a short text
        return None if mark is None or mark == (None,) else str(mark[0])

    def power_states(self, uuids: Collection[str]) -> List[Domain]:
        """See Meter."""
        from .power_states import power_states

        with translated():
            return power_states(self._connections.current(), self._connections.handles(), uuids)

    def resume(self, uuid: str) -> None:
        """See Yielding."""
        from .disk_room import resume

        self._answered(uuid, resume)

    def disk_room(self, uuid: str) -> DiskRoom:
        """See Yielding."""
        from .disk_room import disk_room

        room: DiskRoom = self._answered(uuid, disk_room)
        return room

    def _answered(self, uuid: str, call: Callable[[Any], Any]) -> Any:
        """What a call that asks QEMU returns; the monitor of one that hangs never answers."""
        asked = Asked(self._connections.uri, uuid, call)
        if not asked.ended(ANSWER_LIMIT):
            raise EffectError("effect_failed", f"the monitor of its process did not answer in {ANSWER_LIMIT:.0f} s")
        return asked.answer()
