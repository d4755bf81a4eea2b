# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the ports that are about a host that is short of memory or space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .pressures import DiskRoom, MemoryRoom


class Yielding(Protocol):
    """Of the hypervisor."""

    def resume(self, uuid: str) -> None:
        """A paused domain goes on. One that runs, or is off, is left as it is."""

    def disk_room(self, uuid: str) -> DiskRoom:
        """What is left where the domain's own disks grow, by its persistent definition if it is off. No disk of that kind: endless."""


class Strained(Protocol):
    """Of the host."""

    def memory(self) -> MemoryRoom:
        """How short of memory it is now."""
