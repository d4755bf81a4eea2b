"""What VMs use: on the fake, on libvirt's `test` driver, and on real QEMU, where every figure is compared with the system's own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters import processes
from vm_lifecycle.adapters.libvirt import statistics
from vm_lifecycle.errors import EffectError
from vm_lifecycle.snapshots import Statistics

from tests.fakes.world import CRASHED

from .conftest import Bench, FakeBench, LibvirtBench, QemuBench
from .real_qemu import Daemon, wait_for

A, B, C = (f"00000000-0000-4000-8000-00000000000{letter}" for letter in "abc")
#: Functions of the library that answer without asking the daemon.
LOCAL = ("Free", "GetID", "GetUUID", "GetUUIDString", "GetName", "IsAlive", "GetURI", "RegisterErrorHandler")


def of(bench: Bench, *uuids: str) -> dict[str, Statistics]:
    """Statistics by UUID."""
    return {found.uuid: found for found in bench.hypervisor.statistics(uuids)}


def test_off(powered: Bench) -> None:
    """It uses nothing."""
    powered.define(A, "a")
    found = of(powered, A)[A]
    assert (found.state, found.run, found.uptime, found.cpu_ns, found.resident) == ("shutoff", -1, None, None, 0)
    assert (found.guest_used, found.told_unix, found.addresses) == (None, 0, ())


def test_running(powered: Bench) -> None:
    """Each start is another run."""
    powered.define(A, "a", running=True)
    first = of(powered, A)[A]
    assert (first.state, first.processors, first.reason) == ("running", 1, "")
    powered.hypervisor.power_off(A)
    assert of(powered, A)[A].run == -1
    powered.hypervisor.start(A)
    assert of(powered, A)[A].run not in (first.run, -1)


def test_only_those_that_are_asked_for(powered: Bench) -> None:
    """A transient one as any other; one that is gone is left out."""
    powered.define(A, "a")
    powered.define(B, "b", running=True)
    powered.create(C, "c")
    assert sorted(of(powered, A, C, "00000000-0000-4000-8000-00000000000d")) == [A, C]
    assert of(powered) == {}


def test_a_process_that_died(powered: Bench, request: pytest.FixtureRequest) -> None:
    """Is told from one that ended."""
    powered.define(A, "a", running=True)
    if isinstance(powered, QemuBench):
        os.kill(powered.daemon.pids("a")[0], signal.SIGKILL)
        wait_for(lambda: of(powered, A)[A].state == "shutoff")
    elif isinstance(powered, FakeBench):
        powered.machine.stop(powered.machine.named("a"), *CRASHED)
    else:
        powered.hypervisor.power_off(A)  # of the `test` driver, no process can die
        assert of(powered, A)[A].reason == ""
        return
    assert of(powered, A)[A].reason == "crashed"
    powered.hypervisor.start(A)
    powered.hypervisor.power_off(A)
    assert of(powered, A)[A].reason == ""


def test_paused_is_no_error(memorable: Bench) -> None:
    """When a person paused it."""
    memorable.define(A, "a")
    memorable.hypervisor.start(A, paused=True)
    assert (of(memorable, A)[A].state, of(memorable, A)[A].reason) == ("paused", "")


def test_libvirts_own_numbers() -> None:
    """The words are those of libvirt's enumerations."""
    assert statistics.REASONS == {
        "paused": {
            libvirt.VIR_DOMAIN_PAUSED_IOERROR: "io_error",
            libvirt.VIR_DOMAIN_PAUSED_CRASHED: "crashed",
            libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: "starting",
        },
        "shutoff": {libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "crashed", libvirt.VIR_DOMAIN_SHUTOFF_FAILED: "failed"},
    }


@pytest.mark.parametrize(
    ("figures", "used"),
    [
        ({}, None),
        ({"balloon.available": 1000}, None),
        ({"balloon.unused": 1000}, None),
        ({"balloon.available": 1000, "balloon.unused": 400}, 600 * 1024),
        ({"balloon.available": 1000, "balloon.unused": 400, "balloon.usable": 700}, 300 * 1024),
    ],
)
def test_what_a_guest_tells_of_its_memory(figures: dict[str, int], used: int | None) -> None:
    """What it could not give back, as far as its driver tells."""
    assert statistics._guest_used(figures) == used


# The `test` driver's own.


def test_cards(own: LibvirtBench) -> None:
    """Hardware addresses in their order, each once."""
    devices = "".join(
        f"<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/></interface>"
        for mac in ("52:54:00:00:00:02", "52:54:00:00:00:01")
    )
    own.connection.defineXML(own.xml(A, "a", devices=devices))
    assert of(own, A)[A].macs == ("52:54:00:00:00:02", "52:54:00:00:00:01")


# Real QEMU's own.


class Counting:
    """Stands in for the library's C functions, and counts who asked the daemon for what."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not name.startswith("vir") or name.endswith(LOCAL):
            return found

        def call(*arguments: Any) -> Any:
            self.calls[name] += 1
            return found(*arguments)

        return call


@pytest.mark.parametrize("number", [1, 4])
def test_one_call_for_all(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """However many VMs there are: one question for the figures of all of them, and one a VM for its definition."""
    uuids = [f"00000000-0000-4000-8000-{each:012}" for each in range(number)]
    for each, uuid in enumerate(uuids):
        qemu.define(uuid, f"vm-{each}", running=each % 2 == 0)
    qemu.hypervisor.domains()
    counting = Counting(libvirt.libvirtmod)
    monkeypatch.setattr(libvirt, "libvirtmod", counting)
    assert len(of(qemu, *uuids)) == number
    asked = dict(counting.calls)
    assert asked.pop("virConnectGetAllDomainStats") == 1
    assert asked.pop("virDomainGetXMLDesc") == number
    asked.pop("virConnectClose")  # of connections of earlier tests, too
    asked.pop("virEventRunDefaultImpl", None)  # of the events that they heard
    assert asked == {"virConnectOpen": 1, "virConnectListAllNetworks": 1}


@pytest.fixture
def noted(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> QemuBench:
    """Where the daemon's notes of its processes are found."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(qemu.daemon.home / "run"))
    return qemu


def test_processor_and_memory(noted: QemuBench, daemon: Daemon) -> None:
    """As /proc says of its process."""
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    noted.define(A, "a", running=True)
    (pid,) = daemon.pids("a")
    first = of(noted, A)[A]
    wait_for(lambda: daemon.count(daemon.open().lookupByUUIDString(A)) > 10)
    second = of(noted, A)[A]
    assert first.cpu_ns is not None
    assert second.cpu_ns is not None
    assert 0 < first.cpu_ns < second.cpu_ns < 60e9
    assert first.uptime is not None
    assert second.uptime is not None
    assert 0 <= first.uptime < second.uptime <= time.clock_gettime(time.CLOCK_BOOTTIME) - began + 0.02
    held = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 0.8 < second.resident / held < 1.2


@pytest.mark.parametrize("running", [False, True])
def test_disks(qemu: QemuBench, daemon: Daemon, running: bool) -> None:
    """The blocks that their files have, whatever their length or content; not those of media, nor of what they are built on."""
    paths = {name: daemon.home / "guests" / name for name in ("base", "top", "raw", "medium")}
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", paths["base"], "64M"], check=True)
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 9M", paths["base"]], check=True, capture_output=True)
    overlay = ["-f", "qcow2", "-b", str(paths["base"]), "-F", "raw"]
    subprocess.run(["qemu-img", "create", "-q", *overlay, paths["top"]], check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 1M 5M", paths["top"]], check=True, capture_output=True)
    with paths["raw"].open("wb") as stream:
        stream.write(os.urandom(3 * 2**20))
        stream.truncate(50 * 2**20)
    paths["medium"].write_bytes(bytes(2**20))
    for path in paths.values():
        path.chmod(0o666)
    disks = "".join(
        f"<disk type='file' device='{device}'><driver type='{kind}'/><source file='{paths[name]}'/>"
        f"<target dev='{target}' bus='{bus}'/></disk>"
        for name, kind, device, target, bus in (
            ("top", "qcow2", "disk", "vda", "virtio"),
            ("raw", "raw", "disk", "vdb", "virtio"),
            ("medium", "raw", "cdrom", "hdc", "ide"),
        )
    )
    domain = daemon.open().defineXML(daemon.xml(A, "a", "stubborn", disks))
    if running:
        domain.create()
    expected = sum(paths[name].stat().st_blocks * 512 for name in ("top", "raw"))
    assert of(qemu, A)[A].disks == expected
    assert 8 * 2**20 <= expected < 9 * 2**20


def test_a_process_that_does_not_answer(
    noted: QemuBench, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is told of all the same, without keeping the others waiting for long; a look after that does not wait at all."""
    monkeypatch.setattr(statistics, "LIMIT", 1.0)
    disk = daemon.home / "guests" / "disk"
    disk.write_bytes(os.urandom(2**20))
    disk.chmod(0o666)
    source = f"<disk type='file'><driver type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"
    daemon.open().defineXML(daemon.xml(A, "a", "stubborn", source)).create()
    noted.define(B, "b", running=True)
    (pid,) = daemon.pids("a")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = of(noted, A, B)
        assert 1.0 <= time.monotonic() - began < 3.0
        assert (found[A].state, found[A].disks) == ("running", disk.stat().st_blocks * 512)
        assert found[A].resident > 2**20
        assert found[A].cpu_ns
        assert found[B].resident > 2**20
        began = time.monotonic()
        assert of(noted, A, B)[A].state == "running"
        assert time.monotonic() - began < 0.9
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not daemon.busy(daemon.open().lookupByUUIDString(A)))


def test_nobody_answers(noted: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no process is told even then."""
    noted.define(A, "a", running=True)
    monkeypatch.setattr(statistics, "TRIES", 0)
    found = of(noted, A)[A]
    assert (found.state, found.processors) == ("running", 1)
    assert found.cpu_ns
    assert found.resident > 2**20
    monkeypatch.setattr(statistics, "LIMIT", 0.0)
    with pytest.raises(EffectError, match="did not tell"):
        noted.hypervisor.statistics([A])


@pytest.mark.parametrize("note", [None, "", "x", "1", str(2**30)])
def test_a_note_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str | None) -> None:
    """It is missing, half written, or of a process that is another one by now, or that ended."""
    monkeypatch.setattr(processes, "SYSTEM_RUN", tmp_path)
    if note is not None:
        (tmp_path / "a.pid").write_text(note)
    assert processes.of_guest("qemu:///system", "a", A) == processes.Process()


def test_a_name_with_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process calls itself does not move the fields behind it."""
    monkeypatch.setattr(processes, "SYSTEM_RUN", tmp_path)
    waits = tmp_path / "a) 0 (b"
    waits.symlink_to("/usr/bin/tail")
    with subprocess.Popen([waits, "-F", tmp_path / A], stderr=subprocess.DEVNULL) as process:
        command = Path(f"/proc/{process.pid}/cmdline")
        wait_for(lambda: A.encode() in command.read_bytes())
        (tmp_path / "a.pid").write_text(str(process.pid))
        found = processes.of_guest("qemu:///system", "a", A)
        process.kill()
    assert found.uptime is not None
    assert 0 <= found.uptime < 30
    assert found.resident > 0
