# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_recovery
short_description: Keep what is needed to make VMs again, and bring them back
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Keeps the definition of managed VMs on record, and their memory when that is asked for; and brings VMs to the state
    that is on record, on this host or on another one that has their disks.
  - >-
    Nothing is overwritten. A VM whose name, UUID or disk another VM has, or whose definition is another one now, is
    refused, with the difference.
  - >-
    Saved memory is loaded only when it fits to the disks and to the machine of the VM. It is never lost.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    With the feature C(supervisor) a host keeps its VMs on record by itself, and with C(boot) it makes definitions
    again that were lost while it was down.
  - >-
    A definition on record holds no secrets, such as the password of a VNC server. They are listed as omitted, and have
    to be set again.
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_recovery
attributes:
  check_mode:
    support: full
    description: What would be done is reported and not done.
  diff_mode:
    support: full
    description: The VMs that would be captured, brought back or forgotten.
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
- name: Put all managed VMs of the host on record
  vmops.lifecycle.vm_recovery:
    state: captured
  register: captured

- name: Keep the records on the controller
  ansible.builtin.copy:
    content: "{{ item.recovery | to_json }}"
    dest: "records/{{ inventory_hostname }}-{{ item.uuid }}.json"
    mode: "0600"
  loop: "{{ captured.vms }}"
  loop_control:
    label: "{{ item.name }}"
  delegate_to: localhost

- name: Bring back whatever is missing or down although it is on record as running
  vmops.lifecycle.vm_recovery:
    state: restored

- name: Save the memory of a VM before a risky change, which stops it
  vmops.lifecycle.vm_recovery:
    name: db1
    state: captured
    memory: true

- name: Let it go on where it was, or start it without its memory when that can't be loaded
  vmops.lifecycle.vm_recovery:
    name: db1
    state: restored
    on_restore_failure: start-cold

- name: Make a VM of a dead host on this one, which has a copy of its disks
  vmops.lifecycle.vm_recovery:
    state: restored
    vms:
      - recovery: "{{ lookup('ansible.builtin.file', record) | from_json }}"
        name: web1
"""

RETURN = r"""
---
vms:
  description: One entry for each VM that was spoken of.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the VM.
      type: str
      returned: always
    uuid:
      description: UUID of the VM, empty when the host has no such VM.
      type: str
      returned: always
    changed:
      description: Whether something was done, or would be.
      type: bool
      returned: always
    decision:
      description: What became of it - V(captured), V(restored), V(forgotten), V(kept) or V(failed).
      type: str
      returned: always
    reason:
      description: A stable code, explained in the documentation of the collection.
      type: str
      returned: always
    message:
      description: The same in words.
      type: str
      returned: always
    failed:
      description: Whether the VM could not be served. The other VMs were.
      type: bool
      returned: when it failed
    power_state:
      description: State of the VM before the call, in libvirt's words; null when it did not exist.
      type: str
      returned: always
    recovery:
      description: What is on record of the VM, as a VmRecoveryState; null when nothing is.
      type: dict
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
from ..module_utils.vm_lifecycle._generated.argument_specs import VM_RECOVERY
from ..module_utils.vm_lifecycle.tasks.recovery import TASK

if __name__ == "__main__":
    main(TASK, VM_RECOVERY)
