# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_lifecycle_collect
short_description: Collect on the controller what hosts tell about their VMs
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Asks each host what M(vmops.lifecycle.vm_lifecycle_info) tells, and what M(vmops.lifecycle.vm_cleanup) would do in
    check mode, and keeps the answers on the controller, in a file a host.
  - >-
    The result itself is a few numbers, so that it stays small for any number of VMs. A host that can't be reached, or
    that fails, has a file too, which says so.
  - M(vmops.lifecycle.vm_lifecycle_report) makes a page of the files, and the playbook C(vmops.lifecycle.report) does both.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_lifecycle_collect
attributes:
  check_mode:
    support: partial
    description: Hosts are asked, and nothing is written.
  diff_mode:
    support: none
    description: Files are not shown.
  platform:
    support: full
    platforms: linux
    description: Hosts that run libvirt with QEMU.
seealso:
  - module: vmops.lifecycle.vm_lifecycle_info
  - module: vmops.lifecycle.vm_lifecycle_report
"""

EXAMPLES = r"""
---
- name: Ask all hosts
  vmops.lifecycle.vm_lifecycle_collect:
    directory: /var/tmp/fleet
  ignore_unreachable: true
  ignore_errors: true
"""

RETURN = r"""
---
path:
  description: The file of this host on the controller; null in check mode.
  type: str
  returned: always
  sample: /var/tmp/fleet/kvm1.json
problem:
  description: Why the answer is not complete; null when it is.
  type: dict
  returned: always
  contains:
    kind:
      description: V(unreachable) or V(failed).
      type: str
      returned: always
    message:
      description: What Ansible or the host said.
      type: str
      returned: always
counts:
  description: Numbers of VMs, in all (vms), managed, and temporary.
  type: dict
  returned: always
"""

# The action plugin of this name does the work, on the controller.
