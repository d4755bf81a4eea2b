# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs of one round: thirty that are expired, with every kind of storage that we know, and those that must survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from building import IMAGES, KEPT, NVRAM, OUTSIDE, REMOVED, SECOND, Builder, disk, sh

OWN = "its VM's alone"


def build(connection: Any, number: int, undo: bool) -> dict[str, Any]:
    """Make everything of a round; the manifest of all rounds so far. undo: removals of this round can be undone."""
    make = Builder(connection, f"r{number}", undo)
    alone(make)
    snapshots(make)
    chains(make)
    shared(make)
    survivors(make)
    asked(make, number)
    return make.finish()


def alone(make: Builder) -> None:
    """Disks that go with their VM: 14 VMs, of which 8 are running."""
    for number in range(6):
        make.vm(f"own{number}", [disk(make.image(f"own{number}.qcow2", REMOVED, OWN))], running=number % 2 == 0)
    for number in range(4):
        first, second = f"two{number}a.qcow2", f"two{number}b.raw"
        disks = [
            disk(make.image(first, REMOVED, OWN)),
            disk(make.image(second, REMOVED, OWN, place=SECOND), "vdb"),
        ]
        make.vm(f"two{number}", disks, running=number < 3)
    make.vm("raw", [disk(make.image("raw.raw", REMOVED, OWN))], running=True)
    make.vm("diskless", [], running=True)
    nvram = make.image("VARS.fd", REMOVED, "NVRAM of its VM alone", place=NVRAM)
    firmware = f"<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram>{nvram}</nvram>"
    make.vm("nvram", [disk(make.image("nvram.qcow2", REMOVED, OWN))], os_xml=firmware)
    saved = make.vm("saved", [disk(make.image("saved.qcow2", REMOVED, OWN))], running=True)
    saved.managedSave()
    make.expect(Path(f"/var/lib/libvirt/qemu/save/{saved.name()}.save"), REMOVED, "managed save of its VM")


def snapshots(make: Builder) -> None:
    """Disks with snapshots of their own VM: 2 VMs."""
    inner = make.vm("inner", [disk(make.image("inner.qcow2", REMOVED, OWN))])
    sh("virsh", "snapshot-create-as", inner.name(), "before")
    outer = make.vm("outer", [disk(make.image("outer.qcow2", REMOVED, "below its VM's own external snapshot"))])
    sh("virsh", "snapshot-create-as", outer.name(), "before", "--disk-only")
    top = make.expect(IMAGES / f"{make.prefix}-outer.before", REMOVED, "overlay of its VM's external snapshot")
    if not top.exists():
        raise RuntimeError(f"the external snapshot is not where it was expected: {top}")


def chains(make: Builder) -> None:
    """Overlays of each other, of a template, and below one that stays: 8 VMs."""
    template = make.image("template.qcow2", KEPT, "template of a VM that stays")
    make.vm(
        "on-template", [disk(make.image("on-template.qcow2", KEPT, "disk of a permanent VM", template))], "permanent"
    )
    for number in range(3):
        make.vm(
            f"clone{number}", [disk(make.image(f"clone{number}.qcow2", REMOVED, OWN, template))], running=number == 0
        )
    for low, high in (("a-low", "b-high"), ("d-low", "c-high")):  # in both orders of their names
        base = make.image(f"{low}.qcow2", REMOVED, "used by another VM that goes too")
        make.vm(low, [disk(base)])
        make.vm(high, [disk(make.image(f"{high}.qcow2", REMOVED, OWN, base))])
    base = make.image("below.qcow2", KEPT, "a VM that is not ours is built on it")
    make.vm("below", [disk(base)])
    make.vm("above", [disk(make.image("above.qcow2", KEPT, "disk of a VM that is not ours", base))], "nothing")


def shared(make: Builder) -> None:
    """Disks that stay though their VM goes, and a medium that goes along: 7 VMs. Each has a disk of its own besides."""

    def vm(name: str, other: str) -> None:
        make.vm(name, [disk(make.image(f"{name}.qcow2", REMOVED, OWN)), other])

    vm("shareable", disk(make.image("shareable.raw", KEPT, "shareable"), "vdb", "<shareable/>"))
    vm("read-only", disk(make.image("read-only.raw", KEPT, "read-only"), "vdb", "<readonly/>"))
    seed = make.image("seeded-seed.iso", REMOVED, "seed medium of its VM alone, by its label and its name")
    with seed.open("r+b") as stream:
        stream.seek(32768)
        stream.write(b"\x01CD001\x01\x00" + b" " * 32 + b"cidata".ljust(32))
    vm("seeded", disk(seed, "hda", "<readonly/>", "cdrom"))
    medium = make.image("medium.iso", KEPT, "a medium that two VMs have")
    vm("medium", disk(medium, "hda", "<readonly/>", "cdrom"))
    vm("medium2", disk(medium, "hda", "<readonly/>", "cdrom"))
    vm("outside", disk(make.image("outside.qcow2", KEPT, "in no pool", place=OUTSIDE), "vdb"))
    lent = make.image("lent.qcow2", KEPT, "a stopped permanent VM has it too")
    vm("borrower", disk(lent, "vdb"))
    make.vm("lender", [disk(lent)], "permanent")


def survivors(make: Builder) -> None:
    """VMs that nobody may touch, each with a disk."""
    for carries, running in (("permanent", True), ("held", False), ("fresh", True), ("nothing", True)):
        path = make.image(f"{carries}.raw", KEPT, f"disk of a VM that stays ({carries})")
        make.vm(carries, [disk(path)], carries, running=running)


def asked(make: Builder, number: int) -> None:
    """VMs that a playbook declares, and in the first rounds one that comes up with its host."""
    for each in range(3):
        make.vm(
            f"asked{each}", [disk(make.image(f"asked{each}.qcow2", KEPT, "disk of a VM that is declared"))], "nothing"
        )
    if number < 2:
        make.vm("boots", [disk(make.image("boots.raw", KEPT, "disk of a VM that boots"))], "boots", running=True)
