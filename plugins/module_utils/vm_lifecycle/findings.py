# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vm-lifecycle doctor may find: stable codes, with what each means and what to do. The documentation is made from them."""

from __future__ import annotations

from typing import Dict, NamedTuple

#: From the worst on. An error: something will not happen as it was declared. A warning: it may not. An info is for you to judge.
SEVERITIES = ("error", "warning", "info")


class Ailment(NamedTuple):
    """severity: a word of SEVERITIES. remedy: what to do about it."""

    severity: str
    meaning: str
    remedy: str


FINDINGS: Dict[str, Ailment] = {
    "invalid_configuration": Ailment(
        "error",
        "A file in /etc/vm-lifecycle is not valid, so what it configures does not happen.",
        "Correct it in the inventory and run the role, or mend the file; vm-lifecycle validate checks one.",
    ),
    "store_unusable": Ailment(
        "error",
        "The state directory can't be read or written: nothing is removed or declared, and what ran is not kept on record.",
        "Free space on /var/lib/vm-lifecycle, or mend its file system.",
    ),
    "unknown_dependency": Ailment(
        "error",
        "A VM depends on one that this host does not have (any more), so it is not started at boot.",
        "Correct depends_on with vm_autostart, or define that VM again. After a rename, declare the new name.",
    ),
    "cyclic_dependency": Ailment(
        "error",
        "VMs depend on each other in a ring, so none of them is started at boot.",
        "Take one of them out of depends_on with vm_autostart.",
    ),
    "dependency_order": Ailment(
        "error",
        "A VM depends on one that starts later, so it is not started at boot.",
        "Give that one the same start_order or a lower one with vm_autostart.",
    ),
    "never_started": Ailment(
        "error",
        "A VM depends on one that is never started at boot, so neither is started.",
        "Let that one start, or take it out of depends_on with vm_autostart.",
    ),
    "start_failed": Ailment(
        "error",
        "A VM did not come up when it was last started in order.",
        "See to the cause, then vm-lifecycle boot --again; the next good start ends this.",
    ),
    "restart_given_up": Ailment(
        "error",
        "A VM stopped once more after as many restarts in a row as its max_retries allows, and is left down.",
        "See to the cause, its log in /var/log/libvirt/qemu for one, then vm-lifecycle retry.",
    ),
    "unit_failed": Ailment(
        "error",
        "A unit of this software has failed.",
        "See journalctl -u with its name. When that is mended: systemctl reset-failed, and start it unless it is that of the boot.",
    ),
    "unit_inactive": Ailment(
        "error",
        "A unit of this software is enabled, and was stopped: until the next boot nothing is removed, or nothing is recorded.",
        "Start it: systemctl start with its name.",
    ),
    "removal_given_up": Ailment(
        "error",
        "Removing a VM failed max_cleanup_attempts times, so no sweep tries it any more.",
        "See to the cause, which vm-lifecycle log has, too; then sweep it by name: vm-lifecycle cleanup NAME, with "
        "--ignore window while the window is closed. Or renew it.",
    ),
    "host_unit_inactive": Ailment(
        "error",
        "VMs are started in order, but the unit that stops them when the host goes down is not active.",
        "Run the role again, or: systemctl enable --now vm-lifecycle-host.service",
    ),
    "other_manager_libvirt_guests": Ailment(
        "warning",
        "libvirt-guests starts or stops VMs at the same time, in no order of ours.",
        "Run the role with vm_lifecycle_take_over: [libvirt-guests], or disable and stop that unit while no VM runs.",
    ),
    "libvirt_auto_shutdown": Ailment(
        "warning",
        "libvirt's own auto_shutdown_* settings stop VMs when the host goes down, all alike and in no order.",
        "Take these lines out of /etc/libvirt/qemu.conf and restart libvirt's daemon; VMs go on meanwhile.",
    ),
    "pacemaker": Ailment(
        "warning",
        "Pacemaker runs here. A VM that it manages would be started and stopped by two.",
        "Declare no VM here that is a resource of the cluster.",
    ),
    "autostart_flag": Ailment(
        "warning",
        "libvirt's autostart flag is on, so libvirt starts the VM before its turn.",
        "Run vm-lifecycle flags.",
    ),
    "unmanaged_running": Ailment(
        "warning",
        "Nobody shuts this VM down when the host goes down: it is not declared, or held from everything, and libvirt-guests does not act.",
        "Declare it with vm_persistence, or release it; else shut it down yourself before the host.",
    ),
    "stop_budget_short": Ailment(
        "warning",
        "systemd may give up on vm-lifecycle-host.service before all VMs had the time that was declared for them.",
        "Run the role again, which sets TimeoutStopSec anew; beyond 27 minutes lower host_shutdown_timeout_seconds.",
    ),
    "boot_unit_without_supervisor": Ailment(
        "warning",
        "Nothing records which VMs run, so after a power cut nobody knows which ones to bring back.",
        "Add supervisor to vm_lifecycle_features and run the role.",
    ),
    "daemon_not_enabled": Ailment(
        "warning",
        "No unit of libvirt's daemons is enabled, so at boot nobody may answer when VMs are to be started.",
        "systemctl enable libvirtd.service, or virtqemud.socket where libvirt has a daemon for each purpose.",
    ),
    "on_crash_restart": Ailment(
        "warning",
        "Its on_crash makes libvirt itself start it again after a crash, at once and for ever.",
        "Enable the supervisor and run vm-lifecycle flags, or set on_crash to destroy with virsh edit.",
    ),
    "on_poweroff_restart": Ailment(
        "warning",
        "Its on_poweroff makes libvirt start it again when its guest shuts down, so it can't be shut down at all.",
        "Enable the supervisor and run vm-lifecycle flags, or set on_poweroff to destroy with virsh edit.",
    ),
    "limit_keeps_down": Ailment(
        "error",
        "A limit in its definition can't be applied on this host, so libvirt refuses to start it.",
        "Declare it again, which takes a limit of ours away; lift one of somebody else with virsh memtune or schedinfo.",
    ),
    "metadata_problem": Ailment(
        "warning",
        "Its declaration can't be relied on, so it is neither started, stopped nor removed.",
        "Look at it, then declare it again; if its metadata is not valid, with repair: true, which vm_persistence "
        "alone takes, in a call of its own.",
    ),
    "insane_clock": Ailment(
        "warning",
        "The host's clock can't be right, so no VM is removed, and none is declared that counts time.",
        "Synchronise it; if it is right as it is, run vm-lifecycle clock-accept.",
    ),
    "store_damage": Ailment(
        "warning",
        "A part of the state in /var/lib/vm-lifecycle can't be understood and is passed over.",
        "Look at what the message names: put it back from a backup, or remove it if nothing depends on it.",
    ),
    "not_examined": Ailment(
        "info",
        "A part of the host could not be looked at.",
        "Run vm-lifecycle doctor as root on the host itself.",
    ),
    "limits_not_applicable": Ailment(
        "info",
        "VMs are declared with limits that this host can't apply, so they have none.",
        "Give libvirt the control groups that are missing, or declare enforce_memory_limit and enforce_cpu_limit as false.",
    ),
    "disk_errors_unseen": Ailment(
        "warning",
        "Its policy has on_disk_full, and a disk of it gives errors to the guest, so QEMU does not stop it when there is no space.",
        "Take error_policy out of the disk's driver element with virsh edit, or set it to enospace; it counts from the next start on.",
    ),
    "no_panic_device": Ailment(
        "info",
        "It has no panic device, so a guest that crashes looks like one that runs.",
        "Declare policy.panic_device: true, or add a <panic> device to its definition with virsh edit.",
    ),
}
