# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reason codes of limits: how each limit of a VM stands."""

from __future__ import annotations

from typing import Dict

from .reasons import Reason

#: How a limit stands, as limits of a result tells it.
LIMIT_REASONS: Dict[str, Reason] = {
    "limit_off": Reason(
        "kept", "The policy does not ask for the limit, or no policy is declared, and none of ours is set."
    ),
    "limit_pending": Reason(
        "kept",
        "It is not as the policy wants it, as after a start on a host that can only limit VMs that run, or after a change of size.",
        "Declare the VM again.",
    ),
    "limit_foreign": Reason(
        "kept",
        "Somebody else set a limit of this kind, so it is left as it is.",
        "Take that limit away, with virsh memtune or virsh schedinfo, and declare the VM again.",
    ),
    "limit_not_applicable": Reason(
        "kept",
        "This host can't apply the limit to the VM, and with it in its definition the VM would not start. None is set.",
        "See what the message says is missing, such as CAP_SYS_RESOURCE; or declare the limit as not enforced.",
    ),
    "disk_limit_near": Reason(
        "kept",
        "Its disks take 90 per cent of what they may. Nothing is done yet.",
        "Remove snapshots, or free space in the guest that it discards; or declare a higher disk_limit_gb.",
    ),
    "disk_limit_reached": Reason(
        "paused",
        "Its disks take all that they may, so it is paused. It is never powered off for that.",
        "Make room as for disk_limit_near, and resume it with virsh resume. To let it run meanwhile, hold it from everything.",
    ),
    "limit_enforced": Reason("kept", "The limit is in the definition, and in force while the VM runs."),
}
