# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs come up when their host has booted, and why: the truth table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ..boots import LastState, Place, over
from ..frozen import dataclass
from ..schema import with_defaults
from .power import UP, before

if TYPE_CHECKING:
    from ..model import Document, Domain

#: Reasons for which a VM is started, those of one that runs already included.
STARTING = ("auto_start", "autostart", "was_running", "saved_memory", "already_running")


@dataclass(frozen=True)
class AtBoot:
    """action: start, destroy or leave. reason: a code of reasons.BOOT_REASONS."""

    action: str
    reason: str


def decide(domain: Domain, document: Document, last: Optional[LastState], boot_id: str) -> AtBoot:
    """What becomes of a managed VM whose declaration is valid, in the order of the questions."""
    persistence, policy, autostart = document["persistence"], policy_of(document), document.get("autostart")
    temporary = persistence["mode"] == "temporary"
    if (document.get("hold") or {}).get("scope") == "everything":
        return AtBoot("leave", "held_everything")
    if doomed(document):
        return _destroy(domain, last, boot_id)
    if policy["on_host_reboot"] == "keep-stopped":
        return AtBoot("leave", "keep_stopped")
    if autostart is not None and not autostart.get("enabled", True):
        return AtBoot("leave", "start_disabled")
    if domain.active:
        return AtBoot("start", "already_running")
    if persistence["auto_start"] and not temporary:
        return AtBoot("start", "auto_start")
    if autostart is not None and not temporary:
        return AtBoot("start", "autostart")
    known = before(last, boot_id)
    if last is not None and last.boot_id == boot_id and last.reason == "host_shutdown" and last.state in UP:
        known = last.state  # a person had this host's VMs stopped in order, and has them started again
    if known in UP:
        return AtBoot("start", "was_running")
    if domain.saved:
        return AtBoot("start", "saved_memory")
    return AtBoot("leave", "was_stopped" if known else "never_seen")


def _destroy(domain: Domain, last: Optional[LastState], boot_id: str) -> AtBoot:
    """Only a VM that an earlier boot of this host knew: one that was made since has not seen a reboot. One that runs is in use.

    A soft reboot is none here: to delete takes a new kernel's word.
    """
    if last is None or last.boot_id == over(boot_id) or not before(last, boot_id):
        return AtBoot("leave", "not_rebooted_yet")
    return AtBoot("leave", "started_since") if domain.active else AtBoot("destroy", "destroy_at_boot")


def doomed(document: Document) -> bool:
    """Whether a VM is declared to be deleted when its host boots."""
    return document["persistence"]["mode"] == "temporary" and bool(policy_of(document)["on_host_reboot"] == "destroy")


def never(document: Document) -> str:
    """Why a managed VM is never started at boot, as a predicate; "" if it may be."""
    policy, autostart = policy_of(document), document.get("autostart")
    if doomed(document):
        return "is deleted at boot: its on_host_reboot is destroy"
    if policy["on_host_reboot"] == "keep-stopped":
        return "is never started at boot: its on_host_reboot is keep-stopped"
    if autostart is not None and not autostart.get("enabled", True):
        return "is not started at boot: its enabled is false"
    return ""


def policy_of(document: Document) -> Document:
    """The VM's VmLifecyclePolicy; one that was never declared is the schema's."""
    return with_defaults("VmLifecyclePolicy", document.get("policy") or {})


def place(domain: Domain, document: Document) -> Place:
    """The VM's place in the order, from its VmAutoStartConfig."""
    if document.get("autostart") is None:
        return Place(domain.uuid, domain.name, running=domain.active)
    declared = with_defaults("VmAutoStartConfig", document["autostart"])
    return Place(
        domain.uuid,
        domain.name,
        float(declared["start_order"]),
        float(declared["start_delay_seconds"]),
        bool(declared["wait_for_ssh"]),
        float(declared["ssh_timeout_seconds"]),
        str(declared["on_start_failure"]),
        int(declared["max_start_retries"]),
        tuple(declared["depends_on"]),
        domain.active,
    )
