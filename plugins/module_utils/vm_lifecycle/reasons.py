# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reason codes: why a VM, or a disk, is treated as it is. Stable words to search for; the documentation is made from them."""

from __future__ import annotations

from typing import Dict

#: Why a sweep removed, kept or postponed a VM.
DECISIONS: Dict[str, str] = {
    "expired": "Its time is over and every condition of the gate holds.",
    "requested": "It was named, and the call lifted the deadline with ignore: [expiry].",
    "resumed": "An earlier sweep was interrupted after the VM was undefined; this one finished it.",
    "permanent": "Permanent VMs are never removed.",
    "held": "It is held; release it first.",
    "not_expired": "Its deadline lies in the future.",
    "auto_cleanup_off": "It is expired, but auto_cleanup is off: it is reported and never removed.",
    "not_managed": "It carries no metadata of ours. VMs that were not declared are never touched.",
    "metadata_not_json": "Its metadata is not readable as JSON. Unreadable means keep.",
    "metadata_invalid": "Its metadata breaks its schema. Declare it again with repair: true.",
    "metadata_newer": "Its metadata was written by a newer version of this software.",
    "metadata_cloned": "Its metadata names another VM: it is a clone, and a clone never inherits a deadline.",
    "metadata_reverted": "Its metadata is older than what was last declared, as after reverting to a snapshot.",
    "metadata_edited": "Its metadata was changed, and not by us. Declare it again to confirm what is meant.",
    "metadata_unreadable": "libvirt could not read its metadata.",
    "transient": "Transient domains are left alone.",
    "unknown_vm": "No VM has that name or UUID, and missing: skip was given.",
    "already_removed": "This host removed it when its time was over. Take it out of the list, or define it anew.",
    "cleanup_disabled": "cleanup_enabled is off on this host.",
    "outside_window": "The cleanup window is closed.",
    "dry_run_mode": "dry_run_mode is on: the plan is logged and nothing is done.",
    "insane_clock": "The host's clock can't be right, so no deadline can be trusted.",
    "clock_unsynchronised": "require_synchronised_clock is on and the clock is not synchronised.",
    "newly_seen": "This host's store does not know the VM (moved here, or the store was lost): marked now, removed from the next sweep on.",
    "chain_unreadable": "Its disks can't be judged, since a backing chain can't be read; the warning names it.",
    "storage_problem": "Its disks can't be judged, since a pool or a VM can't be looked at; the warning names it.",
    "pool_inactive": "A pool of one of its disks is not active; start it.",
    "busy": "Another run is working on it.",
    "changed_meanwhile": "It changed between planning and acting, so nothing was done.",
    "effect_failed": "A step failed; the message says which.",
    "storage_unreadable": "The host's storage could not be looked at.",
    "store_unusable": "The state directory can't be read or written.",
}

#: Why a disk goes or stays.
VERDICTS: Dict[str, str] = {
    "only_user": "A volume of a pool, used by this VM alone.",
    "in_use": "Another VM uses it.",
    "backing_file": "Other images are built on it, or this VM's disk is built on it.",
    "in_snapshot": "A snapshot of a VM refers to it.",
    "read_only": "Attached read-only.",
    "shareable": "Attached as shareable.",
    "removable_medium": "A CD-ROM or floppy image.",
    "not_in_pool": "Not a volume of any active pool: files that libvirt does not manage are never removed.",
    "not_supported_yet": "A kind of storage that this version does not remove.",
    "symlink": "The volume is a symbolic link.",
    "hard_linked": "The file has further names, whose users can't be known.",
    "missing": "There is no such file.",
    "chain_unreadable": "A backing chain could not be read, so a further user can't be excluded.",
    "storage_problem": "Some pool or VM could not be looked at, so a further user can't be excluded.",
    "identity_changed": "It is not the file any more that was judged.",
    "already_gone": "It is not there any more.",
    "pool_inactive": "Its pool is not active, so it can't be deleted now; the next sweep tries again.",
    "in_shared_directory": "It lies in a directory that another VM is given as a shared file system.",
    "open_elsewhere": "A process on this host has it open, although no VM of this libvirt uses it.",
    "not_reached": "The removal stopped before it came to this disk.",
    "delete_failed": "libvirt refused to delete it.",
}
