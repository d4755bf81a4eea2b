# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the hypervisor's port that is about limits, and what else a policy wants of a definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Protocol

if TYPE_CHECKING:
    from .limits import DiskUsage, LimitsSeen


class Limiting(Protocol):
    """As Hypervisor: a call on a UUID that is gone raises DomainGone; a refusal of libvirt raises EffectError."""

    def limits(self, uuid: str) -> LimitsSeen:
        """How large the domain is and what it is limited to, by its persistent definition and, if active, as it runs."""

    def set_limit(self, uuid: str, kind: str, amount: int, persistent: bool) -> None:
        """Set a limit of the persistent definition, or of the running domain; 0 lifts it. Units are those of SetLimit.

        Raises EffectError limit_refused when libvirt refuses it, and changed_meanwhile when the domain does not run any more.
        """

    def disk_usage(self, uuid: str) -> Optional[DiskUsage]:
        """What the running domain's own disks take: those that it writes to, and what its snapshots keep. None while it is off."""

    def pause(self, uuid: str) -> None:
        """The running domain's processors stand still. Paused already, or off, is success."""

    def has_panic_device(self, uuid: str) -> bool:
        """Whether the persistent definition has one."""

    def set_panic_device(self, uuid: str, present: bool) -> None:
        """Put one into the persistent definition, or take it out; all else stays. As it should be already is success."""
