# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hypervisor host: a small Debian with systemd, libvirtd, QEMU and sshd. This file is the image's cache key."""

from __future__ import annotations

import shutil
from pathlib import Path

from vmlab.processes import run

PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-container", "libpam-systemd", "dbus", "tzdata", "procps", "iproute2"),
    *("libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-daemon-config-network", "libvirt-clients"),
    *("qemu-system-x86", "qemu-utils", "dnsmasq-base", "iptables"),
    *("python3", "python3-apt", "python3-libvirt", "python3-jsonschema"),
    *("openssh-server", "openssh-client", "netcat-openbsd", "faketime"),
)

# The controllers of cgroup version 1 arrive read-only; libvirt needs them writable before it starts, or guests get
# no machine scope and the order of a host's shutdown cannot be tested.
WRITABLE_CONTROLLERS = """\
[Unit]
Description=Writable cgroup controllers for libvirt
DefaultDependencies=no
Before=sysinit.target libvirtd.service libvirtd.socket

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$c" || :; done'

[Install]
WantedBy=sysinit.target
"""

# A guest has its address in milliseconds instead of seconds: no spanning tree delay, and no ping of 3 s before each offer.
NETWORK = """\
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='off' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>
"""
POOL = """\
<pool type='dir'>
  <name>default</name>
  <target><path>/var/lib/libvirt/images</path></target>
</pool>
"""
FILES = {
    "etc/systemd/system/lab-cgroups.service": WRITABLE_CONTROLLERS,
    "etc/libvirt/qemu/networks/default.xml": NETWORK,
    "etc/libvirt/storage/default.xml": POOL,
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSyncIntervalSec=1s\n",
    "etc/ssh/sshd_config.d/lab.conf": "PermitRootLogin prohibit-password\nUseDNS no\nMaxStartups 100\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/apt/apt.conf.d/90lab": 'APT::Install-Recommends "false";\n',
}
DIRECTORIES = ("var/log/journal", "var/log/libvirt/lab", "var/lib/libvirt/lab", "root/.ssh", "etc/libvirt/storage")
LINKS = {
    "etc/libvirt/qemu/networks/autostart/default.xml": "/etc/libvirt/qemu/networks/default.xml",
    "etc/libvirt/storage/autostart/default.xml": "/etc/libvirt/storage/default.xml",
    "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
}
ENABLED = ("lab-cgroups.service", "systemd-networkd.service", "ssh.service", "libvirtd.service")
MASKED = (
    # Nothing here may reach for the network or the machine's disks behind a test's back.
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer"),
    # In a container with cgroup version 1, systemd at times misses that a user manager has ended: logins, and the
    # shutdown, then wait 2 minutes for it. Sessions have their scopes without one.
    "user@.service",
)
# Identities that copies must not share; a host gets its own when it is first started.
REMOVED = ("etc/ssh/ssh_host_*", "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf")


def finish(root: Path, _image: Path) -> None:
    """Turn a bare Debian root into the host image."""
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "root/.ssh").chmod(0o700)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in LINKS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    for pattern in REMOVED:
        for path in root.glob(pattern):
            path.unlink()
    run(["systemctl", f"--root={root}", "enable", *ENABLED])
    run(["systemctl", f"--root={root}", "mask", *MASKED])
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
