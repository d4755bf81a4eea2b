# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_cleanup
short_description: Remove temporary VMs whose time is over
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Does what the timer of the host does - removes temporary VMs that are expired, with the disks that are theirs
    alone - and says for every managed VM why it goes or stays.
  - >-
    A VM goes only if it is managed, temporary, expired, not held and has auto_cleanup, while cleanup is enabled,
    the window is open and the clock of the host can be believed. All of it is read anew just before each
    irreversible step.
  - >-
    A disk goes only if it is a volume of a pool on this host that nothing else uses, neither directly nor through a
    backing chain or a snapshot. Doubt keeps it.
  - >-
    More removals than the policy allows wait for a confirmation by the plan's id, and a VM that was removed with
    C(undo_hours) can be brought back.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    Permanent and held VMs are never removed, whatever is ignored.
  - >-
    A sweep that was interrupted is finished, or rolled back, by the next one.
  - >-
    O(ignore) lifts conditions for VMs that are named, or confirmed, never for a whole host.
  - >-
    Names lift more than O(ignore) says - a VM that was given up, or whose removal backs off after a failure, is tried
    again at once when it is named.
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_cleanup
attributes:
  check_mode:
    support: full
    description: The plan is reported and not carried out; it is the plan that a real run would carry out.
  diff_mode:
    support: full
    description: The VMs that go, before and after.
  platform:
    support: full
    platforms: linux
    description: Hosts that run libvirt with QEMU.
seealso:
  - module: vmops.lifecycle.vm_persistence
  - module: vmops.lifecycle.vm_lifecycle_info
"""

EXAMPLES = r"""
---
- name: Sweep the host as its timer does
  vmops.lifecycle.vm_cleanup:
  register: sweep

- name: Show what waits for a person
  ansible.builtin.debug:
    msg: "Confirm plan {{ sweep.plan_id }}"
  when: sweep.plan_id is not none

- name: End a CI job's own VM at the end of the job
  vmops.lifecycle.vm_cleanup:
    name: "ci-{{ job_id }}"
    ignore:
      - expiry
      - window
    missing: skip

- name: See what would go if at most two VMs were removed by themselves
  vmops.lifecycle.vm_cleanup:
    policy:
      max_removals: 2
  check_mode: true

- name: First node of an AWX workflow, before the approval
  vmops.lifecycle.vm_cleanup:
    state: planned
    plan_id: "{{ awx_workflow_job_id }}"

- name: Last node of the workflow, after the approval, without waiting for the window
  vmops.lifecycle.vm_cleanup:
    state: confirmed
    plan_id: "{{ awx_workflow_job_id }}"
    ignore:
      - window

- name: Confirm one VM of a plan that a sweep stored
  vmops.lifecycle.vm_cleanup:
    name: ci-1
    state: confirmed
    plan_id: plan-d03b04548adc

- name: Bring a VM back that should not have gone
  vmops.lifecycle.vm_cleanup:
    name: ci-1
    state: restored

- name: Give it its full time again
  vmops.lifecycle.vm_persistence:
    name: ci-1
    state: renewed

- name: Let it be removed again when that is over
  vmops.lifecycle.vm_persistence:
    name: ci-1
    state: released

- name: Free the space of a removed VM before the time for an undo is over
  vmops.lifecycle.vm_cleanup:
    name: ci-2
    state: purged
"""

RETURN = r"""
---
counts:
  description: Number of VMs by decision.
  type: dict
  returned: when the call was not refused
  sample: {removed: 1, kept: 3, waiting: 0, failed: 0, restored: 0}
  contains:
    removed:
      description: VMs that went, or that would go in check mode.
      type: int
      returned: always
    kept:
      description: VMs that stay until somebody decides otherwise, or until their deadline.
      type: int
      returned: always
    waiting:
      description: VMs that a later sweep looks at again.
      type: int
      returned: always
    failed:
      description: VMs whose removal failed.
      type: int
      returned: always
    restored:
      description: VMs that were brought back.
      type: int
      returned: always
reasons:
  description: Number of VMs by decision and reason, of all rows, whether they are shown or not.
  type: dict
  returned: when the call was not refused
  sample: {removed: {expired: 1}, kept: {permanent: 2, not_expired: 1}}
digest:
  description: Digest over the VMs that the plan removes, their deadlines and disks. Two plans with one digest remove the same.
  type: str
  returned: when the call was not refused
  sample: sha256:8a4c6c9a28f5dfd10eb49b3ff9eecb3c32407971b39bb2210b81f033b20bde4b
plan_id:
  description: Id of the plan that waits for a confirmation, or the O(plan_id) that was given; null when there is neither.
  type: str
  returned: when the call was not refused
  sample: plan-d03b04548adc
vms:
  description:
    - Every managed VM, or those that were named, or those of the plan that is confirmed.
    - Interrupted removals, and VMs whose time for an undo is over, have rows of their own.
  type: list
  elements: dict
  returned: always
  sample:
    - name: ci-1
      uuid: 0b0e1f6c-0000-4000-8000-000000000001
      changed: true
      decision: removed
      reason: expired
      message: ci-1 expired 2026-11-22T15:00:00Z; removed 1 of 2 disks
      undo_until: null
      effective_cleanup_at: null
      volumes:
        - {pool: default, name: ci-1.qcow2, path: /pool/ci-1.qcow2, target: vda, decision: removed, reason: only_user, used_by: []}
        - {pool: default, name: base.qcow2, path: /pool/base.qcow2, target: "", decision: kept, reason: backing_file, used_by: [ci-2]}
  contains:
    name:
      description: Name of the VM.
      type: str
      returned: always
    uuid:
      description: libvirt's UUID of the VM; empty for a name that the host does not know.
      type: str
      returned: always
    changed:
      description: Whether something was done to the VM, or to disks of one that was removed before.
      type: bool
      returned: always
    decision:
      description:
        - V(removed), V(kept), V(waiting), V(failed) or V(restored).
        - V(rolled_back) is an interrupted removal that was put away; it is in no count.
      type: str
      returned: always
    reason:
      description:
        - Stable code of the reason.
        - The page C(docs/deletion.md) of the collection lists them in the order in which they are asked, with what to do.
      type: str
      returned: always
    message:
      description: The reason in words.
      type: str
      returned: always
    schedule:
      description: The VmCleanupSchedule of a temporary VM; null when it has none.
      type: dict
      returned: always
      contains:
        vm_name:
          description: Name of the VM.
          type: str
          returned: always
        vm_id:
          description: libvirt's UUID of the VM.
          type: str
          returned: always
        mode:
          description: Always V(temporary).
          type: str
          returned: always
        created_at:
          description: Creation of the VM, in ISO 8601.
          type: str
          returned: always
        scheduled_cleanup_at:
          description: The deadline, in ISO 8601.
          type: str
          returned: always
        ttl_hours:
          description: Declared time to live.
          type: int
          returned: always
        cleanup_status:
          description: V(pending), V(in-progress), V(completed) or V(failed), which means given up.
          type: str
          returned: always
        cleanup_attempts:
          description: Attempts that were begun for this deadline.
          type: int
          returned: always
        last_cleanup_attempt:
          description: When the last attempt began, in ISO 8601.
          type: str
          returned: when there was one
        cleanup_error:
          description: Why the last attempt failed, as code and message.
          type: str
          returned: when it failed
    effective_cleanup_at:
      description: First moment at which a sweep may remove a temporary VM, with window and back-off; null when that is no question.
      type: str
      returned: always
    undo_until:
      description: Until when a VM that was removed can be brought back; null when it can't, or when it was not removed by this call.
      type: str
      returned: always
    volumes:
      description: Each disk of a VM that goes or would go. Empty when no disk had to be judged.
      type: list
      elements: dict
      returned: always
      contains:
        pool:
          description: Storage pool of the disk; empty when it lies in none.
          type: str
          returned: always
        name:
          description: Name of the volume in that pool; empty when it lies in none.
          type: str
          returned: always
        path:
          description: Path of the file or device.
          type: str
          returned: always
        target:
          description: Name of the disk in the guest; empty for a file that a disk is built on.
          type: str
          returned: always
        decision:
          description: V(removed), V(kept), V(waiting) when it would go with a VM that waits, or V(gone) when it was not there any more.
          type: str
          returned: always
        reason:
          description: Stable code of the reason.
          type: str
          returned: always
        used_by:
          description: Names of other VMs that use the disk.
          type: list
          elements: str
          returned: always
truncated:
  description: What is said of rows that RV(vms) does not have, since they are more than O(max_rows); null when it has all.
  type: dict
  returned: when the call was not refused
  sample: {shown: 100, of: 1000, changed: 3, failed: 0, file: /var/lib/vm-lifecycle/results/vm_cleanup.json}
  contains:
    shown:
      description: Rows in RV(vms).
      type: int
      returned: always
    of:
      description: Rows that there are.
      type: int
      returned: always
    changed:
      description: Rows of VMs that were changed, whether they are shown or not.
      type: int
      returned: always
    failed:
      description: Rows of VMs for which something failed, whether they are shown or not.
      type: int
      returned: always
    file:
      description:
        - File on the host that has the whole result as JSON, until the next result that is too long replaces it.
        - Null in check mode, in which nothing is written, and where it could not be written.
      type: str
      returned: always
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
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_CLEANUP
from ..module_utils.vm_lifecycle.tasks.cleanup import TASK

if __name__ == "__main__":
    main(TASK, VM_CLEANUP)
