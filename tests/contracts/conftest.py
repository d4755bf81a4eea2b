"""A hypervisor to test against: the fake, libvirt's own `test` driver in this process, or QEMU by a daemon of the tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import libvirt
import pytest
from vm_lifecycle.adapters.libvirt.hypervisor import LibvirtHypervisor, connect
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.ports import Hypervisor, Store

from tests.fakes.build import build, domain_of
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.store import MemoryStore
from tests.fakes.world import Machine

from .real_qemu import Daemon


class Bench:
    """A hypervisor and the verbs that a person has beside it. directory is the directory of an active pool `bench`."""

    def __init__(self, hypervisor: Hypervisor, directory: Path) -> None:
        self.hypervisor = hypervisor
        self.directory = directory

    def define(self, uuid: str, name: str, disks: list[str] | None = None, running: bool = False) -> None:
        """A persistent domain with disks at paths."""
        raise NotImplementedError

    def define_on(self, uuid: str, name: str, networks: list[str]) -> None:
        """A persistent domain with interfaces on networks."""
        raise NotImplementedError

    def network(self, name: str, active: bool, autostart: bool) -> None:
        """A network of the host."""
        raise NotImplementedError

    def create(self, uuid: str, name: str) -> None:
        """A transient domain, which runs."""
        raise NotImplementedError

    def file(self, name: str) -> str:
        """A file in the pool's directory, or, by an absolute path, anywhere; returns its path."""
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        raise NotImplementedError


class FakeBench(Bench):
    """On a Machine."""

    def __init__(self, directory: Path) -> None:
        self.machine = Machine(build({"pools": [{"name": "bench", "path": str(directory)}]}))
        super().__init__(FakeHypervisor(self.machine), directory)

    def define(self, uuid: str, name: str, disks: list[str] | None = None, running: bool = False) -> None:
        uses = [{"path": path, "absent": True} for path in disks or []]
        state = "running" if running else "shutoff"
        given = {"uuid": uuid, "name": name, "files": uses, "state": state}
        self.machine.state["domains"].append(domain_of(self.machine.state, given))

    def define_on(self, uuid: str, name: str, networks: list[str]) -> None:
        self.define(uuid, name)
        self.machine.named(name)["needs"] = networks

    def network(self, name: str, active: bool, autostart: bool) -> None:
        self.machine.state["networks"].append({"name": name, "active": active, "autostart": autostart})

    def create(self, uuid: str, name: str) -> None:
        self.define(uuid, name, running=True)
        self.machine.named(name)["persistent"] = False

    def file(self, name: str) -> str:
        from tests.fakes.build import file_of

        path = str(self.directory / name)
        self.machine.state["files"][path] = file_of(self.machine.state, {"inode": self.machine.new_inode()})
        return path

    def exists(self, path: str) -> bool:
        return path in self.machine.state["files"]


#: What a domain that is undefined takes along.
EVERYTHING = libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE


class LibvirtBench(Bench):
    """On test:///default, emptied: its state is the process's, and lives as long as any handle of it."""

    def __init__(self, directory: Path) -> None:
        self.connection = libvirt.open("test:///default")
        # A handle that an error of an earlier test still refers to keeps that test's state alive.
        for domain in self.connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            if domain.UUIDString() in {each.UUIDString() for each in self.connection.listAllDomains()}:
                domain.undefineFlags(EVERYTHING)
        for pool in self.connection.listAllStoragePools():
            if pool.isActive():
                pool.destroy()
            pool.undefine()
        for network in self.connection.listAllNetworks():
            if network.isActive():
                network.destroy()
            network.undefine()
        pool = self.connection.storagePoolDefineXML(
            f"<pool type='dir'><name>bench</name><target><path>{escape(str(directory))}</path></target></pool>", 0
        )
        pool.create(0)
        super().__init__(LibvirtHypervisor(self.connection), directory)

    def xml(self, uuid: str, name: str, disks: list[str] | None = None, devices: str = "") -> str:
        """A definition with disks at paths, and other devices."""
        parts = "".join(
            f"<disk type='file'><source file='{escape(path)}'/><target dev='vd{chr(97 + number)}'/></disk>"
            for number, path in enumerate(disks or [])
        )
        return (
            f"<domain type='test'><name>{escape(name)}</name><uuid>{uuid}</uuid><memory>8192</memory>"
            f"<os><type>hvm</type></os><devices>{parts}{devices}</devices></domain>"
        )

    def define(self, uuid: str, name: str, disks: list[str] | None = None, running: bool = False) -> None:
        domain = self.connection.defineXML(self.xml(uuid, name, disks))
        if running:
            domain.create()

    def define_on(self, uuid: str, name: str, networks: list[str]) -> None:
        interfaces = "".join(f"<interface type='network'><source network='{each}'/></interface>" for each in networks)
        self.connection.defineXML(self.xml(uuid, name, devices=interfaces))

    def network(self, name: str, active: bool, autostart: bool) -> None:
        found = self.connection.networkDefineXML(f"<network><name>{name}</name></network>")
        found.setAutostart(autostart)
        if active:
            found.create()

    def create(self, uuid: str, name: str) -> None:
        self.connection.createXML(self.xml(uuid, name), 0)

    def file(self, name: str) -> str:
        path = self.directory / name
        path.write_text("content")
        return str(path)

    def exists(self, path: str) -> bool:
        return Path(path).exists()


class QemuBench(Bench):
    """On real processes, without networks or disks."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.connection = daemon.open()
        super().__init__(connect(daemon.uri), directory)

    def define(self, uuid: str, name: str, disks: list[str] | None = None, running: bool = False) -> None:
        domain = self.connection.defineXML(self.daemon.xml(uuid, name, "obedient"))
        if running:
            domain.create()

    def create(self, uuid: str, name: str) -> None:
        self.connection.createXML(self.daemon.xml(uuid, name, "obedient"), 0)


Reopen = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the same store again, as the next process does."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "state")
    machine = Machine(build({}))
    return lambda: MemoryStore(machine)


@pytest.fixture(scope="session")
def only_daemon() -> Iterator[Daemon]:
    """One for all tests."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    made = Daemon()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def daemon(only_daemon: Daemon) -> Iterator[Daemon]:
    """libvirt with real QEMU, and without domains. A test under which it dies has failed, and the next one has another."""
    yield only_daemon
    try:
        only_daemon.empty()
    except libvirt.libvirtError:
        only_daemon.start()
        only_daemon.empty()
        raise


@pytest.fixture
def qemu(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QemuBench]:
    """Real processes, a daemon that the test may kill, and the directories that are its user's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(daemon.home / "config"))
    made = QemuBench(daemon, tmp_path)
    yield made
    made.hypervisor.close()  # type: ignore[attr-defined]
    made.connection.close()


@pytest.fixture(params=["fake", "libvirt", "qemu"])
def powered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Without domains."""
    if request.param == "qemu":
        yield request.getfixturevalue("qemu")
        return
    yield from _bench(request.param, tmp_path)


@pytest.fixture(params=["fake", "qemu"])
def memorable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Without domains; their memory is saved in files, which libvirt's `test` driver keeps to itself."""
    if request.param == "qemu":
        yield request.getfixturevalue("qemu")
        return
    yield from _bench(request.param, tmp_path)


@pytest.fixture(params=["fake", "libvirt"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Without domains, and with an empty pool."""
    yield from _bench(request.param, tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LibvirtBench]:
    """libvirt's test driver."""
    for made in _bench("libvirt", tmp_path):
        assert isinstance(made, LibvirtBench)
        yield made


def _bench(kind: str, directory: Path) -> Iterator[Bench]:
    if kind == "fake":
        yield FakeBench(directory)
        return
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    made = LibvirtBench(directory)
    yield made
    made.hypervisor.close()  # type: ignore[attr-defined]
