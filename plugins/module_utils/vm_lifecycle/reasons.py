# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reason codes: why a VM, or a disk, is treated as it is. Stable words to search for; the documentation is made from them.

The stages below give the order in which a sweep asks. Tests hold them against the code that asks.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Reason(NamedTuple):
    """decision: the words that a result may have beside the code. remedy: what to do about it, empty when nothing is to be done."""

    decision: str
    meaning: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """Meaning and remedy as one text."""
        return f"{self.meaning} {self.remedy}".rstrip()


class Stage(NamedTuple):
    """Questions that are asked together, in the order of their codes. The first one that speaks against a removal is the reason."""

    title: str
    codes: Tuple[str, ...]


#: The role has no repair, which would hold for every run.
REPAIR = (
    "Declare it again with what is meant, once and by itself: ansible HOST -b -m vmops.lifecycle.vm_persistence "
    "-a 'name=NAME mode=permanent repair=true'."
)

#: Why a sweep removed, kept or postponed a VM.
VM_REASONS: Dict[str, Reason] = {
    "expired": Reason("removed", "Its time is over and every condition of the gate holds."),
    "requested": Reason("removed", "It was named, and the call lifted the deadline with ignore: [expiry]."),
    "resumed": Reason(
        "removed or rolled_back",
        "An earlier sweep was interrupted: the removal is finished if the VM was undefined, else rolled back.",
    ),
    "transient": Reason("kept", "Transient domains are left alone.", "Define it, then declare it."),
    "metadata_unreadable": Reason("kept", "libvirt could not read its metadata.", "See what libvirt says about it."),
    "not_managed": Reason("kept", "It carries no metadata of ours. VMs that were not declared are never touched."),
    "metadata_not_json": Reason("kept", "Its metadata is not readable as JSON. Unreadable means keep.", REPAIR),
    "metadata_newer": Reason(
        "kept", "Its metadata was written by a newer version of this software.", "Upgrade this host."
    ),
    "metadata_invalid": Reason("kept", "Its metadata breaks its schema.", REPAIR),
    "metadata_cloned": Reason(
        "kept",
        "Its metadata names another VM: it is a clone, and a clone never inherits a deadline.",
        "Declare it itself.",
    ),
    "metadata_reverted": Reason(
        "kept",
        "Its metadata is older than what was last declared, as after reverting to a snapshot.",
        "Declare it again to say what is meant.",
    ),
    "metadata_edited": Reason(
        "kept", "Its metadata was changed, and not by us.", "Declare it again to confirm what is meant."
    ),
    "permanent": Reason("kept", "Permanent VMs are never removed."),
    "held": Reason("kept", "It is held.", "Release it when it may go."),
    "not_expired": Reason(
        "kept",
        "Its deadline lies in the future.",
        "To end it now: vm-lifecycle cleanup NAME --ignore expiry --ignore window, or vm_cleanup with ignore: [expiry, window].",
    ),
    "auto_cleanup_off": Reason(
        "kept",
        "It is expired, but auto_cleanup is off: it is reported and never removed.",
        "Declare it with auto_cleanup, or remove it yourself.",
    ),
    "gave_up": Reason(
        "kept",
        "Removing it failed max_cleanup_attempts times.",
        "See to the cause, then sweep it by name: "
        "vm-lifecycle cleanup NAME, with --ignore window while the window is closed.",
    ),
    "insane_clock": Reason(
        "waiting",
        "The host's clock can't be right, so no deadline can be trusted.",
        "Synchronise it; if it is right as it is, run vm-lifecycle clock-accept.",
    ),
    "clock_unsynchronised": Reason(
        "waiting", "require_synchronised_clock is on and the clock is not synchronised.", "Synchronise it."
    ),
    "cleanup_disabled": Reason("waiting", "cleanup_enabled is off on this host.", "Turn it on when VMs may go."),
    "newly_seen": Reason(
        "waiting",
        "This host's store does not know the VM (moved here, or the store was lost): marked now, removed from the next sweep on.",
    ),
    "backing_off": Reason(
        "waiting",
        "Removing it failed; the next attempt is due later, at twice the delay each time.",
        "See to the cause; a sweep that names it tries at once: vm-lifecycle cleanup NAME, with --ignore window while "
        "the window is closed.",
    ),
    "not_notified": Reason(
        "waiting",
        "require_notice is on, and its notice did not arrive long enough ago.",
        "If notices don't arrive, see vm-lifecycle notify --test.",
    ),
    "metadata_lost": Reason(
        "waiting",
        "Many VMs lost their metadata at once, so nothing is removed.",
        "Declare them again, or state: absent for them.",
    ),
    "pools_lost": Reason(
        "waiting",
        "A storage pool that this host had is missing, so nothing is removed.",
        "Start it; after 24 hours it counts as gone.",
    ),
    "storage_unreadable": Reason(
        "waiting or failed", "The host's storage could not be looked at.", "See what the message says."
    ),
    "pool_inactive": Reason("waiting", "A pool of one of its disks is not active.", "Start it."),
    "chain_unreadable": Reason(
        "waiting",
        "Its disks can't be judged, since a backing chain can't be read.",
        "See to the image that the warning names.",
    ),
    "storage_problem": Reason(
        "waiting",
        "Its disks can't be judged, since a pool or a VM can't be looked at.",
        "See to what the warning names.",
    ),
    "users_leave_first": Reason(
        "waiting", "A VM that is removed first still uses one of its disks; it follows in the next sweep."
    ),
    "dropped_out": Reason(
        "waiting or kept",
        "It is not as it was when the plan was made that was confirmed.",
        "Look at it; a new sweep makes a new plan.",
    ),
    "planned": Reason(
        "waiting",
        "It is in the plan that was stored under that id; nothing is removed before it is confirmed.",
        "Confirm the plan by its id: vm-lifecycle confirm PLAN.",
    ),
    "unconfirmed": Reason(
        "waiting", "A person has to confirm the plan first.", "Confirm the plan by its id: vm-lifecycle confirm PLAN."
    ),
    "over_cap": Reason(
        "waiting",
        "More would be removed than a sweep may remove by itself.",
        "Confirm the plan by its id: vm-lifecycle confirm PLAN.",
    ),
    "outside_window": Reason("waiting", "The cleanup window is closed."),
    "low_resources": Reason("waiting", "The host is under pressure, and skip_on_low_resources is on."),
    "dry_run_mode": Reason(
        "waiting", "dry_run_mode is on: the plan is logged and nothing is done.", "Turn it off when VMs may go."
    ),
    "busy": Reason("waiting", "Another run is working on it, or other removals have all the places that there are."),
    "changed_meanwhile": Reason(
        "waiting or failed", "It changed between planning and acting, so nothing more was done.", "Run again."
    ),
    "effect_failed": Reason(
        "failed", "A step failed; the message says which.", "See to the cause; the next sweep goes on from there."
    ),
    "store_unusable": Reason("failed", "The state directory can't be read or written.", "Free space, or mend it."),
    "undo_over": Reason("removed", "It was removed, and the time for an undo is over: its disks go."),
    "purged": Reason(
        "removed", "It was removed, and the call asked for its disks to go before the time for an undo is over."
    ),
    "superseded": Reason(
        "kept or waiting",
        "A VM with its UUID exists again. A sweep of the whole host drops its undo record, without touching its disks; that VM waits.",
    ),
    "restored": Reason(
        "restored or kept",
        "It was brought back, and is held so that it is not removed at once.",
        "Renew and release it.",
    ),
    "unknown_vm": Reason("kept", "No VM has that name or UUID, and missing: skip was given."),
    "already_removed": Reason(
        "kept",
        "This host removed it when its time was over.",
        "Take it out of the list, or define it anew.",
    ),
}

#: Why a disk goes or stays. decision is the disk's.
DISK_REASONS: Dict[str, Reason] = {
    "only_user": Reason("removed", "Used by this VM alone: a volume of a pool, or what an option lets go beside them."),
    "removable_medium": Reason("kept", "A CD-ROM or floppy image."),
    "read_only": Reason("kept", "Attached read-only."),
    "shareable": Reason("kept", "Attached as shareable."),
    "network_storage": Reason(
        "kept", "It lies on storage that other hosts may use too, whose VMs can't be seen from here."
    ),
    "unsupported_kind": Reason(
        "kept",
        "A kind of disk or pool from which nothing is removed: whole devices, LUNs, partitions and the like.",
    ),
    "missing": Reason("kept", "There is no such file."),
    "not_in_pool": Reason(
        "kept",
        "Not a volume of any active pool: files that libvirt does not manage are kept.",
        "remove_unpooled_files lets plain files go.",
    ),
    "pool_inactive": Reason("kept", "Its pool is not active, so it can't be deleted now.", "Start the pool."),
    "symlink": Reason("kept", "The volume is a symbolic link."),
    "hard_linked": Reason("kept", "The file has further names, whose users can't be known."),
    "in_snapshot": Reason("kept", "A snapshot of a VM refers to it."),
    "in_use": Reason("kept", "Another VM uses it, or this VM in another role."),
    "in_shared_directory": Reason("kept", "It lies in a directory that another VM is given as a shared file system."),
    "backing_file": Reason("kept", "Other images are built on it, or this VM's disk is built on it."),
    "chain_unreadable": Reason(
        "kept",
        "A backing chain could not be read, so a further user can't be excluded.",
        "See to the image that the warning names.",
    ),
    "storage_problem": Reason(
        "kept",
        "Some pool or VM could not be looked at, so a further user can't be excluded.",
        "See to what the warning names.",
    ),
    "already_gone": Reason("gone", "It is not there any more."),
    "identity_changed": Reason(
        "kept", "It is not the file any more that was judged.", "Look who made it, and remove it yourself if need be."
    ),
    "open_elsewhere": Reason(
        "kept",
        "A process on this host has it open, although no VM of this libvirt uses it.",
        "Remove it yourself when it is closed.",
    ),
    "delete_failed": Reason("kept", "libvirt refused to delete it.", "See libvirt's log."),
    "kept_for_undo": Reason("kept", "It stays in its place until the time for an undo is over."),
    "not_reached": Reason("kept", "The removal stopped before it came to this disk."),
}

DECISIONS: Dict[str, str] = {code: reason.text for code, reason in VM_REASONS.items()}
VERDICTS: Dict[str, str] = {code: reason.text for code, reason in DISK_REASONS.items()}

#: What a sweep asks of each VM, in this order.
GATE: Tuple[Stage, ...] = (
    Stage(
        "Is it ours, and is what was declared about it beyond doubt?",
        (
            "transient", "metadata_unreadable", "not_managed", "metadata_not_json", "metadata_newer", "metadata_invalid",
            "metadata_cloned", "metadata_reverted", "metadata_edited",
        ),
    ),
    Stage(
        "May it ever go?",
        ("permanent", "held", "not_expired", "auto_cleanup_off", "gave_up"),
    ),
    Stage(
        "May it go from now on?",
        ("insane_clock", "clock_unsynchronised", "cleanup_disabled", "newly_seen", "backing_off", "not_notified", "superseded"),
    ),
    Stage("Did the host lose something that many VMs need?", ("metadata_lost", "pools_lost")),
    Stage(
        "Can its disks be judged?",
        ("storage_unreadable", "pool_inactive", "chain_unreadable", "storage_problem", "users_leave_first"),
    ),
    Stage("Does a person have to agree?", ("dropped_out", "planned", "unconfirmed", "over_cap")),
    Stage("Does the host allow it at this moment?", ("outside_window", "low_resources", "dry_run_mode")),
)  # fmt: skip
#: What is asked once more when a removal's turn has come, in this order; and how a step may fail.
TURN = Stage(
    "Is it still so when its turn comes?",
    (
        "low_resources", "busy", "insane_clock", "outside_window", "changed_meanwhile", "store_unusable",
        "storage_unreadable", "effect_failed",
    ),
)  # fmt: skip
#: Codes of VMs that go, and of rows that speak of no VM in front of the gate.
PASSED = Stage("It goes", ("expired", "requested"))
OTHER_ROWS = Stage(
    "Rows of other kinds",
    ("resumed", "undo_over", "purged", "restored", "unknown_vm", "already_removed"),
)

#: What is asked of each disk when the plan is made, in this order, and again when the VM is off.
DISK_PLAN = Stage(
    "When the plan is made, and again when the VM is off",
    (
        "removable_medium", "read_only", "shareable", "network_storage", "unsupported_kind", "missing", "not_in_pool",
        "pool_inactive", "symlink", "hard_linked", "in_snapshot", "in_use", "in_shared_directory", "backing_file",
        "chain_unreadable", "storage_problem", "only_user",
    ),
)  # fmt: skip
#: What is asked of each disk once more, when its VM is undefined, just before the disk is deleted.
DISK_LAST = Stage(
    "Just before each disk is deleted",
    (
        "storage_problem", "pool_inactive", "already_gone", "identity_changed", "in_use", "in_shared_directory",
        "backing_file", "chain_unreadable", "open_elsewhere", "delete_failed",
    ),
)  # fmt: skip
DISK_BESIDE = Stage("Disks that nobody had to judge", ("kept_for_undo", "not_reached"))
