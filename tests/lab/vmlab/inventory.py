# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible inventory of a lab."""

from __future__ import annotations

import json
from pathlib import Path

from vmlab.places import Lab, write_atomically
from vmlab.remote import control_path, options


def write_inventory(lab: Lab) -> Path:
    """Write the lab's hosts as group `libvirt`; the file's path. JSON is YAML, and needs no library to write."""
    connection = [*options(lab), "-o", "ControlMaster=auto", "-o", "ControlPersist=60s"]
    connection += ["-o", f"ControlPath={control_path(lab)}"]
    group = {
        "hosts": {
            host.name: {"ansible_host": state.address}
            for host in lab.hosts()
            if (state := host.state()) is not None and host.supervised()
        },
        "vars": {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": " ".join(connection),
        },
    }
    write_atomically(lab.inventory, json.dumps({"libvirt": group}, indent=2) + "\n")
    return lab.inventory
