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

- name: End a CI job's own VM early
  vmops.lifecycle.vm_cleanup:
    name: ci-1
    ignore:
      - expiry
      - window

- name: Show what would go, and wait for somebody to approve it
  vmops.lifecycle.vm_cleanup:
    state: planned
    plan_id: "{{ awx_workflow_job_id }}"

- name: Let go what was approved, and nothing that changed since
  vmops.lifecycle.vm_cleanup:
    state: confirmed
    plan_id: "{{ awx_workflow_job_id }}"

- name: Bring a VM back that should not have gone
  vmops.lifecycle.vm_cleanup:
    name: ci-1
    state: restored
"""

RETURN = r"""
---
counts:
  description: Number of VMs by decision (removed, kept, waiting, failed, restored).
  type: dict
  returned: success
  sample: {removed: 1, kept: 3, waiting: 0, failed: 0, restored: 0}
digest:
  description: Digest over the VMs that the plan removes, their deadlines and disks. Two plans with one digest remove the same.
  type: str
  returned: success
plan_id:
  description: Id of the plan that waits for a confirmation, or that was confirmed; null when nothing waits.
  type: str
  returned: success
vms:
  description: Every managed VM, or those that were named, and interrupted removals.
  type: list
  elements: dict
  returned: always
  sample:
    - name: ci-1
      uuid: 0b0e1f6c-0000-4000-8000-000000000001
      decision: removed
      reason: expired
      message: ci-1 expired 2026-11-22T15:00:00Z; removed 1 of 2 disks
      volumes:
        - {pool: default, name: ci-1.qcow2, decision: removed, reason: only_user, used_by: []}
        - {pool: default, name: base.qcow2, decision: kept, reason: backing_file, used_by: [ci-2]}
  contains:
    name:
      description: Name of the VM.
      type: str
      returned: always
    uuid:
      description: libvirt's UUID of the VM.
      type: str
      returned: always
    changed:
      description: Whether something was done to the VM.
      type: bool
      returned: always
    decision:
      description:
        - V(removed), V(kept), V(waiting), V(failed) or V(restored).
        - V(rolled_back) is an interrupted removal that was put away; it is in no count.
      type: str
      returned: always
    reason:
      description: Stable code of the reason.
      type: str
      returned: always
    message:
      description: The reason in words.
      type: str
      returned: always
    schedule:
      description: The VmCleanupSchedule of a temporary VM.
      type: dict
      returned: always
    effective_cleanup_at:
      description: First moment at which a sweep may remove a temporary VM, with window and back-off; null when that is no question.
      type: str
      returned: always
    undo_until:
      description: Until when the VM can be brought back; null when it can't.
      type: str
      returned: always
    volumes:
      description:
        - Each disk of a VM that goes, with its path, pool, name, target, decision, reason and who else uses it.
        - The decision is V(removed), V(kept), V(waiting), or V(gone) when it was not there any more.
      type: list
      elements: dict
      returned: always
problems:
  description: Why the call was refused before anything was touched, one entry (code, message, vm, field) for each problem.
  type: list
  elements: dict
  returned: when the call was refused
dry_run:
  description: Whether the plan was only reported, as in check mode.
  type: bool
  returned: success
"""

from ..module_utils.module import main
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_CLEANUP
from ..module_utils.vm_lifecycle.tasks.cleanup import TASK

if __name__ == "__main__":
    main(TASK, VM_CLEANUP)
