# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that want a sweep to delete too much, to leak or to lie. Disks and firmware variables.

Each case builds an odd host, sweeps, and looks with libvirt and the file system alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from host import IMAGES, OUTSIDE, case, define, disk, disk_xml, domains, files, firmware, mark_and_sweep, sh, sweep

QEMU = " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
#: What a guest may write to the start of its raw disk: QEMU takes it for a VMDK and opens what it names.
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"
RW 2048 FLAT "{path}" 0
ddb.adapterType = "ide"
"""


def overwrite(path: Path, data: bytes) -> None:
    """Write to the start of a disk, as a guest does."""
    with path.open("r+b") as stream:
        stream.write(data)


@case
def an_expired_vm_goes_with_its_disk() -> None:
    """The control: without it every other case could pass because nothing is ever removed."""
    define("t", disk_xml(disk("t.qcow2")))
    define("p", disk_xml(disk("p.qcow2")), None)
    mark_and_sweep()
    assert (domains(), files()) == (["p"], ["p.qcow2"])


@case
def a_file_known_by_another_path_stays() -> None:
    """A symbolic link to the directory, a hard link, a relative backing name, an external data file."""
    linked, hard, base, data = (
        disk("linked.qcow2"),
        disk("hard.qcow2"),
        disk("base.qcow2"),
        disk("data.raw", image_format="raw"),
    )
    (OUTSIDE / "images").symlink_to(IMAGES)
    os.link(hard, OUTSIDE / "hard.qcow2")
    overlay = disk("overlay.qcow2", backing="../libvirt/images/base.qcow2", directory=OUTSIDE)
    for number, path in enumerate((OUTSIDE / "images/linked.qcow2", OUTSIDE / "hard.qcow2", overlay)):
        define(f"p{number}", disk_xml(path), None)
    sh(
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        f"data_file={data},data_file_raw=on",
        str(IMAGES / "x.qcow2"),
        "8M",
    )
    for number, path in enumerate((linked, hard, base)):
        define(f"t{number}", disk_xml(path))
    define("t3", disk_xml(data, "raw"))
    mark_and_sweep()
    assert files() == ["base.qcow2", "data.raw", "hard.qcow2", "linked.qcow2", "x.qcow2"]
    assert domains() == ["p0", "p1", "p2"]


@case
def firmware_variables_that_are_a_file_of_the_host_stay() -> None:
    """A template of the host, and an image that another VM's disk is built on, named as <nvram>."""
    template = OUTSIDE / "OVMF_VARS.fd"
    template.write_bytes(b"template")
    golden = disk("golden.qcow2")
    define("user", disk_xml(disk("overlay.qcow2", backing=str(golden))), None)
    define("t1", os_xml=firmware(template))
    define("t2", os_xml=firmware(golden))
    mark_and_sweep()
    assert template.exists(), "a file that is no VM's own was deleted as NVRAM"
    assert golden.exists(), "the backing file of another VM's disk was deleted as NVRAM"


@case
def firmware_variables_made_from_one_template_go() -> None:
    """libvirt names the template in the definition; that two VMs name it does not make them share their variables."""
    variables = [Path("/var/lib/libvirt/qemu/nvram") / f"adversary-{name}.fd" for name in ("t", "p")]
    for path in variables:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"variables")
    define("t", os_xml=firmware(variables[0], "/usr/share/OVMF/OVMF_VARS.fd"))
    define("p", os_xml=firmware(variables[1], "/usr/share/OVMF/OVMF_VARS.fd"), metadata=None)
    mark_and_sweep()
    left = [path.exists() for path in variables]
    for path in variables:
        path.unlink(missing_ok=True)
    assert left == [False, True], f"NVRAM of the removed VM and of the other one: {left}"


@case
def a_disk_in_a_managed_save_stays() -> None:
    """A disk attached to the running VM alone is named by its saved image and by no definition."""
    path = disk("x.qcow2")
    define("t", disk_xml(path))
    other = define("p", "", None)
    other.create()
    other.attachDeviceFlags(disk_xml(path, target="vdb"), 1)
    other.managedSave()
    mark_and_sweep()
    assert path.exists(), "a disk that a saved VM needs was deleted"


@case
def disks_in_arguments_for_qemu_stay() -> None:
    """As JSON, with a space, with a doubled comma."""
    paths = [disk(name) for name in ("json.qcow2", "with space.qcow2", "with,comma.qcow2")]
    for number, path in enumerate(paths):
        define(f"t{number}", disk_xml(path))
    node = json.dumps({"driver": "qcow2", "file": {"driver": "file", "filename": str(paths[0])}}).replace('"', "&quot;")
    words = [
        "-blockdev",
        node,
        "-drive",
        f"file={paths[1]},if=none",
        "-drive",
        f"file={str(paths[2]).replace(',', ',,')}",
    ]
    arguments = "".join(f'<qemu:arg value="{word}"/>' for word in words)
    define("p", "", None, root=QEMU, tail=f"<qemu:commandline>{arguments}</qemu:commandline>")
    mark_and_sweep()
    assert [path.exists() for path in paths] == [True, True, True], f"only these are left: {files()}"


@case
def a_disk_that_a_process_has_open_stays() -> None:
    """QEMU without libvirt, or of a user's own session: it locks its images."""
    path = disk("t.qcow2")
    define("t", disk_xml(path))
    words = [
        "qemu-system-x86_64",
        "-S",
        "-display",
        "none",
        "-nodefaults",
        "-m",
        "32",
        "-drive",
        f"file={path},format=qcow2",
    ]
    process = subprocess.Popen(words)
    time.sleep(1.5)
    mark_and_sweep()
    process.kill()
    process.wait()
    assert path.exists(), "the disk of a running QEMU was deleted"


@case
def the_base_of_an_overlay_in_a_folder_of_the_pool_stays() -> None:
    """An overlay that no VM names at the moment, one directory below."""
    base = disk("base.qcow2")
    (IMAGES / "folder").mkdir()
    disk("overlay.qcow2", backing=str(base), directory=IMAGES / "folder")
    define("t", disk_xml(base))
    mark_and_sweep()
    assert base.exists(), "the base of an overlay was deleted"


@case
def nothing_is_opened_that_a_guest_names() -> None:
    """A pipe without a writer: whoever opens it waits."""
    os.mkfifo(OUTSIDE / "pipe")
    evil = disk("evil.raw", image_format="raw")
    overwrite(evil, DESCRIPTOR.format(path=OUTSIDE / "pipe").encode())
    define("evil", disk_xml(evil, "raw"), None)
    define("t", disk_xml(disk("t.qcow2")))
    result = mark_and_sweep()
    assert result["seconds"] < 15, f"the sweep waited {result['seconds']} s for a file that a guest named"


@case
def what_a_guest_writes_keeps_no_other_disk() -> None:
    """A broken header in a disk that is declared raw, and one that names another VM's disk."""
    victim = disk("victim.qcow2")
    header = disk("h.qcow2", backing=str(victim))
    named, broken = disk("named.raw", image_format="raw"), disk("broken.raw", image_format="raw")
    overwrite(named, header.read_bytes()[:65536])
    header.unlink()
    define("victim", disk_xml(victim))
    define("evil", disk_xml(named, "raw"), None)
    define("worse", disk_xml(broken, "raw"), None)
    overwrite(broken, b"QFI\xfb" + b"\xff" * 100)
    mark_and_sweep()
    assert not victim.exists(), "a guest keeps the disk of another VM by what it writes into its own"


@case
def a_vm_outlives_doubt_about_its_disks() -> None:
    """Nobody deletes its disks later, so a VM whose disks can't be judged today has to wait, and to go once they can."""
    path, odd = disk("t.qcow2"), disk("odd.raw", image_format="raw")
    overwrite(odd, b"QFI\xfb" + b"\xff" * 100)  # no VM says that it is raw, so it may be built on anything
    define("t", disk_xml(path))
    sweep()
    result = sweep()
    assert (domains(), path.exists()) == (["t"], True), f"it did not wait: {result}"
    odd.unlink()
    sweep()
    assert (domains(), path.exists()) == ([], False), f"domains {domains()}, files {files()}"
