# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reason codes of host boots and shutdowns: why a VM comes up, or stays down, or is left to the host."""

from __future__ import annotations

from typing import Dict

from .reasons import Reason

#: Why a boot of the host starts a VM or leaves it, in the order in which it is asked.
BOOT_REASONS: Dict[str, Reason] = {
    "held_everything": Reason(
        "kept", "It is held from everything, so it is neither started nor stopped.", "Release it."
    ),
    "not_rebooted_yet": Reason(
        "kept", "Its on_host_reboot is destroy, and this host has not gone down since that is known here."
    ),
    "started_since": Reason(
        "kept",
        "Its on_host_reboot is destroy, and it runs: somebody started it since the host booted.",
        "Stop it; the next boot deletes it.",
    ),
    "destroy_at_boot": Reason(
        "kept",
        "Its on_host_reboot is destroy: it is handed to the clean-up, which asks everything but deadline and window.",
    ),
    "keep_stopped": Reason("kept", "Its on_host_reboot is keep-stopped.", "Start it yourself, or declare start."),
    "start_disabled": Reason("kept", "Its place in the order is not enabled."),
    "already_running": Reason("started", "It runs already; only its readiness is waited for."),
    "auto_start": Reason("started", "auto_start is on."),
    "autostart": Reason("started", "It is permanent and has an enabled place in the order."),
    "was_running": Reason("started", "It ran when the host went down."),
    "saved_memory": Reason("started", "Its memory was saved: it goes on where it was."),
    "was_stopped": Reason("kept", "It did not run when the host went down, and nothing else starts it."),
    "never_seen": Reason(
        "kept",
        "Nobody knows whether it ran when the host went down.",
        "Enable the supervisor, which keeps that on record.",
    ),
    "stopped_since": Reason("kept", "It came up in this very boot and was stopped since."),
    "dependency_failed": Reason("failed", "A VM that it depends on did not come up.", "See to that one first."),
}

#: What became of a VM that a boot had given up.
LATER_REASONS: Dict[str, Reason] = {
    "started_later": Reason("started", "It did not come up at boot, and was started since."),
}

#: Why a shutdown of the host does what it does to a VM.
SHUTDOWN_REASONS: Dict[str, Reason] = {
    "save-state": Reason("stopped", "Its on_host_shutdown is save-state."),
    "shutdown": Reason("stopped", "Its on_host_shutdown is shutdown."),
    "destroy": Reason("stopped", "Its on_host_shutdown is destroy: it is powered off."),
}

#: Why a recovery did what it did to a VM.
RECOVERY_REASONS: Dict[str, Reason] = {
    "captured": Reason("captured or kept", "What is needed to make it again is on record."),
    "definition_lost": Reason("restored", "Its definition was lost with the host, and nobody had removed it."),
    "restored_state": Reason("restored", "It was brought to the state that is on record."),
    "as_recorded": Reason("kept", "It is as it is on record."),
    "nothing_kept": Reason("forgotten or kept", "Nothing is on record of it any more."),
    "unknown_vm": Reason("kept", "No VM has that name or UUID, and missing: skip was given."),
}

#: Where a VM is that its restart policy speaks of, and why. The first words say whether it comes back.
RESTART_REASONS: Dict[str, Reason] = {
    "restart_waits": Reason("waiting", "It stopped, and is started again when its delay is over."),
    "retries_used_up": Reason(
        "gave up",
        "It stopped once more after as many starts in a row as max_retries allows.",
        "See to the cause, then start it; vm-lifecycle retry does that.",
    ),
    "stopped_by_somebody": Reason(
        "left", "Somebody stopped it, which is never undone.", "Start it when it should run."
    ),
    "ended_well": Reason("left", "Its guest shut itself down, and its restart_policy is on-failure."),
    "restart_not_declared": Reason("left", "Its restart_policy is no."),
    "no_retries": Reason("left", "Its max_retries is 0, so it is never restarted."),
    "restart_temporary": Reason("left", "It is temporary, and only permanent VMs are restarted."),
    "restart_held": Reason("left", "It is held from everything.", "Release it, then start it."),
    "memory_saved": Reason("left", "Its memory was saved: it goes on when somebody starts it, or the host boots."),
    "under_pressure": Reason(
        "left",
        "It was powered off because its host was short of memory or space; it is started again when that is over.",
        "Free memory or space on the host; vm-lifecycle status says which. A start by hand is not undone.",
    ),
    "moved_or_reverted": Reason("left", "It was migrated, or reverted to a snapshot."),
    "host_goes_down": Reason("left", "Its host goes down, or has; the next boot decides."),
    "stop_not_seen": Reason(
        "left",
        "Nobody saw why it stopped, so it may have been somebody's wish.",
        "Start it if it should run.",
    ),
    "crash_preserved": Reason(
        "left",
        "Its guest crashed, and its on_crash is preserve: it is kept as it is, to be looked at.",
        "Power it off when you are done, and start it.",
    ),
    "retried": Reason("started", "A person had it started with vm-lifecycle retry."),
    "restart_refused": Reason(
        "left",
        "It is not the VM any more that was declared, or its metadata can't be relied on.",
        "See vm-lifecycle doctor, declare it again, and start it.",
    ),
}
