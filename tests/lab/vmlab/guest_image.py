# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest: a kernel and a busybox initramfs of a few MB that is ready in seconds. This file is its cache key.

It takes an address by DHCP, answers SSH (root, empty password), powers off on ACPI request, and says GUEST-READY on its
console. Words on its kernel command line change it: `lab.stubborn` ignores ACPI, `lab.poweroff_after=N` ends by
itself after N seconds, `lab.panic_after=N` panics.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

from vmlab.processes import LabError

PACKAGES = ("linux-image-cloud-amd64", "dropbear-bin", "busybox-static")
# In the order of their dependencies: insmod resolves none.
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "virtio_blk", "evdev", "button"),
)
APPLETS = (
    *("sh", "mount", "umount", "insmod", "poweroff", "reboot", "acpid", "ip", "cat", "ls", "sleep", "udhcpc"),
    *("mkdir", "echo", "sync", "dd", "sha256sum", "grep", "hostname", "date", "kill", "ps"),
)
INIT = f"""\
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do insmod /lib/mod/$module.ko; done
mkdir -p /dev/pts; mount -t devpts pts /dev/pts
for word in $(cat /proc/cmdline); do
  case $word in
    lab.stubborn) stubborn=1 ;;
    lab.poweroff_after=*) (sleep ${{word#*=}}; sync; poweroff -f) & ;;
    lab.panic_after=*) (sleep ${{word#*=}}; echo c > /proc/sysrq-trigger) & ;;
  esac
done
[ "$stubborn" ] || acpid -f -l /dev/console &
ip link set lo up
if ip link set eth0 up 2>/dev/null; then
  udhcpc -i eth0 -s /etc/udhcpc.sh -b -t 20 -T 1
  /usr/sbin/dropbear -R -B -E
fi
echo GUEST-READY $(cat /proc/uptime)
exec sh </dev/console >/dev/console 2>&1
"""
SCRIPTS = {
    "init": INIT,
    "etc/acpi/PWRF/00000080": "#!/bin/sh\necho poweroff-requested >/dev/console\nsync\npoweroff -f\n",
    "etc/udhcpc.sh": (
        "#!/bin/sh\n[ $1 = bound ] || exit 0\n"
        "ip addr add $ip/${mask:-24} dev $interface\nip route add default via $router\n"
    ),
}


def finish(root: Path, image: Path) -> None:
    """Make `vmlinuz` and `initrd.gz` in `image` from an unpacked Debian root, then drop the root."""
    shutil.copyfile(_only(root, "boot/vmlinuz-*"), image / "vmlinuz")
    tree = image / "initramfs"
    for directory in ("bin", "proc", "sys", "dev", "root", "lib/mod", "etc/dropbear", "usr/sbin", "tmp", "var/run"):
        (tree / directory).mkdir(parents=True)
    shutil.copy(_only(root, "bin/busybox"), tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    for module in MODULES:
        shutil.copy(_only(root, f"lib/modules/*/kernel/**/{module}.ko"), tree / "lib/mod")
    _copy_program(root, tree, "usr/sbin/dropbear")
    (tree / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
    (tree / "etc/shells").write_text("/bin/sh\n")
    for name, text in SCRIPTS.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (image / "initrd.gz").write_bytes(gzip.compress(_archive(tree), compresslevel=6, mtime=0))
    shutil.rmtree(tree)
    shutil.rmtree(root)


def _only(root: Path, pattern: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        raise LabError(f"guest image: {len(found)} files match {pattern} where one is expected")
    return found[0]


def _copy_program(root: Path, tree: Path, program: str) -> None:
    """Copy a program with its loader and libraries, as the root's own loader finds them (not the machine's)."""
    listing = subprocess.run(
        ["chroot", str(root), "/lib64/ld-linux-x86-64.so.2", "--list", f"/{program}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        raise LabError(f"guest image: libraries of {program}: {listing.stderr.strip()}")
    paths = {word for word in listing.stdout.split() if word.startswith("/")} | {f"/{program}"}
    for path in sorted(paths):
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_inside(root, path), target)


def _inside(root: Path, path: str) -> Path:
    """The file that `path` means inside the root: the loader is an absolute link, which out here means the machine's."""
    found = root / path.lstrip("/")
    while found.is_symlink() and found.readlink().is_absolute():
        found = root / str(found.readlink()).lstrip("/")
    return found


def _archive(tree: Path) -> bytes:
    names = "\0".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    done = subprocess.run(
        ["cpio", "--create", "--format=newc", "--null", "--quiet", "--owner=0:0", "--reproducible"],
        input=names.encode(), capture_output=True, cwd=tree, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"guest image: cpio: {done.stderr.decode().strip()}")
    return done.stdout
