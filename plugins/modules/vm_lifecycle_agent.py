# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_lifecycle_agent
short_description: Install the command vm-lifecycle on a libvirt host
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Installs the engine of this collection on the host, the very code that its modules run, with the command
    C(vm-lifecycle) that the units of the host call.
  - >-
    Every version has a directory of its own below C(/usr/local/lib/vm-lifecycle), and one link is switched, so that a
    run that is going on is not disturbed. The version before is kept.
requirements:
  - python3-libvirt
  - python3-jsonschema (3.2.0 or later)
notes:
  - >-
    The role P(vmops.lifecycle.vm_lifecycle#role) calls this module; it installs the required packages before, and the
    units after.
options:
  state:
    description:
      - V(present) installs this version and makes it the one in use.
      - V(absent) removes every version and the command. State and configuration of the host stay.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  check_mode:
    support: full
    description: Reports whether something would change.
  diff_mode:
    support: none
    description: Files are not shown.
  platform:
    support: full
    platforms: linux
    description: Hosts that run libvirt with QEMU.
seealso:
  - module: vmops.lifecycle.vm_cleanup
"""

EXAMPLES = r"""
---
- name: Install the command vm-lifecycle
  vmops.lifecycle.vm_lifecycle_agent:
"""

RETURN = r"""
---
version:
  description: Version of the engine.
  type: str
  returned: success
  sample: 0.1.0
directory:
  description: Directory of the version.
  type: str
  returned: success
  sample: /usr/local/lib/vm-lifecycle/0.1.0-6f1d2c3b4a59
steps:
  description: What was out of place (files, link, command).
  type: list
  elements: str
  returned: success
"""

from ..module_utils.module import main_host
from ..module_utils.vm_lifecycle.agent.installation import converge

if __name__ == "__main__":
    main_host(converge, {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}})
