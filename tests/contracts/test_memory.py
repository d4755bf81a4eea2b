"""Saved memory: what there is of it, keeping it aside, files of it, and what must never be loaded. On the fake and on real QEMU."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters import memory_files
from vm_lifecycle.adapters.libvirt import memory as memory_module
from vm_lifecycle.errors import DomainGone, EffectError
from vm_lifecycle.policy.memory import mismatch
from vm_lifecycle.recoveries import DiskMark, Manifest, MemoryFacts

from .conftest import Bench, LibvirtBench, QemuBench
from .real_qemu import wait_for

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
NOW = 1795575600


def only(bench: Bench) -> tuple[str, bool]:
    """(power state, whether it has saved memory) of the one domain."""
    (found,) = bench.hypervisor.domains()
    return found.power_state, found.saved


def place(bench: Bench) -> Path:
    """A directory into which the daemon may write."""
    if not isinstance(bench, QemuBench):
        return bench.directory
    made = bench.daemon.home / "kept"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    made.chmod(0o777)
    return made


# What every hypervisor does.


def test_started_paused(memorable: Bench) -> None:
    """Cold, and from its memory."""
    memorable.define(A, "a")
    for _time in range(2):
        memorable.hypervisor.start(A, paused=True)
        assert only(memorable) == ("paused", False)
    memorable.hypervisor.power_off(A)
    memorable.hypervisor.start(A)
    memorable.hypervisor.save_memory(A, 30.0)
    memorable.hypervisor.start(A, paused=True)
    assert only(memorable) == ("paused", False)


def test_no_memory(powered: Bench) -> None:
    """Off or running, there is none, and no VM has any that is not there."""
    powered.define(A, "a")
    for _state in ("off", "running"):
        facts = powered.hypervisor.memory_facts(A)
        assert (facts.memory, facts.problem, mismatch(None, facts)) == (None, "", "")
        powered.hypervisor.start(A)
    with pytest.raises(DomainGone):
        powered.hypervisor.memory_facts(B)


def test_libvirts_own_memory(memorable: Bench) -> None:
    """Its file, and what it was made with; it is gone with the next start."""
    memorable.define(A, "a", running=True)
    machine = memorable.hypervisor.memory_facts(A).machine
    memorable.hypervisor.save_memory(A, 30.0)
    facts = memorable.hypervisor.memory_facts(A)
    assert facts.memory is not None
    assert facts.memory.path.endswith("/a.save")
    assert (facts.memory.size > 0, facts.memory.modified_ns > 0, facts.memory.managed) == (True, True, True)
    assert (facts.machine, facts.problem) == (machine, "")
    assert machine.qemu > 0
    assert mismatch(None, facts) == ""
    assert mismatch(Manifest(A, "a", NOW, facts.memory, facts.machine, facts.disks), facts) == ""
    memorable.hypervisor.start(A)
    assert memorable.hypervisor.memory_facts(A).memory is None


def test_set_aside(memorable: Bench) -> None:
    """It is off without saved memory, starts cold, and the file can be loaded later."""
    memorable.define(A, "a", running=True)
    memorable.hypervisor.save_memory(A, 30.0)
    before = memorable.hypervisor.memory_facts(A).memory
    directory = place(memorable)
    path = memorable.hypervisor.set_memory_aside(A, str(directory))
    assert before is not None
    assert path.startswith(f"{directory}/{A}-")
    assert only(memorable) == ("shutoff", False)
    facts = memorable.hypervisor.memory_facts(A, path)
    assert facts.memory is not None
    assert (facts.memory.path, facts.memory.size, facts.memory.managed, facts.problem) == (path, before.size, False, "")
    for paused, state in ((False, "running"), (True, "paused")):
        memorable.hypervisor.start(A)
        memorable.hypervisor.power_off(A)
        memorable.hypervisor.restore_memory(A, path, paused)
        assert only(memorable) == (state, False)
        memorable.hypervisor.power_off(A)
    assert memorable.hypervisor.memory_facts(A, path).memory == facts.memory


def test_saved_to_a_file(memorable: Bench) -> None:
    """It is off, libvirt has nothing of it, and the file is loaded only when it is named. A file that is there is left alone."""
    memorable.define(A, "a", running=True)
    path = str(place(memorable) / "memory of a")
    memorable.hypervisor.save_memory_to(A, path, 30.0)
    assert only(memorable) == ("shutoff", False)
    kept = memorable.hypervisor.memory_facts(A, path).memory
    assert kept is not None
    assert (kept.path, kept.managed) == (path, False)
    memorable.hypervisor.start(A)
    with pytest.raises(EffectError) as caught:
        memorable.hypervisor.save_memory_to(A, path, 30.0)
    assert caught.value.code == "save_failed"
    assert only(memorable) == ("running", False)
    assert memorable.hypervisor.memory_facts(A, path).memory == kept


# Real QEMU's own: memory that goes on.


def running(qemu: QemuBench, counted: int = 3, devices: str = "") -> libvirt.virDomain:
    """A guest that has counted so far."""
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", devices))
    handle.create()
    wait_for(lambda: qemu.daemon.count(handle) > counted)
    return handle


def saved(qemu: QemuBench, devices: str = "") -> Path:
    """Its image, of a guest that has counted."""
    running(qemu, devices=devices)
    qemu.hypervisor.save_memory(A, 30.0)
    (image,) = (qemu.daemon.home / "config" / "libvirt" / "qemu" / "save").iterdir()
    return image


def test_a_guest_goes_on_from_a_file(qemu: QemuBench) -> None:
    """As often as it is loaded, counting from where it was."""
    handle = running(qemu, 40)
    path = str(place(qemu) / "a")
    qemu.hypervisor.save_memory_to(A, path, 30.0)
    for _time in range(2):
        qemu.hypervisor.restore_memory(A, path, paused=True)
        assert handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED
        before = qemu.daemon.count(handle)
        assert before > 40
        time.sleep(0.3)
        assert qemu.daemon.count(handle) == before
        handle.resume()
        wait_for(lambda before=before: qemu.daemon.count(handle) > before)
        qemu.hypervisor.power_off(A)


def test_a_guest_that_was_saved_paused_runs_when_it_is_to(qemu: QemuBench) -> None:
    """Whatever it was when it was saved."""
    handle = running(qemu)
    handle.suspend()
    path = str(place(qemu) / "a")
    qemu.hypervisor.save_memory_to(A, path, 30.0)
    qemu.hypervisor.restore_memory(A, path, paused=False)
    assert only(qemu) == ("running", False)


def test_managed_memory_that_is_started_paused(qemu: QemuBench) -> None:
    """It stands still where it was."""
    handle = running(qemu, 40)
    qemu.hypervisor.save_memory(A, 30.0)
    qemu.hypervisor.start(A, paused=True)
    before = qemu.daemon.count(handle)
    assert before > 40
    time.sleep(0.3)
    assert qemu.daemon.count(handle) == before


def test_what_memory_fits_to(qemu: QemuBench) -> None:
    """QEMU's version, the machine type in full, and the processor as it is declared."""
    for cpu, expected in (
        ("<cpu mode='host-model'/>", "host-model"),
        ("<cpu mode='custom' match='exact'><model fallback='forbid'>Nehalem</model></cpu>", "custom Nehalem"),
        ("<cpu match='exact'><model>qemu64</model></cpu>", "custom qemu64"),
    ):
        qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", more=cpu))
        machine = qemu.hypervisor.memory_facts(A).machine
        assert machine.qemu == qemu.connection.getVersion()
        assert machine.machine.startswith("pc-i440fx-")
        assert machine.cpu == expected


# Images that can't be loaded.


def cut(keep: int) -> Callable[[bytes], bytes]:
    """The first bytes alone."""
    return lambda whole: whole[:keep]


def unfinished(whole: bytes) -> bytes:
    """As it is until libvirt has written all of it, and for ever when the power goes before."""
    return whole.replace(b"LibvirtQemudSave", b"LibvirtQemudPart", 1)


def longer(whole: bytes) -> bytes:
    """A definition that is longer than the file."""
    return whole[:20] + struct.pack("I", 2**31) + whole[24:]


def no_definition(whole: bytes) -> bytes:
    """Something else in the place of the definition."""
    return whole[:92] + b"x" * 40 + whole[132:]


SPOILT = {
    "unfinished": (unfinished, "incomplete"),
    "empty": (cut(0), "within its header"),
    "cut in its header": (cut(60), "within its header"),
    "cut in its definition": (cut(500), "before the memory begins"),
    "longer than it is": (longer, "before the memory begins"),
    "another file": (lambda _whole: b"something else " * 1000, "no saved memory of libvirt"),
    "no definition": (no_definition, "libvirt can't read"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_an_image_that_is_spoilt(qemu: QemuBench, kind: str) -> None:
    """It is told before it is tried, nothing starts, and not a byte of it is lost; libvirt would drop some, and start cold."""
    spoil, words = SPOILT[kind]
    image = saved(qemu)
    whole = image.read_bytes()
    image.write_bytes(spoil(whole))
    facts = qemu.hypervisor.memory_facts(A)
    assert facts.memory is not None
    assert words in facts.problem
    assert mismatch(None, facts) == facts.problem
    for paused in (False, True):
        with pytest.raises(EffectError) as caught:
            qemu.hypervisor.start(A, paused)
        assert caught.value.code == "effect_failed"
        assert (only(qemu), image.read_bytes()) == (("shutoff", True), spoil(whole))
    path = Path(qemu.hypervisor.set_memory_aside(A, str(place(qemu))))
    assert (only(qemu), path.read_bytes()) == (("shutoff", False), spoil(whole))
    assert words in qemu.hypervisor.memory_facts(A, str(path)).problem
    with pytest.raises(EffectError):
        qemu.hypervisor.restore_memory(A, str(path), paused=False)
    assert only(qemu) == ("shutoff", False)
    qemu.hypervisor.start(A)
    assert only(qemu) == ("running", False)


@pytest.mark.parametrize(
    ("spoil", "interrupted"), [(unfinished, True), (cut(0), True), (cut(60), False), (cut(10**9), False)]
)
def test_what_an_interrupted_save_leaves(qemu: QemuBench, spoil: Callable[[bytes], bytes], interrupted: bool) -> None:
    """It is no memory, and libvirt may drop it; anything else is refused, and stays."""
    image = saved(qemu)
    image.write_bytes(spoil(image.read_bytes()))
    assert qemu.hypervisor.memory_facts(A).interrupted is interrupted
    assert not qemu.hypervisor.memory_facts(A, str(image)).interrupted
    if interrupted:
        qemu.hypervisor.drop_interrupted_memory(A)
        qemu.hypervisor.drop_interrupted_memory(A)
    else:
        with pytest.raises(EffectError) as caught:
            qemu.hypervisor.drop_interrupted_memory(A)
        assert caught.value.code == "effect_failed"
    assert (only(qemu), image.exists()) == (("shutoff", not interrupted), not interrupted)


def test_an_image_whose_end_is_missing(qemu: QemuBench) -> None:
    """Its beginning is sound; libvirt finds out, nothing starts, and what there is of it stays."""
    path = place(qemu) / "a"
    running(qemu)
    qemu.hypervisor.save_memory_to(A, str(path), 30.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 2000])
    assert qemu.hypervisor.memory_facts(A, str(path)).problem == ""
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.restore_memory(A, str(path), paused=False)
    assert caught.value.code == "effect_failed"
    assert (only(qemu), path.read_bytes()) == (("shutoff", False), whole[: len(whole) - 2000])
    path.write_bytes(whole)
    qemu.hypervisor.restore_memory(A, str(path), paused=False)
    assert only(qemu) == ("running", False)


def test_an_image_that_can_not_be_found(qemu: QemuBench) -> None:
    """A file that was named and is not there is no VM without memory: it must not start cold by mistake."""
    qemu.define(A, "a")
    facts = qemu.hypervisor.memory_facts(A, "/nowhere/x")
    assert facts.memory is not None
    assert "can't be read: No such file" in facts.problem
    with pytest.raises(EffectError, match="No such file"):
        qemu.hypervisor.restore_memory(A, "/nowhere/x", paused=False)
    assert only(qemu) == ("shutoff", False)


def test_an_image_of_another_vm(qemu: QemuBench) -> None:
    """libvirt would start that one."""
    running(qemu)
    path = str(place(qemu) / "a")
    qemu.hypervisor.save_memory_to(A, path, 30.0)
    qemu.hypervisor.undefine(A, False)
    qemu.define(B, "b")
    assert f"that of a, {A}" in qemu.hypervisor.memory_facts(B, path).problem
    with pytest.raises(EffectError, match="that of a"):
        qemu.hypervisor.restore_memory(B, path, paused=False)
    assert [(each.uuid, each.power_state) for each in qemu.hypervisor.domains()] == [(B, "shutoff")]


def test_memory_is_loaded_over_nothing_that_runs_or_waits(qemu: QemuBench) -> None:
    """Neither over a VM that runs, nor beside memory of libvirt's own, which would be loaded later over other disks."""
    path = str(place(qemu) / "a")
    running(qemu)
    qemu.hypervisor.save_memory_to(A, path, 30.0)
    qemu.hypervisor.start(A)
    with pytest.raises(EffectError, match="it runs"):
        qemu.hypervisor.restore_memory(A, path, paused=False)
    assert only(qemu) == ("running", False)
    qemu.hypervisor.save_memory(A, 30.0)
    with pytest.raises(EffectError, match="other saved memory"):
        qemu.hypervisor.restore_memory(A, path, paused=False)
    assert only(qemu) == ("shutoff", True)


# Keeping it aside.


def test_aside_is_a_second_name(qemu: QemuBench) -> None:
    """Where it can be: it takes no time and no space."""
    image = saved(qemu)
    inode, stamp = image.stat().st_ino, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(image.stat().st_mtime))
    path = Path(qemu.hypervisor.set_memory_aside(A, str(place(qemu))))
    assert (path.stat().st_ino, path.name) == (inode, f"{A}-{stamp}")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("refused", [(), ("copy_file_range",)])
def test_aside_is_a_copy(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]) -> None:
    """On another file system, and where a sandbox makes it seem one; its owner's alone, and synced before libvirt drops its own."""
    image = saved(qemu)
    whole, moment = image.read_bytes(), image.stat().st_mtime_ns
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        assert image.exists()
        real(descriptor)

    def no(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    for name in ("link", *refused):
        monkeypatch.setattr(os, name, no)
    monkeypatch.setattr(os, "fsync", fsync)
    directory = place(qemu)
    path = Path(qemu.hypervisor.set_memory_aside(A, str(directory)))
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode & 0o777) == (whole, moment, 0o600)
    assert synced == [str(directory / f".{path.name}"), str(directory)]
    assert not image.exists()


@pytest.mark.parametrize("step", ["write", "fsync", "utime", "rename"])
def test_memory_that_can_not_be_kept(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Without space, say: libvirt has it as before, and nothing half is left."""
    image = saved(qemu)
    whole = image.read_bytes()

    def no(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    directory = place(qemu)
    with monkeypatch.context() as patch:
        for name in ("link", "copy_file_range", step):
            patch.setattr(os, name, no)
        with pytest.raises(EffectError, match="No space left") as caught:
            qemu.hypervisor.set_memory_aside(A, str(directory))
    assert caught.value.code == "effect_failed"
    assert (only(qemu), image.read_bytes(), list(directory.iterdir())) == (("shutoff", True), whole, [])
    qemu.hypervisor.start(A)
    assert only(qemu) == ("running", False)


def test_killed_before_libvirt_dropped_it(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run takes what the first one kept, and clears away what it left; a file that was kept earlier stays."""
    image = saved(qemu)
    directory = place(qemu)
    earlier = memory_files.keep_aside(str(image), directory, A)
    os.unlink(earlier)
    earlier.write_text("of the same second")
    kept = memory_files.keep_aside(str(image), directory, A)
    assert kept.name == f"{earlier.name}-2"
    (directory / f".{A}-half").write_text("half")
    (directory / f".{B}-half").write_text("another run's")
    assert qemu.hypervisor.set_memory_aside(A, str(directory)) == str(kept)
    assert {each.name for each in directory.iterdir()} == {earlier.name, kept.name, f".{B}-half"}
    assert earlier.read_text() == "of the same second"


def test_nothing_to_set_aside(powered: Bench) -> None:
    """That is told, for a VM that has none and for one that is not there."""
    if powered.hypervisor.__class__.__name__ == "FakeHypervisor":
        return
    powered.define(A, "a")
    with pytest.raises(EffectError, match="no saved memory") as caught:
        powered.hypervisor.set_memory_aside(A, "/nowhere")
    assert caught.value.code == "effect_failed"
    with pytest.raises(DomainGone):
        powered.hypervisor.set_memory_aside(B, "/nowhere")


# Saving to a file.


def test_a_file_that_takes_too_long(qemu: QemuBench) -> None:
    """It is given up, the guest goes on, nothing is left of the file, and the next time it works."""
    handle = running(qemu)
    path = place(qemu) / "a"
    qemu.daemon.slow.touch()
    with pytest.raises(EffectError, match="more than 1 s") as caught:
        qemu.hypervisor.save_memory_to(A, str(path), 1.0)
    assert caught.value.code == "save_failed"
    before = qemu.daemon.count(handle)
    wait_for(lambda: qemu.daemon.count(handle) > before)
    assert (only(qemu), path.exists()) == (("running", False), False)
    qemu.daemon.slow.unlink()
    qemu.hypervisor.save_memory_to(A, str(path), 30.0)
    assert only(qemu) == ("shutoff", False)


def test_a_daemon_that_is_killed_while_it_saves(qemu: QemuBench) -> None:
    """What there is of the file can't be loaded, and does not stay; the next daemon lets the guest go on."""
    running(qemu)
    path = place(qemu) / "a"
    qemu.daemon.slow.touch()
    problem: list[EffectError] = []

    def save() -> None:
        try:
            qemu.hypervisor.save_memory_to(A, str(path), 30.0)
        except EffectError as error:
            problem.append(error)

    saving = threading.Thread(target=save)
    saving.start()
    wait_for(path.exists)
    time.sleep(0.5)  # QEMU says what it has, and a helper of libvirt waits until it is worth writing
    qemu.daemon.kill()
    saving.join(60)
    qemu.daemon.slow.unlink()
    qemu.daemon.start()
    assert len(problem) == 1
    assert not path.exists()
    handle = qemu.daemon.open().lookupByUUIDString(A)
    wait_for(lambda: handle.state()[0] == libvirt.VIR_DOMAIN_RUNNING)


@pytest.mark.parametrize("path", ["relative", "/nowhere/at/all/x", ""])
def test_a_file_that_can_not_be(qemu: QemuBench, path: str) -> None:
    """The guest goes on."""
    running(qemu)
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.save_memory_to(A, path, 30.0)
    assert caught.value.code == "save_failed"
    assert only(qemu) == ("running", False)


def test_a_link_that_leads_nowhere(qemu: QemuBench) -> None:
    """Is there all the same: what it leads to is nobody's business."""
    running(qemu)
    link = place(qemu) / "link"
    link.symlink_to("/tmp/nowhere-at-all")
    with pytest.raises(EffectError, match="there already"):
        qemu.hypervisor.save_memory_to(A, str(link), 30.0)
    assert only(qemu) == ("running", False)


def test_off_and_not_saved_to_a_file(qemu: QemuBench) -> None:
    """There is nothing to save, and no file is left."""
    qemu.define(A, "a")
    path = place(qemu) / "a"
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.save_memory_to(A, str(path), 5.0)
    assert (caught.value.code, path.exists()) == ("save_failed", False)
    with pytest.raises(DomainGone):
        qemu.hypervisor.save_memory_to(B, str(path), 5.0)


# What memory is loaded over.


def hard_disk(path: Path, target: str = "vda", more: str = "") -> str:
    """A disk, as a device."""
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def made(qemu: QemuBench, name: str) -> Path:
    """A disk's file."""
    path = qemu.daemon.home / "guests" / name
    path.write_bytes(bytes(2**20))
    path.chmod(0o666)
    return path


def manifest(facts: MemoryFacts) -> Manifest:
    """What a run that saved memory keeps."""
    assert facts.memory is not None
    return Manifest(A, "a", NOW, facts.memory, facts.machine, facts.disks)


def test_disks_under_memory(qemu: QemuBench) -> None:
    """Those that the guest may write to, as they are; each change of one of them is seen."""
    disks = [made(qemu, name) for name in ("one", "two")]
    read_only = hard_disk(made(qemu, "three"), "vdc", "<readonly/>")
    saved(qemu, "".join([hard_disk(disks[0]), hard_disk(disks[1], "vdb"), read_only]))
    facts = qemu.hypervisor.memory_facts(A)
    assert facts.disks == tuple(DiskMark(str(each), 2**20, each.stat().st_mtime_ns) for each in disks)
    kept = manifest(facts)
    assert mismatch(kept, qemu.hypervisor.memory_facts(A)) == ""
    os.utime(disks[1], ns=(0, disks[1].stat().st_mtime_ns + 1))
    assert f"{disks[1]} was changed" in mismatch(kept, qemu.hypervisor.memory_facts(A))
    disks[0].unlink()
    facts = qemu.hypervisor.memory_facts(A)
    assert facts.disks[0] == DiskMark(str(disks[0]), -1, 0)
    assert f"{disks[0]} is not there" in mismatch(kept, facts)


def test_a_definition_that_was_changed_since(qemu: QemuBench) -> None:
    """The image has its own: both disks count, so that neither is written to by mistake."""
    disks = [made(qemu, name) for name in ("one", "two")]
    saved(qemu, hard_disk(disks[0]))
    kept = manifest(qemu.hypervisor.memory_facts(A))
    qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", hard_disk(disks[1])))
    facts = qemu.hypervisor.memory_facts(A)
    assert [each.path for each in facts.disks] == [str(disks[1]), str(disks[0])]
    assert f"{disks[1]} was added" in mismatch(kept, facts)


def test_a_machine_that_was_changed_since(qemu: QemuBench) -> None:
    """It does not fit any more."""
    saved(qemu)
    kept = manifest(qemu.hypervisor.memory_facts(A))
    other = replace(kept, machine=replace(kept.machine, machine="pc-q35-7.2"))
    assert "machine type pc-q35-7.2" in mismatch(other, qemu.hypervisor.memory_facts(A))


VOLUME = "<disk type='volume' device='disk'><source pool='bench' volume='v'/><target dev='vdb'/></disk>"
OTHERS = (
    "<disk type='volume' device='disk'><source pool='no such pool' volume='v'/><target dev='vdc'/></disk>"
    "<disk type='network' device='disk'><source protocol='nbd' name='x'><host name='h'/></source><target dev='vdd'/></disk>"
    "<disk type='block' device='disk'><source dev='/dev/no such device'/><target dev='vde'/></disk>"
    "<disk type='file' device='cdrom'><source file='/nowhere.iso'/><target dev='hdc'/></disk>"
    "<disk type='file' device='floppy'><source file='/nowhere.img'/><target dev='fda'/></disk>"
)


def test_volumes_and_what_can_not_be_looked_at(own: LibvirtBench) -> None:
    """A volume is its file, whether its pool is active or not; what lies on another machine is no mark; nor are media."""
    path = own.file("v")
    own.connection.storagePoolLookupByName("bench").refresh()
    own.connection.defineXML(own.xml(A, "a", devices=VOLUME + OTHERS))
    expected = {
        DiskMark(path, 7, os.stat(path).st_mtime_ns), DiskMark("no such pool/v", -1, 0), DiskMark("/dev/no such device", -1, 0),
        DiskMark("/nowhere.img", -1, 0),
    }  # fmt: skip
    assert set(own.hypervisor.memory_facts(A).disks) == expected
    own.connection.storagePoolLookupByName("bench").destroy()
    assert set(own.hypervisor.memory_facts(A).disks) == expected


def test_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their size is the kernel's word; a time of change they have none, since their nodes are new at each boot."""
    device = tmp_path / "device"
    device.write_bytes(bytes(4096))
    real = os.stat

    def stat(path: Any, **more: Any) -> Any:
        found = real(path, **more)
        if str(path) != str(device):
            return found
        values = list(found)
        values[0] = 0o060600
        return os.stat_result(values, {"st_rdev": os.makedev(250, 77)})

    monkeypatch.setattr(os, "stat", stat)
    assert memory_files.disk_mark(str(device)) == DiskMark(str(device), 4096, 0)


def test_every_call_is_libvirts(own: LibvirtBench) -> None:
    """A driver without images can't tell what is in one, and that is no reason against it."""
    own.define(A, "a", running=True)
    own.hypervisor.save_memory(A, 30.0)
    within, problem = memory_module._definition_within(own.connection, own.connection.lookupByUUIDString(A), "")
    assert (within, problem) == (None, "")
    own.hypervisor.start(A)
    assert only(own) == ("running", False)
