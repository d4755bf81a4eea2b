# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a copy of the image a host of its own: name, machine id, SSH keys, address, libvirt identities."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

from vmlab.places import Host
from vmlab.processes import run

GUEST_FILES = ("vmlinuz", "initrd.gz")


def personalise(root: Path, host: Host, number: int, specification: dict[str, Any]) -> None:
    """Write the host's identity into its root."""
    machine_id = uuid.uuid4().hex
    texts = {
        "etc/hostname": f"{host.name}\n",
        "etc/machine-id": f"{machine_id}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost\n",
        "etc/systemd/network/10-host0.network": (
            f"[Match]\nName=host0\n\n[Network]\nAddress=10.77.{number}.2/24\nGateway=10.77.{number}.1\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        ),
        "root/.ssh/authorized_keys": Path(f"{host.lab.key}.pub").read_text(),
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "var/log/journal" / machine_id).mkdir(parents=True, exist_ok=True)
    key = root / "etc/ssh/ssh_host_ed25519_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", str(key)])
    for name in ("etc/libvirt/storage/default.xml", "etc/libvirt/qemu/networks/default.xml"):
        path = root / name
        # libvirt would make up a new identity at each start.
        text = path.read_text().replace("</name>", f"</name>\n  <uuid>{uuid.uuid4()}</uuid>", 1)
        path.write_text(text)
    for name in GUEST_FILES:
        shutil.copyfile(Path(specification["guest"]) / name, root / "var/lib/libvirt/lab" / name)
