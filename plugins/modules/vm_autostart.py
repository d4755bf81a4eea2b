# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_autostart
short_description: Declare in which order VMs start when their host boots
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Declares for one VM or many its place in the order in which the VMs of a host start: what it waits for, when it
    counts as ready, and what happens when it does not come up. When the host goes down the order is reversed.
  - >-
    The order of the whole host is checked with all that the call declares, before anything is changed. Cycles,
    unknown VMs, dependencies on a VM that starts later or never, and taking away a VM that others depend on are refused.
  - >-
    The result has the boot plan of the host as the call leaves it.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    The boot unit acts on the order, see the feature C(boot) of the role P(vmops.lifecycle.vm_lifecycle#role). While it
    is not enabled, RV(vms[].unenforced) says so.
  - >-
    A permanent VM with an enabled place in the order starts with its host. A temporary one, or one without a place,
    starts if it ran when the host went down.
  - >-
    O(vm_name) is the schema's word for the name, and may be given instead of O(name).
  - >-
    VMs that were wrong before the call and that it does not name are warned of and refuse nothing.
  - >-
    One VM that can not be served refuses the whole call before anything is touched. A VM that fails later does not
    stop the others; the task fails at its end with RV(vms) complete.
  - >-
    M(vmops.lifecycle.vm_persistence) takes the same options as C(autostart), together with all else that is declared
    about a VM. Use that to change both at once.
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_autostart
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
  - module: vmops.lifecycle.vm_persistence
  - module: vmops.lifecycle.vm_lifecycle_info
"""

EXAMPLES = r"""
---
- name: A web server that starts once its database answers
  vmops.lifecycle.vm_autostart:
    name: web1
    start_order: 20
    depends_on: [db1]

- name: The order of a host, in one call
  vmops.lifecycle.vm_autostart:
    wait_for_ssh: false
    vms:
      - name: router
        start_order: 0
        on_start_failure: stop
      - name: db1
        start_order: 10
        wait_for_ssh: true
        ssh_timeout_seconds: 120
        depends_on: [router]
      - name: web1
        start_order: 20
        depends_on: [db1]
  register: order

- name: Show what the host would start together
  ansible.builtin.debug:
    var: order.boot_plan.waves

- name: A VM that stays down when its host boots
  vmops.lifecycle.vm_autostart:
    name: spare
    enabled: false

- name: Take a VM out of the order
  vmops.lifecycle.vm_autostart:
    name: spare
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
    - name: web1
      uuid: 0b0e1f6c-0000-4000-8000-000000000002
      changed: true
      power_state: running
      autostart: {vm_name: web1, enabled: true, start_order: 20, depends_on: [db1], wait_for_ssh: true}
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
      description: Whether the VM's declaration, or libvirt's autostart flag, was changed.
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
    unenforced:
      description: Declared fields, not by default, that no enabled unit acts on (field), and the feature to enable (enable), or empty.
      type: list
      elements: dict
      returned: when the host has the VM
boot_plan:
  description:
    - What the boot unit would do at the next boot, as the call leaves the host.
    - A VM that runs now counts as one that ran when the host went down.
  type: dict
  returned: when the call was not refused
  contains:
    waves:
      description: Names of VMs that may start together, wave by wave.
      type: list
      elements: list
      returned: always
      sample: [[router], [db1], [web1]]
    critical_path:
      description: Names of the VMs that the end of the boot waits for in the worst case, from the first to the last.
      type: list
      elements: str
      returned: always
    worst_case_seconds:
      description: How long that path takes at most by what is declared, without what the starts themselves take.
      type: int
      returned: always
    vms:
      description: Every managed VM of the host, those that start first.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the VM.
          type: str
          returned: always
        start:
          description: Whether it is started.
          type: bool
          returned: always
        reason:
          description: Stable code of why it is started or stays down.
          type: str
          returned: always
        wave:
          description: Number of its wave, from 1; null when it is not started.
          type: int
          returned: always
        start_order:
          description: Its place in the order; null when none was declared, so that it comes last.
          type: int
          returned: always
        depends_on:
          description: Names of the VMs that must be ready first.
          type: list
          elements: str
          returned: always
truncated:
  description: What is said of rows that RV(vms) does not have, since they are more than O(max_rows); null when it has all.
  type: dict
  returned: when the call was not refused
  sample: {shown: 100, of: 1000, changed: 3, failed: 0, file: /var/lib/vm-lifecycle/results/vm_autostart.json}
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
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_AUTOSTART
from ..module_utils.vm_lifecycle.tasks.autostart import TASK

if __name__ == "__main__":
    main(TASK, VM_AUTOSTART)
