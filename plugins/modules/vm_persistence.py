# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_persistence
short_description: Declare how long VMs live and how they behave
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Declares for one VM or many whether it is permanent or temporary, when a temporary one is over, and how it
    behaves when its host boots, shuts down or runs short.
  - >-
    The declaration is kept in the metadata of the domain, travels with it, and is acted on by the units of the
    host.
  - >-
    A VM that was never declared is not managed, and nothing of this collection ever touches it.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    A state other than V(present) touches nothing but what its name says. V(absent) forgets a VM and never removes
    it; on a VM that does not exist it changes nothing.
  - >-
    state=renewed without O(if_less_than_hours) changes with every run.
  - >-
    One VM that can not be served refuses the whole call before anything is touched. A VM that fails later does not
    stop the others; the task fails at its end with RV(vms) complete.
  - >-
    Until the boot unit is enabled, O(auto_start) acts through the autostart flag of libvirt. Once it is, that flag is
    turned off and the unit starts the VM; V(absent) puts the flag's own value back in either case.
  - >-
    RV(vms[].limits) tells how O(policy.enforce_memory_limit) and O(policy.enforce_cpu_limit) stand. A limit that the host
    can not apply is not set, since a definition that has it keeps the VM from starting; V(absent) lifts those that were set here. A diff
    shows them before and after as C(limits_in_force).
  - >-
    A VM that others depend on, see M(vmops.lifecycle.vm_autostart), is neither forgotten nor declared such that it is
    never started at boot, unless the same call takes it out of their O(autostart.depends_on).
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_persistence
attributes:
  check_mode:
    support: full
    description: The plan is reported and not carried out; it is the plan that a real run would carry out.
  diff_mode:
    support: full
    description: The declarations of the VMs that change, before and after.
  platform:
    support: full
    platforms: linux
    description: Hosts that run libvirt with QEMU.
seealso:
  - module: vmops.lifecycle.vm_autostart
  - module: vmops.lifecycle.vm_cleanup
  - module: vmops.lifecycle.vm_lifecycle_info
"""

EXAMPLES = r"""
---
- name: A sandbox that is gone after three days
  vmops.lifecycle.vm_persistence:
    name: sandbox-anna
    mode: temporary
    ttl_hours: 72

- name: Several VMs of a test run, one of them shorter
  vmops.lifecycle.vm_persistence:
    mode: temporary
    ttl_hours: 8
    missing: skip
    vms:
      - name: ci-1
      - name: ci-2
        ttl_hours: 2
        force_cleanup: true

- name: A database that comes back with its host
  vmops.lifecycle.vm_persistence:
    name: db1
    auto_start: true
    policy:
      on_host_shutdown: save-state

- name: The same in one call with its place in the order
  vmops.lifecycle.vm_persistence:
    vms:
      - name: db1
        auto_start: true
        autostart:
          start_order: 10
      - name: web1
        auto_start: true
        autostart:
          start_order: 20
          depends_on: [db1]

- name: Protect a VM from deletion
  vmops.lifecycle.vm_persistence:
    name: ci-2
    state: held
    reason: audit 4711

- name: Give a VM its full time again when less than an hour is left
  vmops.lifecycle.vm_persistence:
    name: ci-1
    state: renewed
    if_less_than_hours: 1

- name: Forget a VM, which stays as it is
  vmops.lifecycle.vm_persistence:
    name: retired
    state: absent
"""

RETURN = r"""
---
vms:
  description: The VMs that were named, as they are after the call.
  type: list
  elements: dict
  returned: always
  sample:
    - name: ci-1
      uuid: 0b0e1f6c-0000-4000-8000-000000000001
      changed: true
      power_state: running
      persistence: {mode: temporary, ttl_hours: 4, created_at_unix: 1795345200, scheduled_cleanup: 1795359600}
      scheduled_cleanup_at: "2026-11-22T15:00:00Z"
      effective_cleanup_at: "2026-11-23T02:00:00Z"
      unenforced: []
  contains:
    name:
      description: Name of the VM.
      type: str
      returned: when the host has the VM
    uuid:
      description: libvirt's UUID of the VM.
      type: str
      returned: when the host has the VM
    changed:
      description: Whether the VM's declaration, its autostart flag or its limits were changed.
      type: bool
      returned: when the host has the VM
    message:
      description: What was done, or why it was not.
      type: str
      returned: when the host has the VM
    failed:
      description: Set when a step failed for this VM.
      type: bool
      returned: when a step failed
    reason:
      description: Stable code of why the VM failed or was skipped.
      type: str
      returned: when the VM failed, is unknown, or was removed when its time was over
    power_state:
      description: libvirt's word for the VM's state, such as V(running) or V(shutoff).
      type: str
      returned: when the host has the VM
    persistence:
      description: The VM's VmPersistence, recorded fields included; null when it is not managed.
      type: dict
      returned: when the host has the VM
    policy:
      description: The VM's VmLifecyclePolicy, null when none was declared.
      type: dict
      returned: when the host has the VM
    autostart:
      description: The VM's VmAutoStartConfig, null when none was declared.
      type: dict
      returned: when the host has the VM
    hold:
      description: The hold on the VM (scope, reason, since_unix), null when there is none.
      type: dict
      returned: when the host has the VM
    scheduled_cleanup_at:
      description: The deadline in ISO 8601, null when there is none.
      type: str
      returned: when the host has the VM
    effective_cleanup_at:
      description: The first moment in the host's cleanup window that is neither before the deadline nor past; null without a deadline.
      type: str
      returned: when the host has the VM
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
    unenforced:
      description: Declared fields, not by default, that no enabled unit acts on (field), and the feature to enable (enable), or empty.
      type: list
      elements: dict
      returned: when the host has the VM
truncated:
  description: What is said of rows that RV(vms) does not have, since they are more than O(max_rows); null when it has all.
  type: dict
  returned: when the call was not refused
  sample: {shown: 100, of: 1000, changed: 3, failed: 0, file: /var/lib/vm-lifecycle/results/vm_persistence.json}
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
  returned: success
"""

from ..module_utils.module import main
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_PERSISTENCE
from ..module_utils.vm_lifecycle.tasks.persistence import TASK

if __name__ == "__main__":
    main(TASK, VM_PERSISTENCE)
