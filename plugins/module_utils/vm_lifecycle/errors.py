# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that reach the caller: each carries a stable code, and names the VM and the field where there is one."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

from .frozen import dataclass

#: Every error code, with what it means and what to do next. The documentation page is made from this table.
ERRORS: Dict[str, str] = {
    "invalid_option": "An option breaks a rule of its schema. Correct the option that the message names.",
    "unquoted_time": "A time such as 22:00 stood unquoted in YAML, which reads it as a number. Quote it.",
    "no_target": "The state needs a VM, and none was named. Give name, uuid or vms.",
    "ambiguous_target": "name or uuid, and vms, were given together. Give one of them.",
    "ambiguous_name": "Several VMs of that name were removed and can be brought back. Give the uuid of the one that is meant.",
    "duplicate_vm": "One call names the same VM twice. Name each VM once.",
    "name_uuid_mismatch": "The name and the UUID that were given belong to different VMs. Correct one of them.",
    "unknown_vm": (
        "The host has no such VM. Correct the name (vm-lifecycle status has all); a module goes on without it with missing: "
        "skip."
    ),
    "transient_domain": "The domain is transient: it has no persistent definition to keep metadata in. Define it first.",
    "remote_uri": "Only this host's own libvirt can be managed: clock, pressure and state are local. Run on the host.",
    "connection_failed": "libvirt did not answer. Start its daemon, or correct the URI.",
    "missing_library": "A Python library is missing on the host. Install the package that the message names.",
    "insane_clock": "The host's clock can't be right, and times would be recorded wrongly. Synchronise it.",
    "created_in_future": "created_at_unix lies in the future. Give the moment at which the VM was created.",
    "created_at_fixed": "created_at_unix was recorded before and can't change. Omit it, or forget the VM first.",
    "deadline_past": (
        "The new ttl_hours would end the VM's life in the past. To end it now: vm-lifecycle cleanup NAME --ignore expiry "
        "--ignore window, or vm_cleanup with ignore: [expiry, window]."
    ),
    "life_limit": (
        "A temporary VM lives at most 8760 hours (365 days) from its first base. Declare it with mode: permanent, with fewer "
        "ttl_hours, or let it go."
    ),
    "destroy_needs_temporary": "on_host_reboot: destroy deletes a VM at boot. Declare it temporary, or give another value.",
    "not_managed": "The VM has no lifecycle yet. Declare it first, with vm_persistence or in vm_lifecycle_vms.",
    "not_temporary": (
        "Only temporary VMs have a deadline to renew. Declare it with mode: temporary and ttl_hours first; a permanent one "
        "needs no renewal."
    ),
    "repair_needed": (
        "The VM's recorded metadata is not valid. Look at it, then declare it again with repair: true, once and by itself: "
        "ansible HOST -b -m vmops.lifecycle.vm_persistence -a 'name=NAME mode=permanent repair=true'."
    ),
    "invalid_configuration": "A configuration file of the host is not valid. Correct it; nothing is removed until then.",
    "store_unusable": "The state directory can't be read or written. Free space or mend it; nothing is removed until then.",
    "storage_unreadable": "The host's storage could not be looked at, so no disk could be judged. Run again when it can.",
    "open_elsewhere": "A process on this host has the disk open, so it is kept. Remove it yourself when it is closed.",
    "low_resources": "The host came under pressure during the sweep. The next one goes on.",
    "unknown_plan": "The host has no plan with that id. Sweep again, and confirm the id that it says.",
    "plan_expired": (
        "A plan can be confirmed for 24 hours. Make a new one with vm-lifecycle cleanup --plan or state: planned, and confirm "
        "that."
    ),
    "plan_id_taken": "Another plan is stored under that id. Give another id.",
    "plan_id_is_vm": "A VM of the host is called like the id, so it was meant, most likely. Name VMs before --plan, and give another id.",
    "unknown_code": "That word is no code. Give the one in brackets at the end of a line.",
    "no_hook": "A test message was to be sent, and the host has no hook. Give alert_command or alert_webhook.",
    "nothing_to_restore": (
        "The host can't bring that VM back: it was not removed, or the time for an undo is over. See vm-lifecycle status for "
        "those that it can."
    ),
    "name_taken": "Another VM has the name now. Rename it first.",
    "uuid_taken": "Another VM has the UUID now. Undefine it first, if it is not wanted.",
    "disk_changed": "A disk is missing, was changed, or another VM uses it now. Put it back, or use the disks by hand.",
    "cyclic_dependency": "VMs depend on each other in a ring, so none of them could start first. Take one out of depends_on.",
    "unknown_dependency": "A VM depends on one that the host does not have. Correct the name, or define that VM first.",
    "dependency_order": "A VM depends on one that starts later. Give that one the same start_order or a lower one.",
    "never_started": "A VM depends on one that is never started at boot. Let that one start, or take it out of depends_on.",
    "needed_by": "Other VMs depend on this one. Take it out of their depends_on first.",
    "need_inactive": "A network or pool that the VM needs is not active, and does not start by itself. Start it, or set its autostart.",
    "ssh_silent": "The VM runs, and its SSH server did not answer in ssh_timeout_seconds. See its console, or declare wait_for_ssh: false.",
    "stopped_again": "The VM stopped again while its SSH server was waited for. See its console.",
    "save_failed": "The VM's memory was not saved in time, or libvirt refused to. It was shut down instead.",
    "memory_mismatch": "Saved memory does not fit any more. Put things back as they were, or declare on_restore_failure: start-cold.",
    "restore_failed": "libvirt could not load the VM's saved memory. See its log, or declare on_restore_failure: start-cold.",
    "definition_differs": "The VM has another definition than the one on record. Capture it anew if the present one is meant.",
    "disk_missing": "A disk of the VM is not there, so it was not made again. Put the disk in its place.",
    "disk_in_use": "Another VM that runs uses a disk of this one, so it was not made again. Stop that one, or take the disk from it.",
    "nothing_recorded": "Nothing is on record of the VM. Capture it first, or give its record as recovery.",
    "limit_refused": "libvirt refused a limit. See its words in the message, or declare the limit as not enforced.",
    "busy": "Another run is working on this VM. Run again when it is done.",
    "changed_meanwhile": "The VM changed between planning and acting. Nothing more was done to it; run again.",
    "effect_failed": "libvirt refused a step. The message has its words; the next run goes on from there.",
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong: what (code, message), where (vm, field)."""

    code: str
    message: str
    vm: str = ""
    field: str = ""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.vm, self.field) if part)
        return f"{place}: {self.message} [{self.code}]" if place else f"{self.message} [{self.code}]"


class LifecycleError(Exception):
    """The call is refused as a whole, and nothing was changed. Lists every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: List[Problem] = list(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems) + ". Nothing was changed.")


def refuse(code: str, message: str, vm: str = "", field: str = "") -> LifecycleError:
    """A LifecycleError of a single problem."""
    return LifecycleError([Problem(code, message, vm, field)])


class EffectError(Exception):
    """One effect on one VM did not happen: raised by adapters and by the interpreter's own re-checks."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class DomainGone(EffectError):
    """The domain does not exist (any more)."""

    def __init__(self, uuid: str, detail: Optional[str] = None) -> None:
        super().__init__("effect_failed", detail or f"no domain has the UUID {uuid}")
