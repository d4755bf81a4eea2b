# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the ports that measure VMs, and that remember what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, Dict, Iterator, List, Optional, Protocol

from .model import Document, Domain

if TYPE_CHECKING:
    from .snapshots import Counters, Statistics, SweepRun


#: Why metadata that nobody asked for is no ground to decide by.
NOT_READ = "it was not read"


class Meter(Protocol):
    """Of the hypervisor."""

    def statistics(self, uuids: Collection[str]) -> List[Statistics]:
        """What these domains use, all of them measured by one call to libvirt; without those that are gone.

        A domain whose process does not answer is told of by what can be known without it, and keeps no other one waiting.
        """

    def metadata_texts(self) -> Iterator[str]:
        """Texts of our metadata elements in the persistent definitions of all domains, each read when it is its turn."""

    def power_states(self, uuids: Collection[str]) -> List[Domain]:
        """Those of some hundred domains that exist, by name, in bulk: whether they run, and whether they are persistent, and no more.

        Their metadata counts as unreadable.
        """

    def definition_mark(self, domain: Domain) -> Optional[object]:
        """Equal to an earlier one if the domain's persistent definition was not written in between; None when that can't be told."""


class Measurements(Protocol):
    """Of the store."""

    def snapshots(self, limit: int) -> Dict[str, List[Document]]:
        """The newest VmStateSnapshots of each VM, at most limit of each, newest first, by UUID."""

    def counters(self) -> Dict[str, Counters]:
        """The last reading of each VM, by UUID."""

    def sweep(self) -> Optional[SweepRun]:
        """How the timer's last sweep ended, None when there was none."""
