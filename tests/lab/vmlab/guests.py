# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on a lab host: small domains of type qemu that boot the lab's kernel and initramfs."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from vmlab.places import Host
from vmlab.processes import LabError, run, say
from vmlab.remote import ssh_command

POOL = "/var/lib/libvirt/images"
FILES = "/var/lib/libvirt/lab"
LOGS = "/var/log/libvirt/lab"


@dataclass(frozen=True)
class Guest:
    """A guest to define. `disk`: size as virsh reads it, or None; `base`: volume to overlay; `memory` in MiB."""

    name: str
    disk: str | None
    base: str | None
    memory: int
    identity: str
    arguments: str

    @property
    def log(self) -> str:
        return f"{LOGS}/{self.name}.log"

    def domain(self) -> str:
        """The domain's XML."""
        disk = f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{POOL}/{self.name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>"""
        return f"""\
<domain type='qemu'>
  <name>{self.name}</name>
  <uuid>{self.identity}</uuid>
  <memory unit='MiB'>{self.memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{FILES}/vmlinuz</kernel>
    <initrd>{FILES}/initrd.gz</initrd>
    <cmdline>console=ttyS0 panic=-1 quiet {escape(self.arguments)}</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>{disk if self.disk or self.base else ""}
    <interface type='network'>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='{self.log}' append='off'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""

    def script(self, start: bool) -> str:
        """The shell commands that make the guest on a host."""
        lines = ["set -e", f"mkdir -p {LOGS}"]
        if self.base:
            backing = f"--backing-vol {self.base} --backing-vol-format qcow2"
            # Newer QEMU lists the size of the file below as well: only the document's own counts.
            read = """python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])'"""
            size = f"$(qemu-img info -U --output=json {POOL}/{self.base} | {read})"
            lines.append(f'virsh -q vol-create-as default {self.name}.qcow2 "{size}" --format qcow2 {backing}')
        elif self.disk:
            lines.append(f"virsh -q vol-create-as default {self.name}.qcow2 {self.disk} --format qcow2")
        lines.append(f"virsh -q define /dev/stdin <<'DOMAIN'\n{self.domain()}DOMAIN")
        if start:
            lines.append(f"virsh -q start {self.name}")
        return "\n".join(lines)


def create(host: Host, guests: list[Guest], start: bool) -> None:
    """Define guests in one session, in order; the first failure ends it."""
    started = time.monotonic()
    run(ssh_command(host, [], "sh", "-s"), input_text="\n".join(guest.script(start) for guest in guests))
    names = ", ".join(guest.name for guest in guests)
    say(f"{names} on {host.name}: {'started' if start else 'defined'} in {time.monotonic() - started:.1f} s")


def wait(host: Host, name: str, seconds: float) -> None:
    """Wait until a guest has said GUEST-READY since its QEMU was started (the log is cut then, also by a restore)."""
    started = time.monotonic()
    log = f"{LOGS}/{name}.log"
    loop = (
        f"for _ in $(seq {max(1, int(seconds * 5))}); do grep -q GUEST-READY {log} 2>/dev/null && exit 0;"
        f" virsh -q domstate {name} >/dev/null || exit 3; sleep 0.2; done; tail -n 5 {log} >&2; exit 4"
    )
    try:
        run(ssh_command(host, [], loop))
    except LabError as error:
        raise LabError(f"{name} on {host.name} is not ready after {seconds:.0f} s: {error}") from error
    say(f"{name} on {host.name} is ready after {time.monotonic() - started:.1f} s")


def new_identity() -> str:
    return str(uuid.uuid4())
