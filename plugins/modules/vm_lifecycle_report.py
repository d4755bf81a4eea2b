# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vm_lifecycle_report
short_description: Make a page of what hosts told about their VMs
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Makes a report of a whole fleet from what M(vmops.lifecycle.vm_lifecycle_collect) collected - what needs a person, what
    expires when, what went and what stayed and why, what VMs use, and each host with its VMs, its last boot and its operations.
  - >-
    The page is one file that loads nothing, for any browser, for paper, and for a phone. All of it is in C(fleet.json) as well,
    and C(fleet.csv) has a line a VM.
  - The playbook C(vmops.lifecycle.report) collects and reports.
notes:
  - It runs on the controller alone, so one host of a play is enough for it, with C(run_once).
extends_documentation_fragment:
  - vmops.lifecycle.generated_vm_lifecycle_report
attributes:
  check_mode:
    support: full
    description: Reports what would be written, and writes nothing.
  diff_mode:
    support: none
    description: Files are not shown.
  platform:
    support: full
    platforms: posix
    description: Controllers.
seealso:
  - module: vmops.lifecycle.vm_lifecycle_collect
"""

EXAMPLES = r"""
---
- name: Make a page of all hosts
  vmops.lifecycle.vm_lifecycle_report:
    source: /var/tmp/fleet
    dest: /srv/www/fleet
    hosts: "{{ ansible_play_hosts_all }}"
    timezone: Europe/Berlin
  run_once: true
"""

RETURN = r"""
---
page:
  description: The page, on the controller.
  type: str
  returned: success
  sample: /srv/www/fleet/index.html
files:
  description: All files, the page first.
  type: list
  elements: str
  returned: success
totals:
  description: The fleet in numbers, such as hosts, silent (hosts of which nothing is known), vms, temporary, expired, and failed.
  type: dict
  returned: success
concerns:
  description: How much of each kind needs a person, by kind.
  type: dict
  returned: success
  sample:
    unreachable: 1
    start_failed: 2
"""

# The action plugin of this name does the work, on the controller.
