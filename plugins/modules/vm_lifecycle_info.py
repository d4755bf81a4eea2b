# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_lifecycle_info
short_description: Report what is declared, scheduled and recorded for VMs
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Reports for all VMs of a host, or for those that are named, what was declared, when they expire, and what the
    last sweeps recorded, in one call.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    VMs that are not managed are listed too, with managed=false.
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_lifecycle_info
attributes:
  check_mode:
    support: full
    description: The plan is reported and not carried out; it is the plan that a real run would carry out.
  diff_mode:
    support: none
    description: Nothing changes.
  platform:
    support: full
    platforms: linux
    description: Hosts that run libvirt with QEMU.
seealso:
  - module: vmops.lifecycle.vm_persistence
  - module: vmops.lifecycle.vm_autostart
  - module: vmops.lifecycle.vm_cleanup
"""

EXAMPLES = r"""
---
- name: What expires within a day
  vmops.lifecycle.vm_lifecycle_info:
    filter:
      expires_within_hours: 24
  register: soon

- name: What waits for a confirmation, and what can be brought back
  vmops.lifecycle.vm_lifecycle_info:
  register: host

- name: What is on record of a VM to make it again, on another host, too
  vmops.lifecycle.vm_lifecycle_info:
    name: web1
    include: [recovery]
  register: record

- name: What runs hot at this moment
  vmops.lifecycle.vm_lifecycle_info:
    include: [snapshot]
  register: usage
  failed_when: usage.vms | selectattr('snapshot') | selectattr('snapshot.cpu_usage_percent', '>', 90) | length > 0

- name: When the last sweep ran, and what was done to VMs lately
  vmops.lifecycle.vm_lifecycle_info:
    include: [host_history]
  register: lately

- name: Show both
  ansible.builtin.debug:
    msg:
      - "{{ host.plans | map(attribute='plan_id') }}"
      - "{{ host.undo | map(attribute='name') }}"
"""

RETURN = r"""
---
undo:
  description: VMs that were removed and can be brought back with M(vmops.lifecycle.vm_cleanup).
  type: list
  elements: dict
  returned: when the call was not refused
  sample:
    - name: ci-1
      uuid: 0b0e1f6c-0000-4000-8000-000000000001
      removed_at: "2026-11-25T03:00:00Z"
      undo_until: "2026-11-27T03:00:00Z"
  contains:
    name:
      description: Name that the VM had.
      type: str
      returned: always
    uuid:
      description: UUID that the VM had.
      type: str
      returned: always
    removed_at:
      description: When it was removed, in ISO 8601.
      type: str
      returned: always
    undo_until:
      description: When its disks go, in ISO 8601.
      type: str
      returned: always
plans:
  description: Plans that can be confirmed, each for 24 hours.
  type: list
  elements: dict
  returned: when the call was not refused
  sample:
    - plan_id: plan-d03b04548adc
      created_at: "2026-11-25T03:00:00Z"
      vms:
        - {name: ci-1, uuid: 0b0e1f6c-0000-4000-8000-000000000001, confirmed: false}
  contains:
    plan_id:
      description: Id by which the plan is confirmed.
      type: str
      returned: always
    created_at:
      description: When the plan was made, in ISO 8601.
      type: str
      returned: always
    vms:
      description: The VMs of the plan (name, uuid), and whether each is confirmed.
      type: list
      elements: dict
      returned: always
history:
  description: What is on record of the host.
  type: dict
  returned: when O(include) has V(host_history)
  contains:
    now:
      description: The time by the clock of the host, in ISO 8601.
      type: str
      returned: always
    cleanup:
      description:
        - Of the clean-up policy in force what says whether a sweep is to be expected (cleanup_enabled, dry_run_mode,
          check_interval_minutes).
        - It is null while the file of the policy is not valid.
      type: dict
      returned: always
    sweep:
      description:
        - How the last sweep of the timer ended; null when there was none.
        - It has ended_at (in ISO 8601), outcome (V(done), V(failed) or V(refused)), removed, kept, failed, waiting (numbers of VMs),
          and message.
      type: dict
      returned: always
    boot:
      description:
        - How the last boot in order went, as C(vm-lifecycle boot --timeline --json) tells it.
        - It has boot (boot_id, began_at, seconds and over; null when there was none), vms in the order of their turns, and the
          names of the critical_path.
      type: dict
      returned: always
    warnings:
      description: What the host itself warns of, such as records that can't be read, or a policy that is not valid.
      type: list
      elements: str
      returned: always
    operations:
      description:
        - The newest 200 operations on VMs, newest first, and of each message the first 1000 characters.
        - Each has at (in ISO 8601), uuid, name, operation, outcome and message.
      type: list
      elements: dict
      returned: always
vms:
  description: The VMs that match.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the VM.
      type: str
      returned: always
    uuid:
      description: libvirt's UUID of the VM.
      type: str
      returned: always
    managed:
      description: Whether the VM carries a valid declaration.
      type: bool
      returned: always
    metadata_problem:
      description: Why its metadata is not acted on (reason, message), null when nothing is wrong.
      type: dict
      returned: always
    schedule:
      description:
        - The VmCleanupSchedule of a temporary VM as it stands now, null for any other VM.
        - M(vmops.lifecycle.vm_cleanup) describes its fields.
      type: dict
      returned: always
    power_state:
      description: libvirt's word for the VM's state, such as V(running) or V(shutoff).
      type: str
      returned: always
    persistence:
      description: The VM's VmPersistence, recorded fields included; null when it is not managed.
      type: dict
      returned: always
    policy:
      description: The VM's VmLifecyclePolicy, null when none was declared.
      type: dict
      returned: always
    autostart:
      description: The VM's VmAutoStartConfig, null when none was declared.
      type: dict
      returned: always
    start:
      description:
        - How its last start in order went; null when there was none. Times are seconds since that boot's run began.
        - A start that failed stays here until the next good one.
      type: dict
      returned: always
      contains:
        outcome:
          description: V(ready), V(failed), or V(skipped) when a VM that it depends on did not come up.
          type: str
          returned: always
        reason:
          description: Stable code of why it failed.
          type: str
          returned: when it failed
        message:
          description: Why it failed, in words.
          type: str
          returned: when it failed
        at:
          description: When that was settled, in ISO 8601.
          type: str
          returned: always
        attempts:
          description: Number of starts that were tried.
          type: int
          returned: always
        waited_for:
          description: Name of the VM that it waited for last; null when it waited for none.
          type: str
          returned: always
        turn_seconds:
          description: When its turn came.
          type: float
          returned: always
        begun_seconds:
          description: When its first start began; V(0) when none did.
          type: float
          returned: always
        started_seconds:
          description: When it ran; V(0) when it did not.
          type: float
          returned: always
        ended_seconds:
          description: When it was ready, or given up.
          type: float
          returned: always
    last_state:
      description: What the VM was last seen to be by the units of the host; null when they never saw it.
      type: dict
      returned: always
      contains:
        state:
          description: libvirt's word for its state, such as V(running). While the host goes down it stays what it was before that.
          type: str
          returned: always
        reason:
          description: Why it does not run, such as V(guest), V(asked), V(forced), V(failed) or V(host_shutdown); null while it runs.
          type: str
          returned: always
        at:
          description: Since when that is so, in ISO 8601.
          type: str
          returned: always
    recovery:
      description:
        - What is on record of the VM, as a VmRecoveryState; null when nothing is.
        - M(vmops.lifecycle.vm_recovery) takes it as O(vmops.lifecycle.vm_recovery#module:recovery).
      type: dict
      returned: when O(include) has V(recovery)
      contains:
        vm_name:
          description: Name of the VM when it was recorded.
          type: str
          returned: always
        vm_id:
          description: UUID of the VM.
          type: str
          returned: always
        state_before_shutdown:
          description: What it is to be again - V(running), V(stopped) or V(paused). A VM with saved memory counts as V(running).
          type: str
          returned: always
        creation_timestamp:
          description: Moment of the VM's creation, in ISO 8601.
          type: str
          returned: always
        last_checkpoint:
          description: Moment of this record, in ISO 8601.
          type: str
          returned: always
        memory_snapshot:
          description: Path of its saved memory on the host.
          type: str
          returned: when memory was saved
        memory_size_mb:
          description: Size of that file in MiB.
          type: int
          returned: when memory was saved
        config_snapshot:
          description:
            - Its inactive definition without secrets (C(domain_xml)), whether there were any (C(omitted_secrets)),
              and the main figures for readers.
          type: dict
          returned: always
    snapshot:
      description: The VM's VmStateSnapshot at this moment; null when it is not managed. It is not recorded.
      type: dict
      returned: when O(include) has V(snapshot)
      contains:
        vm_name:
          description: Name of the VM at that moment.
          type: str
          returned: always
        snapshot_time:
          description: Moment of the snapshot, in ISO 8601.
          type: str
          returned: always
        vm_state:
          description:
            - V(stopped), V(starting), V(running), V(stopping), V(paused) or V(error).
            - V(error) is for a VM that crashed, or that an I/O error stopped.
          type: str
          returned: always
        cpu_usage_percent:
          description:
            - Use of all its virtual processors since the last snapshot on record, from 0 to 100.
            - In the first one of a run it is the use since the VM was started.
          type: float
          returned: always
        memory_usage_mb:
          description: Memory in use in MiB, as its guest tells it, else what its process holds.
          type: int
          returned: always
        disk_usage_gb:
          description: Space that its disks take on the host in GiB, rounded up.
          type: int
          returned: always
        ip_addresses:
          description: Addresses from leases, from its guest agent, and from the neighbours that the host knows.
          type: list
          elements: str
          returned: always
        mac_addresses:
          description: Hardware addresses of its network interfaces.
          type: list
          elements: str
          returned: always
        uptime_seconds:
          description: Seconds since it was last started; V(0) when it is off.
          type: int
          returned: always
        restart_count:
          description: Restarts by the supervisor since it was declared.
          type: int
          returned: always
    snapshot_history:
      description: The VmStateSnapshots that are on record, newest first.
      type: list
      elements: dict
      returned: when O(include) has V(snapshot_history)
      contains:
        vm_name:
          description: Name of the VM at that moment.
          type: str
          returned: always
        snapshot_time:
          description: Moment of the snapshot, in ISO 8601.
          type: str
          returned: always
        vm_state:
          description:
            - V(stopped), V(starting), V(running), V(stopping), V(paused) or V(error).
            - V(error) is for a VM that crashed, or that an I/O error stopped.
          type: str
          returned: always
        cpu_usage_percent:
          description:
            - Use of all its virtual processors since the last snapshot on record, from 0 to 100.
            - In the first one of a run it is the use since the VM was started.
          type: float
          returned: always
        memory_usage_mb:
          description: Memory in use in MiB, as its guest tells it, else what its process holds.
          type: int
          returned: always
        disk_usage_gb:
          description: Space that its disks take on the host in GiB, rounded up.
          type: int
          returned: always
        ip_addresses:
          description: Addresses from leases, from its guest agent, and from the neighbours that the host knows.
          type: list
          elements: str
          returned: always
        mac_addresses:
          description: Hardware addresses of its network interfaces.
          type: list
          elements: str
          returned: always
        uptime_seconds:
          description: Seconds since it was last started; V(0) when it is off.
          type: int
          returned: always
        restart_count:
          description: Restarts by the supervisor since it was declared.
          type: int
          returned: always
    pressure:
      description: What the supervisor did to the VM because its host is short of memory or space, while that is so; null otherwise.
      type: dict
      returned: always
      contains:
        cause:
          description: V(memory) or V(disk).
          type: str
          returned: always
        action:
          description: V(suspend) or V(kill), as C(on_memory_pressure) or C(on_disk_full) of its policy says.
          type: str
          returned: always
        message:
          description: How short the host is.
          type: str
          returned: always
        at:
          description: When that was done, in ISO 8601.
          type: str
          returned: always
    restart:
      description: How the supervisor restarted the VM, and what becomes of it if it is down; null while it never had to.
      type: dict
      returned: always
      contains:
        state:
          description: V(up), V(waiting) for its restart, V(starting), V(left) down as it should be, or V(gave_up).
          type: str
          returned: always
        restart_count:
          description: Restarts since the VM was declared.
          type: int
          returned: always
        in_row:
          description: Starts that were tried in a row; max_retries bounds them.
          type: int
          returned: always
        next_attempt_at:
          description: When it is started again, in ISO 8601; null when it is not.
          type: str
          returned: always
        reason:
          description: Why it is down and stays so or not, a code; null while it runs.
          type: str
          returned: always
        message:
          description: The same in words, as far as there are any.
          type: str
          returned: always
        at:
          description: Since when that is so, in ISO 8601.
          type: str
          returned: always
    hold:
      description: The hold on the VM (scope, reason, since_unix), null when there is none.
      type: dict
      returned: always
    scheduled_cleanup_at:
      description: The deadline in ISO 8601, null when there is none.
      type: str
      returned: always
    effective_cleanup_at:
      description: The first moment in the host's cleanup window that is neither before the deadline nor past; null without a deadline.
      type: str
      returned: always
    limits:
      description: How the limits of its policy stand; null for a VM without a policy, and where nobody looked at them.
      type: dict
      returned: when the host has the VM
      contains:
        memory:
          description:
            - >-
              The limit of the memory of its processes. The fields are a reason (reason), words (message), and MiB of the
              running VM (live_mib) and of its definition (persistent_mib), null for no limit.
          type: dict
          returned: always
        cpu:
          description:
            - >-
              The limit of its processor time. The fields are a reason (reason), words (message), and a number of processors
              for the running VM (live_processors) and for its definition (persistent_processors), null for no limit.
          type: dict
          returned: always
        disk:
          description:
            - >-
              How its disks stand against O(ignore:policy.enforce_disk_limit). The fields are a reason (reason), words (message), and
              GiB that are taken (used_gib) and that may be (limit_gib). Null for a VM that is off, or whose disks are not limited.
          type: dict
          returned: always
    unenforced:
      description: Declared fields, not by default, that no enabled unit acts on (field), and the feature to enable (enable), or empty.
      type: list
      elements: dict
      returned: always
clock:
  description: Whether the clock of the host is believed (sane, problem, synchronised).
  type: dict
  returned: when the call was not refused
interrupted:
  description: Names of VMs whose removal began and did not end.
  type: list
  elements: str
  returned: when the call was not refused
features:
  description: Features whose units are enabled on the host.
  type: list
  elements: str
  returned: when the call was not refused
problems:
  description: Why the call was refused before anything was touched, one entry (code, message, vm, field) for each problem.
  type: list
  elements: dict
  returned: when the call was refused
dry_run:
  description: Whether the plan was only reported, as in check mode.
  type: bool
  returned: when the call was not refused
"""

from ..module_utils.module import main
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_LIFECYCLE_INFO
from ..module_utils.vm_lifecycle.tasks.info import TASK

if __name__ == "__main__":
    main(TASK, VM_LIFECYCLE_INFO)
