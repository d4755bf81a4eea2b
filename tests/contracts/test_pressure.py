"""A host that is short of memory or space: what is on record, what the kernel tells, and a real guest whose disk is full."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from vm_lifecycle.adapters import memory_room
from vm_lifecycle.adapters.libvirt.events import EventSource
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.adapters.memory_room import MemoryAlarm
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Forget, ForgetPressed, Prune, RememberPressed
from vm_lifecycle.errors import DomainGone
from vm_lifecycle.pressures import DiskRoom, MemoryRoom, Pressed

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

from .conftest import Bench, FakeBench, LibvirtBench, QemuBench, Reopen
from .real_qemu import wait_for

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
NOW = 1795575600


def pressed(uuid: str = A, name: str = "web\n1 ü") -> Pressed:
    """Everything in it."""
    return Pressed(uuid, name, "disk", "suspend", "/srv/vms", NOW, "boot-1", "12 MiB are left on /srv/vms")


# What is on record.


def test_on_record(reopen: Reopen) -> None:
    """The last word counts; what is forgotten is forgotten, and what never was, too."""
    assert reopen().pressed() == {}
    reopen().save([RememberPressed(pressed()), RememberPressed(pressed(B))])
    reopen().save([RememberPressed(replace(pressed(), deed="kill")), ForgetPressed(B), ForgetPressed(B)])
    assert reopen().pressed() == {A: replace(pressed(), deed="kill")}


def test_a_vm_that_is_forgotten(reopen: Reopen) -> None:
    """It stands still, and somebody has to resume it; only when it is gone, nobody has to."""
    reopen().save([RememberPressed(pressed()), Forget(A)])
    assert set(reopen().pressed()) == {A}
    reopen().save([Prune(NOW, frozenset({A}))])
    assert set(reopen().pressed()) == {A}
    reopen().save([Prune(NOW)])
    assert reopen().pressed() == {}


def test_a_row_that_nobody_understands(tmp_path: Path) -> None:
    """It counts as none."""
    store = SqliteStore(tmp_path / "state")
    store.save([RememberPressed(pressed()), RememberPressed(replace(pressed(B), at_unix="soon"))])  # type: ignore[arg-type]
    assert set(store.pressed()) == {A}


# What the kernel tells.

PSI = "some avg10=12.34 avg60=5.00 avg300=1.00 total=5\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
MEMINFO = "MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:     2000 kB\nHugePages_Total:       0\n"


@pytest.mark.parametrize(
    ("psi", "meminfo", "expected"),
    [
        (PSI, MEMINFO, MemoryRoom(12.34, 25.0)),
        (None, MEMINFO, MemoryRoom(None, 25.0)),
        ("", None, MemoryRoom(None, 100.0)),
        ("some avg10=x\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", MemoryRoom(None, 100.0)),
        ("some avg60=1.0\n", "MemTotal:\n", MemoryRoom(None, 100.0)),
    ],
)
def test_memory_room(tmp_path: Path, psi: str | None, meminfo: str | None, expected: MemoryRoom) -> None:
    """What can't be read is not short."""
    paths = []
    for name, text in (("psi", psi), ("meminfo", meminfo)):
        paths.append(tmp_path / name)
        if text is not None:
            paths[-1].write_text(text)
    assert memory_room.memory_room(*paths) == expected


def test_memory_of_this_machine(tmp_path: Path) -> None:
    """As of any other, and of a fake."""
    fake = FakeHost(Machine(build({"memory": {"waited": 3.0, "available": 40.0}})))
    for host in (LinuxHost(tmp_path, tmp_path), fake):
        room = host.memory()
        assert 0.0 < room.available < 100.0
        assert room.waited is None or 0.0 <= room.waited <= 100.0


def test_an_alarm_that_the_kernel_does_not_have(tmp_path: Path) -> None:
    """Then there is none, and nobody is woken."""
    assert not MemoryAlarm(lambda: None, tmp_path / "none").arm()
    (tmp_path / "directory").mkdir()
    assert not MemoryAlarm(lambda: None, tmp_path / "directory").arm()


def test_an_alarm_of_the_kernel() -> None:
    """It is armed once, in a thread that sleeps until processes wait. Where this kernel has no triggers, there is none."""
    alarm = MemoryAlarm(lambda: None)
    armed = alarm.arm()
    assert armed is os.access(memory_room.PRESSURE, os.W_OK)
    assert alarm.arm() is armed
    assert [thread.name for thread in threading.enumerate()].count("memory alarm") == int(armed)


def test_an_alarm_that_goes_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the kernel says wakes the supervisor, until it takes the trigger away."""
    told = [[(0, memory_room.select.POLLERR)], [(0, memory_room.select.POLLPRI)]]

    class Poll:
        def register(self, *_: object) -> None: ...

        def poll(self) -> list[tuple[int, int]]:
            return told.pop()

    monkeypatch.setattr(memory_room.select, "poll", Poll)
    monkeypatch.setattr(memory_room, "QUIET", 0.0)
    path = tmp_path / "memory"
    path.write_text("")
    rung: list[int] = []
    alarm = MemoryAlarm(lambda: rung.append(1), path)
    assert alarm.arm()
    wait_for(lambda: not told)
    assert rung == [1]
    assert path.read_bytes() == memory_room.TRIGGER
    wait_for(
        lambda: "memory alarm" not in [thread.name for thread in threading.enumerate() if thread.is_alive()] or True
    )


# VMs that stand still, and disks.


def test_resume(powered: Bench) -> None:
    """It goes on; what runs or is off is left alone, and one that is gone is an error."""
    powered.define(A, "a")
    powered.hypervisor.resume(A)
    powered.hypervisor.start(A)
    powered.hypervisor.pause(A)
    for _time in range(2):
        powered.hypervisor.resume(A)
        found = powered.hypervisor.domain(A)
        assert found is not None and found.power_state == "running"
    powered.hypervisor.power_off(A)
    powered.hypervisor.resume(A)
    with pytest.raises(DomainGone):
        powered.hypervisor.resume(B)


def test_room_of_disks(bench: Bench) -> None:
    """Of the file system that they lie on, also while the VM is off; nobody is refused anything."""
    if isinstance(bench, FakeBench):
        bench.machine.state["room"]["/vms"] = 5000
    disk = bench.file("a.qcow2")
    bench.define(A, "a", [disk])
    off = bench.hypervisor.disk_room(A)
    assert 0.0 < off.free_mib < float("inf") and off.place.startswith("/") and not off.full
    bench.hypervisor.start(A)
    on = bench.hypervisor.disk_room(A)
    assert (on.place, on.full) == (off.place, False)
    with pytest.raises(DomainGone):
        bench.hypervisor.disk_room(B)


def test_room_of_other_disks(own: LibvirtBench) -> None:
    """What is read only, shared, or no file takes no space; nor does anybody know how much is left for it."""
    devices = (
        "<disk type='file' device='cdrom'><source file='/a.iso'/><target dev='hda' bus='ide'/></disk>"
        "<disk type='file'><source file='/b'/><target dev='vdb'/><readonly/></disk>"
        "<disk type='file'><source file='/c'/><target dev='vdc'/><shareable/></disk>"
        "<disk type='file'><source file='/nowhere/at/all'/><target dev='vdd'/></disk>"
        "<disk type='block'><source dev='/dev/null'/><target dev='vde'/></disk>"
        "<disk type='volume'><source pool='bench' volume='none'/><target dev='vdf'/></disk>"
        "<disk type='volume'><source pool='none' volume='none'/><target dev='vdg'/></disk>"
    )
    own.connection.defineXML(own.xml(A, "a", devices=devices))
    assert own.hypervisor.disk_room(A) == DiskRoom()


def test_room_of_a_volume(own: LibvirtBench) -> None:
    """By its pool and name."""
    pool = own.connection.storagePoolLookupByName("bench")
    xml = "<volume><name>v</name><capacity>1048576</capacity><allocation>0</allocation></volume>"
    path = Path(pool.createXML(xml, 0).path())
    path.write_bytes(b"")  # the test driver makes no files
    devices = "<disk type='volume'><source pool='bench' volume='v'/><target dev='vda'/></disk>"
    own.connection.defineXML(own.xml(A, "a", devices=devices))
    assert own.hypervisor.disk_room(A).free_mib < float("inf")


def test_a_guest_whose_disk_is_full(qemu: QemuBench) -> None:
    """QEMU stops it and libvirt tells of that; when there is space it goes on, and is stopped once more when it has used that up."""
    small = qemu.daemon.small
    disk, ballast = small / "disk", small / "ballast"
    with disk.open("wb") as stream:
        stream.truncate(64 * 2**20)
    disk.chmod(0o666)
    ballast.write_bytes(b"\0" * 2**20)
    source = f"<driver type='raw'/><source file='{disk}'/><target dev='hda' bus='ide'/>"
    devices = f"<disk type='file' device='disk'>{source}</disk>"
    domain = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "writes", devices))
    assert qemu.hypervisor.disk_room(A) == DiskRoom(str(small), 3.0)
    heard = EventSource(qemu.daemon.uri)
    try:
        domain.create()
        kinds: list[str] = []
        wait_for(
            lambda: kinds.extend(event.kind for event in heard.events(0.2)) or {"starved", "suspended"} <= set(kinds)
        )
        wait_for(lambda: qemu.hypervisor.disk_room(A).full)
        ballast.unlink()
        assert qemu.hypervisor.disk_room(A) == DiskRoom(str(small), 1.0, full=True)
        qemu.hypervisor.resume(A)
        kinds.clear()
        wait_for(lambda: kinds.extend(event.kind for event in heard.events(0.2)) or "starved" in kinds)
        assert kinds[0] == "resumed"
    finally:
        heard.close()
        qemu.daemon.empty()
        disk.unlink()
        ballast.unlink(missing_ok=True)
