"""Limits: on the fake, on libvirt's `test` driver, which knows memory alone, and on QEMU of an ordinary user, who may set none."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest
from vm_lifecycle.adapters.controllers import controllers
from vm_lifecycle.adapters.libvirt import limited
from vm_lifecycle.adapters.libvirt.limits import size
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.errors import DomainGone, EffectError
from vm_lifecycle.limits import CPU, MEMORY, Bounds, Controllers, Size

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

from .conftest import Bench, FakeBench, LibvirtBench, QemuBench

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
MIB = 1024


def bounds(bench: Bench) -> tuple[Bounds, Bounds | None]:
    """What A is limited to by its definition, and as it runs."""
    seen = bench.hypervisor.limits(A)
    return seen.persistent.bounds, seen.live.bounds if seen.live else None


def test_a_vm_without_limits(powered: Bench) -> None:
    """Its definition says how large it is; only what runs has a second one."""
    powered.define(A, "a")
    off = powered.hypervisor.limits(A)
    assert (off.persistent.bounds, off.live, off.refused) == (Bounds(), None, {})
    assert off.persistent.size.memory_kib >= 8192 and off.persistent.size.processors == 1
    powered.hypervisor.start(A)
    on = powered.hypervisor.limits(A)
    assert on.persistent == off.persistent and on.live is not None
    assert on.live.size.memory_kib == off.persistent.size.memory_kib and on.live.bounds == Bounds()
    powered.hypervisor.power_off(A)
    assert powered.hypervisor.limits(A) == off


def test_a_vm_that_is_gone(powered: Bench) -> None:
    """As with any other call."""
    with pytest.raises(DomainGone):
        powered.hypervisor.limits(B)
    with pytest.raises(DomainGone):
        powered.hypervisor.set_limit(B, MEMORY, 900000, True)


def test_memory(bench: Bench) -> None:
    """The definition and the running VM each have their own; 0 lifts it."""
    bench.define(A, "a", running=True)
    bench.hypervisor.set_limit(A, MEMORY, 900 * MIB, False)
    assert bounds(bench) == (Bounds(), Bounds(900 * MIB))
    bench.hypervisor.set_limit(A, MEMORY, 800 * MIB, True)
    assert bounds(bench) == (Bounds(800 * MIB), Bounds(900 * MIB))
    bench.hypervisor.set_limit(A, MEMORY, 0, False)
    assert bounds(bench) == (Bounds(800 * MIB), Bounds())
    bench.hypervisor.set_limit(A, MEMORY, 0, True)
    assert bounds(bench) == (Bounds(), Bounds())


def test_a_definition_of_a_vm_that_is_off(bench: Bench) -> None:
    """The next start takes it over, and the running VM can't be limited before."""
    bench.define(A, "a")
    bench.hypervisor.set_limit(A, MEMORY, 900 * MIB, True)
    assert bounds(bench) == (Bounds(900 * MIB), None)
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.set_limit(A, MEMORY, 900 * MIB, False)
    assert caught.value.code == "changed_meanwhile"
    bench.hypervisor.start(A)
    assert bounds(bench) == (Bounds(900 * MIB), Bounds(900 * MIB))


def test_a_limit_that_is_refused(powered: Bench) -> None:
    """The error has libvirt's words, and nothing is set; reading says that of each limit."""
    if isinstance(powered, FakeBench):
        powered.machine.state["controllers"] = {MEMORY: "no", CPU: "no"}
    powered.define(A, "a", running=True)
    missing = [CPU] if isinstance(powered, LibvirtBench) else [MEMORY, CPU]
    assert sorted(powered.hypervisor.limits(A).refused) == sorted(missing)
    for kind in missing:
        with pytest.raises(EffectError) as caught:
            powered.hypervisor.set_limit(A, kind, 100000, False)
        assert caught.value.code == "limit_refused" and caught.value.message
    assert bounds(powered) == (Bounds(), Bounds())


def test_limits_that_somebody_else_set(qemu: QemuBench) -> None:
    """They are read as they stand in a definition, with their units; quotas of single processors are no limit of the VM."""
    more = (
        "<memtune><hard_limit unit='GiB'>2</hard_limit></memtune>"
        "<cputune><global_period>50000</global_period><global_quota>150000</global_quota></cputune>"
    )
    qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", more=more))
    assert bounds(qemu) == (Bounds(2048 * MIB, (150000, 50000)), None)
    more = "<cputune><period>50000</period><quota>40000</quota></cputune>"
    qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", more=more))
    assert bounds(qemu) == (Bounds(), None)


DEVICES = """
<disk device='disk'/><disk/><disk device='cdrom'/><disk device='lun'/>
<video><model type='qxl' ram='65536' vram='16384' vgamem='16384'/></video>
<filesystem><driver type='virtiofs'/></filesystem><filesystem><driver type='path'/></filesystem>
<tpm><backend type='emulator'/></tpm>
"""


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<domain type='kvm'><memory unit='KiB'>1048576</memory><vcpu>2</vcpu></domain>", Size(1024 * MIB, 2)),
        ("<domain type='qemu'><memory unit='GiB'>1</memory></domain>", Size(1024 * MIB, 1, emulated=True)),
        ("<domain type='kvm'><memory>1048576</memory><maxMemory unit='GiB'>8</maxMemory><vcpu current='1'>4</vcpu></domain>",
         Size(8192 * MIB, 4)),
        (f"<domain type='kvm'><memory>1024</memory><vcpu>1</vcpu><devices>{DEVICES}</devices></domain>",
         Size(1024, 1, 81920, 3, 2)),
        ("<domain type='kvm'><memory>1024</memory><devices><hostdev type='pci'/></devices></domain>",
         Size(1024, 1, locked_for="a device of the host")),
        ("<domain type='kvm'><memory>1024</memory><devices><hostdev type='usb'/></devices></domain>", Size(1024, 1)),
        ("<domain type='kvm'><memory>1024</memory><memoryBacking><locked/></memoryBacking></domain>",
         Size(1024, 1, locked_for="<locked/> in its definition")),
    ],
)  # fmt: skip
def test_size(xml: str, expected: Size) -> None:
    """The most that the VM may be given."""
    assert size(ElementTree.fromstring(xml)) == expected


MOUNTS_1 = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/memory cgroup {mode},relatime,memory 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
MOUNTS_2 = "cgroup2 /sys/fs/cgroup cgroup2 {mode},nosuid 0 0\n"
HELD, LIMITS = (
    "Name:\tlibvirtd\nCapEff:\t{:016x}\n",
    "Max locked memory         {0}              {0}              bytes\n",
)
ALL, NO_RESOURCE = (1 << 41) - 1, (1 << 41) - 1 - (1 << 24)


def root(path: Path, mounts: str, conf: str = "", held: int = NO_RESOURCE, locked: str = "8388608") -> Path:
    """A machine whose libvirtd is process 7."""
    for name in ("memory", "cpu", "unified"):
        (path / "sys/fs/cgroup" / name).mkdir(parents=True)
    (path / "sys/fs/cgroup/cgroup.controllers").write_text(
        "cpuset cpu io memory pids\n" if "unified" not in mounts else ""
    )
    (path / "proc/7").mkdir(parents=True)
    (path / "proc/self").mkdir()
    (path / "run").mkdir()
    (path / "etc/libvirt").mkdir(parents=True)
    (path / "proc/self/mounts").write_text(mounts)
    (path / "run/libvirtd.pid").write_text("7\n")
    (path / "proc/7/status").write_text(HELD.format(held))
    (path / "proc/7/limits").write_text(LIMITS.format(locked))
    (path / "etc/libvirt/qemu.conf").write_text(conf)
    return path


@pytest.mark.parametrize("mounts", [MOUNTS_1.format(mode="rw"), MOUNTS_2.format(mode="rw")])
def test_control_groups(tmp_path: Path, mounts: str) -> None:
    """Of either version."""
    assert controllers(root(tmp_path, mounts)) == Controllers(lockable_kib=8192.0)


@pytest.mark.parametrize(
    ("mounts", "conf", "memory", "cpu"),
    [
        ("", "", "no control group controller", "no control group controller"),
        (MOUNTS_1.format(mode="ro"), "", "read-only", ""),
        (MOUNTS_2.format(mode="ro"), "", "read-only", "read-only"),
        (MOUNTS_2.format(mode="rw"), 'cgroup_controllers = [ "memory",\n  "devices" ]\n', "", "qemu.conf"),
        (MOUNTS_2.format(mode="rw"), '#cgroup_controllers = [ "devices" ]\n', "", ""),
    ],
)
def test_what_is_missing(tmp_path: Path, mounts: str, conf: str, memory: str, cpu: str) -> None:
    """Is said in words."""
    found = controllers(root(tmp_path, mounts, conf))
    for problem, expected in ((found.memory, memory), (found.cpu, cpu)):
        assert expected in problem and bool(expected) == bool(problem)
    assert found.problem(MEMORY) == found.memory and found.problem(CPU) == found.cpu


@pytest.mark.parametrize(("locked", "expected"), [("8388608", 8192.0), ("unlimited", math.inf)])
def test_memory_that_may_be_locked(tmp_path: Path, locked: str, expected: float) -> None:
    """Without the capability as much as the daemon's own limit is."""
    assert controllers(root(tmp_path, "", locked=locked)).lockable_kib == expected


def test_a_daemon_of_which_nothing_is_known(tmp_path: Path) -> None:
    """Then nothing is promised."""
    assert controllers(tmp_path) == Controllers(
        "this host has no control group controller for memory", "this host has no control group controller for cpu", 0.0
    )


def test_a_daemon_that_may_raise_limits(tmp_path: Path) -> None:
    """What this process tries, which changes nothing, has the last word: in a container the capability may be empty."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    found = controllers(root(tmp_path, "", held=ALL)).lockable_kib
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before
    effective = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")).split()[
            1
        ],
        16,
    )
    assert math.isinf(found) == bool(effective >> 24 & 1 or before[1] == resource.RLIM_INFINITY)


def test_this_machine(tmp_path: Path) -> None:
    """Both hosts answer, and nothing is raised."""
    real = LinuxHost(tmp_path, tmp_path, tmp_path).controllers()
    assert isinstance(real, Controllers) and os.path.isdir("/proc")
    fake = FakeHost(Machine(build({"controllers": {"cpu": "no", "lockable_kib": 8192}}))).controllers()
    assert (fake.memory, fake.cpu, fake.lockable_kib) == ("", "no", 8192)


def test_disks(qemu: QemuBench, tmp_path: Path) -> None:
    """What a running VM's images take: those that it writes to, and lower ones that a snapshot of its own names."""
    home = qemu.daemon.home
    disk, base = home / "disk.img", home / "base.qcow2"
    with disk.open("wb") as stream:
        stream.write(os.urandom(2 * 2**20))
        stream.truncate(16 * 2**20)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), "8M"], check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", str(base)], check=True, capture_output=True)
    for path in (disk, base):
        path.chmod(0o666)
    devices = "".join(
        f"<disk type='file'><driver type='{kind}'/><source file='{path}'/><target dev='{target}' bus='ide'/></disk>"
        for kind, path, target in (("raw", disk, "hda"), ("qcow2", base, "hdb"))
    )
    domain = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "stubborn", devices))
    assert qemu.hypervisor.disk_usage(A) is None
    domain.create()
    usage = qemu.hypervisor.disk_usage(A)
    assert usage is not None and usage.capacity == 24 * 2**20
    assert 3 * 2**20 <= usage.allocated < 4 * 2**20
    layer = "<disk name='hdb' snapshot='external'><source file='{}'/></disk>"
    for name, flags in (("top", 0), ("higher", libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA)):
        layers = layer.format(home / f"{name}.qcow2")
        xml = f"<domainsnapshot><name>{name}</name><disks><disk name='hda' snapshot='no'/>{layers}</disks></domainsnapshot>"
        domain.snapshotCreateXML(xml, flags | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    layered = qemu.hypervisor.disk_usage(A)
    assert layered is not None and layered.capacity == 24 * 2**20
    assert usage.allocated <= layered.allocated < usage.allocated + 2**20
    domain.destroy()
    for snapshot in domain.listAllSnapshots():
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def test_pause(powered: Bench) -> None:
    """It stands still; what does already, or is off, is left alone."""
    powered.define(A, "a")
    powered.hypervisor.pause(A)
    powered.hypervisor.start(A)
    for _time in range(2):
        powered.hypervisor.pause(A)
        found = powered.hypervisor.domain(A)
        assert found is not None and found.power_state == "paused"


def test_a_qemu_that_hangs(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it without limit."""
    monkeypatch.setattr(limited, "ANSWER_LIMIT", 0.5)
    qemu.define(A, "a", running=True)
    (pid,) = qemu.daemon.pids("a")
    os.kill(pid, signal.SIGSTOP)
    try:
        for call in (qemu.hypervisor.disk_usage, qemu.hypervisor.pause):
            with pytest.raises(EffectError) as caught:
                call(A)  # type: ignore[operator]
            assert "did not answer" in caught.value.message
    finally:
        os.kill(pid, signal.SIGCONT)
