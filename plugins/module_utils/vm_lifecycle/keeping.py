# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the store port that remembers what VMs were and what is needed to have them so again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, ContextManager, Dict, FrozenSet, Optional, Protocol

if TYPE_CHECKING:
    from .boots import BootRun, LastState, StartRecord
    from .pressures import Pressed
    from .recoveries import Manifest, Recovery
    from .restarts import RestartRecord


class Keeping(Protocol):
    """Of the store. uuids: of these VMs only, at most some hundreds; None for all."""

    def together(self) -> ContextManager[None]:
        """What this thread reads in the context is read in one go, which is quicker, and is what was there at one moment."""

    def states(self, uuids: Optional[Collection[str]] = None) -> Dict[str, LastState]:
        """What each VM was last seen to be, by UUID."""

    def starts(self, uuids: Optional[Collection[str]] = None) -> Dict[str, StartRecord]:
        """How the last start of each VM in order went, by UUID."""

    def boot(self) -> Optional[BootRun]:
        """The last boot that was carried out, None when there was none."""

    def restarts(self, uuids: Optional[Collection[str]] = None) -> Dict[str, RestartRecord]:
        """VMs that stopped and are, were or are not to be restarted, by UUID."""

    def pressed(self) -> Dict[str, Pressed]:
        """VMs that give way because their host is short of something, by UUID."""

    def recorded(self) -> FrozenSet[str]:
        """UUIDs of the VMs of which there is a record, be it one that can't be understood; quicker than the records."""

    def recoverable(self) -> FrozenSet[str]:
        """UUIDs of the VMs of which recoveries has something; quicker than that."""

    def recoveries(self, uuids: Optional[Collection[str]] = None) -> Dict[str, Recovery]:
        """What is kept to make VMs again, by UUID."""

    def manifests(self) -> Dict[str, Manifest]:
        """What saved memory was made with, by UUID."""

    def write_manifest(self, manifest: Manifest) -> None:
        """Make a manifest durable, in place of an earlier one of the same VM."""

    def directory(self, name: str) -> str:
        """Path of a directory of the state, for large files; made if need be."""

    def drop_manifest(self, uuid: str) -> None:
        """The memory was loaded, or set aside."""

    def stamp(self) -> Optional[object]:
        """Equal to an earlier one if nothing was written in between, by anybody; None when that can't be told."""
