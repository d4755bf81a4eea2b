"""Saving memory on real QEMU: what it takes, and that a guest runs on when it takes too long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.libvirt import places, saving
from vm_lifecycle.errors import EffectError

from .conftest import LibvirtBench, QemuBench
from .real_qemu import Daemon, wait_for

A = "00000000-0000-4000-8000-00000000000a"


def running(qemu: QemuBench, guest: str = "obedient", devices: str = "") -> libvirt.virDomain:
    """A guest that counts."""
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", guest, devices))
    handle.create()
    wait_for(lambda: qemu.daemon.count(handle) > 3)
    return handle


def images(daemon: Daemon) -> list[Path]:
    """What libvirt has saved, or half saved."""
    return sorted((daemon.home / "config" / "libvirt" / "qemu" / "save").iterdir())


def goes_on(qemu: QemuBench, handle: libvirt.virDomain) -> None:
    """It runs, and its guest counts on; nothing was saved."""
    found = qemu.hypervisor.domain(A)
    assert found is not None
    assert (found.power_state, found.saved) == ("running", False)
    before = qemu.daemon.count(handle)
    wait_for(lambda: qemu.daemon.count(handle) > before)
    assert images(qemu.daemon) == []


def test_a_disk_that_is_too_slow(qemu: QemuBench) -> None:
    """Saving is given up at its time, the guest goes on, and is saved when the disk is quick again."""
    handle = running(qemu)
    qemu.daemon.slow.touch()
    began = time.monotonic()
    with pytest.raises(EffectError, match="more than 1 s") as caught:
        qemu.hypervisor.save_memory(A, 1.0)
    assert 1.0 <= time.monotonic() - began < 1.0 + 2 * saving.GIVE_UP_LIMIT
    assert caught.value.code == "save_failed"
    goes_on(qemu, handle)
    qemu.daemon.slow.unlink()
    qemu.hypervisor.save_memory(A, 30.0)
    assert len(images(qemu.daemon)) == 1


def test_a_disk_that_is_stuck(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU can't stop writing to it, nor libvirt saving. That is said in time, and the VM can still be powered off."""
    monkeypatch.setattr(saving, "GIVE_UP_LIMIT", 0.5)
    running(qemu)
    qemu.daemon.stuck.touch()
    began = time.monotonic()
    with pytest.raises(EffectError, match="does not stop") as caught:
        qemu.hypervisor.save_memory(A, 0.5)
    assert caught.value.code == "save_failed"
    assert time.monotonic() - began < 4.0
    qemu.hypervisor.power_off(A)
    found = qemu.hypervisor.domain(A)
    assert found is not None
    assert (found.active, found.saved) == (False, False)


def test_a_guest_that_was_paused_before(qemu: QemuBench) -> None:
    """By a person, for a reason: it is left paused."""
    handle = running(qemu)
    handle.suspend()
    qemu.daemon.slow.touch()
    with pytest.raises(EffectError):
        qemu.hypervisor.save_memory(A, 0.5)
    assert handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED
    qemu.daemon.slow.unlink()
    qemu.hypervisor.save_memory(A, 30.0)
    qemu.hypervisor.start(A)
    assert handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED


def test_a_guest_that_libvirt_leaves_paused(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go on: a paused guest would not hear that it is to shut down."""
    handle = running(qemu)
    qemu.daemon.slow.touch()
    real = saving._give_up

    def paused_again(*arguments: Any) -> str:
        problem = real(*arguments)
        handle.suspend()
        return problem

    monkeypatch.setattr(saving, "_give_up", paused_again)
    with pytest.raises(EffectError):
        qemu.hypervisor.save_memory(A, 0.5)
    goes_on(qemu, handle)


class Late(saving.Asked):
    """A call that comes back just after it was given up."""

    given_up = False

    def ended(self, seconds: float = 0.0) -> bool:
        if seconds == 0.5:
            self.given_up = super().ended(30.0)
            return False
        return super().ended(seconds)


def test_saved_at_the_very_end(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended while it was being given up is saved, and that is success."""
    running(qemu)
    monkeypatch.setattr(saving, "Asked", Late)
    qemu.hypervisor.save_memory(A, 0.5)
    found = qemu.hypervisor.domain(A)
    assert found is not None
    assert (found.active, found.saved) == (False, True)


def test_saved_by_somebody_else(qemu: QemuBench) -> None:
    """libvirt refuses the second one, and the VM is off and saved all the same."""
    handle = running(qemu)
    handle.managedSave()
    qemu.hypervisor.save_memory(A, 5.0)
    assert len(images(qemu.daemon)) == 1


def test_off_and_not_saved(qemu: QemuBench) -> None:
    """It shut down meanwhile: there is nothing to save, and nobody claims it."""
    qemu.define(A, "a")
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.save_memory(A, 5.0)
    assert caught.value.code == "save_failed"
    assert images(qemu.daemon) == []


def test_transient_domains_are_not_saved(qemu: QemuBench) -> None:
    """In libvirt's words; it goes on."""
    qemu.create(A, "a")
    with pytest.raises(EffectError, match="transient") as caught:
        qemu.hypervisor.save_memory(A, 5.0)
    assert caught.value.code == "save_failed"
    found = qemu.hypervisor.domain(A)
    assert found is not None
    assert found.power_state == "running"


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that answers nobody."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_qemu_that_hangs(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt waits for it without limit, and so does not stop saving; whoever asked is told in time. What comes of it later is true."""
    monkeypatch.setattr(saving, "GIVE_UP_LIMIT", 0.5)
    handle = running(qemu)
    with stopped(qemu.daemon.pids("a")[0]):
        began = time.monotonic()
        with pytest.raises(EffectError, match="does not stop") as caught:
            qemu.hypervisor.save_memory(A, 0.5)
        assert time.monotonic() - began < 3.0
        assert caught.value.code == "save_failed"
    wait_for(lambda: not qemu.daemon.busy(handle))
    found = qemu.hypervisor.domain(A)
    assert found is not None
    assert found.active != found.saved


def test_a_full_disk(qemu: QemuBench) -> None:
    """In libvirt's words, the guest goes on, and half an image is gone."""
    handle = running(qemu)
    (qemu.daemon.home / "bin" / "gzip").rename(qemu.daemon.home / "bin" / "kept")
    full = qemu.daemon.home / "bin" / "gzip"
    full.write_text("#!/bin/sh\nhead -c 100000 >/dev/null\nexit 1\n")
    full.chmod(0o755)
    try:
        with pytest.raises(EffectError) as caught:
            qemu.hypervisor.save_memory(A, 30.0)
    finally:
        (qemu.daemon.home / "bin" / "kept").rename(full)
    assert caught.value.code == "save_failed"
    assert len(caught.value.message) > 10
    goes_on(qemu, handle)


# What it takes.


def test_an_image_is_as_large_as_was_said(qemu: QemuBench) -> None:
    """At most, for a guest that used all of its memory; compression is the test's own."""
    running(qemu, devices="<video><model type='vga' vram='16384'/></video>")
    cost = qemu.hypervisor.memory_cost(A)
    assert 32 < cost.mib < 128
    qemu.hypervisor.save_memory(A, 30.0)
    (image,) = images(qemu.daemon)
    assert image.stat().st_size < cost.mib * 2**20


OBSTACLES = [
    (
        "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='25' function='0'/></source></hostdev>",
        "PCI",
    ),
    (
        "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>"
        "<source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>",
        "MDEV",
    ),
    (
        "<hostdev mode='subsystem' type='scsi_host'><source protocol='vhost' wwpn='naa.50014057667280d8'/></hostdev>",
        "SCSI_HOST",
    ),
    (
        "<interface type='hostdev'><source><address type='pci' domain='0' bus='0' slot='16' function='1'/></source></interface>",
        "network card",
    ),
    ("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/><model type='virtio'/></interface>", "vDPA"),
    (
        "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv'/><target dir='x'/></filesystem>",
        "virtiofs",
    ),
    ("<shmem name='x'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>", "shares memory"),
    ("<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>", ""),
    ("<filesystem type='mount'><source dir='/srv'/><target dir='x'/></filesystem>", ""),
    ("<interface type='user'/>", ""),
]


@pytest.mark.parametrize(("devices", "words"), OBSTACLES)
def test_obstacles(own: LibvirtBench, devices: str, words: str) -> None:
    """Devices that libvirt saves no VM with are named beforehand."""
    more = (
        ""
        if "virtiofs" not in devices
        else "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
    )
    own.connection.defineXML(own.xml(A, "a", devices=devices).replace("<os>", f"{more}<os>")).create()
    obstacle = own.hypervisor.memory_cost(A).obstacle
    assert words in obstacle
    assert bool(words) == bool(obstacle)


@pytest.mark.parametrize(
    "devices",
    ["<shmem name='vmops'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>"],
)
def test_libvirt_refuses_what_was_named(qemu: QemuBench, devices: str) -> None:
    """Asked all the same, libvirt says no at once, and the guest goes on."""
    handle = running(qemu, devices=devices)
    assert qemu.hypervisor.memory_cost(A).obstacle
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.save_memory(A, 30.0)
    assert caught.value.code == "save_failed"
    goes_on(qemu, handle)


def test_where_it_must_be_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the directory of the daemon that is asked, or what there is of it."""
    monkeypatch.setattr(places, "SYSTEM_SAVES", tmp_path / "not" / "yet")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    assert places.saves("qemu:///system") == tmp_path / "not" / "yet"
    assert places.saves("qemu:///session") == tmp_path / "configuration" / "libvirt" / "qemu" / "save"
    assert places.saves("qemu+unix:///session?socket=/x/system") == tmp_path / "configuration/libvirt/qemu/save"
    found = os.statvfs(tmp_path)
    expected = found.f_bavail * found.f_frsize / 2**20
    for directory in (tmp_path, tmp_path / "not" / "yet"):
        assert abs(saving._free_mib(directory) - expected) < 512


def test_where_qemu_saves(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the directory that is looked at."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(qemu.daemon.home / "config"))
    running(qemu)
    qemu.hypervisor.save_memory(A, 30.0)
    assert list(places.saves(qemu.daemon.uri).iterdir()) == images(qemu.daemon) != []
