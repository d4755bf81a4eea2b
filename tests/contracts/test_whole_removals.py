"""Sweeps from end to end on libvirt's `test` driver, with real files and the real store; only the host is made up."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.images import identity
from vm_lifecycle.adapters.libvirt import deletion, redefinition
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.disks import VolumeVerdict
from vm_lifecycle.errors import EffectError
from vm_lifecycle.policy import storage as policy
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks import cleanup

from tests.fakes.build import NOW, build, declaration, uuid_of
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

from .conftest import LibvirtBench

#: A header that can't be read, as a guest can write it into a raw disk of its own.
BROKEN = b"QFI\xfb" + b"\xff" * 4096
EXPIRED = {"mode": "temporary", "ttl_hours": 4}


def qcow2(backing: str) -> bytes:
    """A header that names a file below."""
    fields = struct.pack(">IQIIQIIQQIIQ", 2, 72, len(backing), 16, 1 << 20, 0, 1, 0, 0, 0, 0, 0)
    return ((b"QFI\xfb" + fields[:68]).ljust(72, b"\0") + backing.encode()).ljust(65536, b"\0")


def disk(path: Path, kind: str = "qcow2", target: str = "vda") -> str:
    driver = f"<driver name='qemu' type='{kind}'/>"
    return f"<disk type='file'>{driver}<source file='{path}'/><target dev='{target}'/></disk>"


def volume_disk(name: str, target: str = "vda") -> str:
    return f"<disk type='volume'><source pool='bench' volume='{name}'/><target dev='{target}'/></disk>"


class Bed:
    """A host whose VMs expired an hour ago."""

    def __init__(self, place: Path, **policy: Any) -> None:
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        (place / "pool").mkdir()
        self.pool, self.bench = place / "pool", LibvirtBench(place / "pool")
        self.machine = Machine(build({"configuration": {"cleanup": {"cleanup_in_window_only": False, **policy}}}))
        self.world = World(self.bench.hypervisor, SqliteStore(place / "state"), FakeHost(self.machine))
        self.refused = 0
        real = self.bench.hypervisor.delete_volume

        def delete(verdict: VolumeVerdict) -> None:
            if self.refused:
                self.refused -= 1
                raise EffectError("effect_failed", "busy")
            real(verdict)
            Path(verdict.path).unlink(missing_ok=True)  # the driver forgets a volume, and leaves its file

        self.bench.hypervisor.delete_volume = delete  # type: ignore[method-assign]

    def vm(self, number: int, name: str, devices: str, system: str = "") -> str:
        uuid, names = uuid_of(number), f"<name>{name}</name><uuid>{uuid_of(number)}</uuid>"
        parts = f"<memory>8192</memory><os><type>hvm</type>{system}</os><devices>{devices}</devices>"
        self.bench.connection.defineXML(f"<domain type='test'>{names}{parts}</domain>")
        self.bench.hypervisor.write_metadata(uuid, json.dumps(declaration(uuid, EXPIRED, NOW)))
        return uuid

    def volume(self, name: str, content: bytes = b"\0" * 4096) -> Path:
        path = self.pool / name
        target = f"<target><path>{path}</path></target>"
        self.bench.connection.storagePoolLookupByName("bench").createXML(
            f"<volume><name>{name}</name><capacity>1</capacity>{target}</volume>"
        )
        path.write_bytes(content)
        return path

    def lose(self, name: str) -> None:
        """A person deletes a volume."""
        self.bench.connection.storagePoolLookupByName("bench").storageVolLookupByName(name).delete(0)
        (self.pool / name).unlink(missing_ok=True)

    def sweep(self, times: int = 1, **arguments: Any) -> dict[str, str]:
        """Reasons by name, as the last of so many sweeps said them."""
        for _each in range(times):
            self.machine.advance(1)
            result = run(cleanup.TASK, arguments, self.world)
        return {row["name"]: row["reason"] for row in result["vms"]}

    def names(self) -> list[str]:
        return sorted(domain.name() for domain in self.bench.connection.listAllDomains())

    def files(self) -> list[str]:
        return sorted(path.name for path in self.pool.iterdir())


def test_a_guests_own_header_holds_up_nothing(tmp_path: Path) -> None:
    """Once the VM is undefined, only the record of its removal says that the disk is raw."""
    bed = Bed(tmp_path)
    bed.vm(1, "evil", disk(bed.volume("evil", BROKEN), "raw"))
    bed.vm(2, "other", disk(bed.volume("other")))
    bed.sweep()
    bed.refused = 1
    bed.sweep()
    assert bed.world.store.intents() and bed.files() == ["evil"], "another VM goes while evil's disk is left"
    bed.sweep()
    assert (bed.names(), bed.files(), bed.world.store.intents()) == ([], [], [])


def test_a_guests_own_header_holds_up_no_purge(tmp_path: Path) -> None:
    bed = Bed(tmp_path, undo_hours=1)
    bed.vm(1, "evil", disk(bed.volume("evil", BROKEN), "raw"))
    bed.sweep(2)
    assert bed.files() == ["evil"]
    bed.machine.advance(7200)
    bed.sweep()
    assert (bed.files(), bed.world.store.intents(), bed.world.store.undo_records()) == ([], [], [])


def test_a_guests_own_header_keeps_no_others_disk(tmp_path: Path) -> None:
    """It names another VM's disk as the file below, whose last look comes while its own disk is left."""
    bed = Bed(tmp_path)
    victim = bed.volume("victim")
    bed.vm(1, "evil", disk(bed.volume("evil", qcow2(str(victim))), "raw"))
    bed.vm(2, "victim", disk(victim))
    bed.sweep()
    bed.refused = 1
    bed.sweep()
    assert bed.files() in (["evil"], ["victim"])
    bed.sweep()
    assert bed.files() == []


def test_a_disk_that_is_no_more_what_was_judged_is_read(tmp_path: Path) -> None:
    """Under the name of a raw disk that is being removed, somebody puts an overlay of the victim's disk."""
    bed = Bed(tmp_path)
    victim, evil = bed.volume("victim"), bed.volume("evil", qcow2(str(bed.pool / "victim")))
    leaving = VolumeVerdict(str(evil), True, "only_user", "bench", "evil", identity=identity(str(evil)), raw=True)

    def below(*disks: VolumeVerdict) -> list[str]:
        volumes = bed.bench.hypervisor.storage((), disks).volumes
        return [path for volume in volumes for path, _identity in volume.image.chain]

    assert below() == below(replace(leaving, raw=False)) == below(replace(leaving, identity=None)) == [str(victim)]
    assert below(leaving) == []
    evil.write_bytes(evil.read_bytes() + b"\0")
    assert below(leaving) == [str(victim)]
    assert below(replace(leaving, identity=identity(str(evil)))) == []


def test_a_volume_of_which_nobody_knows_the_place(tmp_path: Path) -> None:
    """Its pool does not have it: it is gone, or the pool is another one by now, and then a file elsewhere may be meant."""
    bed = Bed(tmp_path)
    root = bed.volume("root")
    bed.volume("data")
    uuid = bed.vm(1, "ci", disk(root) + volume_disk("data", "vdb"))
    bed.lose("data")
    assert bed.sweep(3) == {"ci": "storage_problem"}
    assert (bed.names(), bed.files()) == (["ci"], ["root"])
    bed.bench.connection.lookupByUUIDString(uuid).undefine()
    bed.vm(1, "ci", disk(root))
    bed.sweep(2)
    assert (bed.names(), bed.files()) == ([], [])


@pytest.mark.parametrize("removed", [False, True])
def test_a_pool_that_is_another_one_by_now(removed: bool, tmp_path: Path) -> None:
    """A volume of its name is meant by a definition, or by a removed VM; the file is in the directory that it had, for another VM due."""
    bed = Bed(tmp_path, undo_hours=24 if removed else 0)
    meant = bed.volume("v")
    first = bed.vm(1, "first", volume_disk("v"))
    if removed:
        bed.sweep(2)
    else:
        bed.bench.hypervisor.write_metadata(first, None)
    pool, place = bed.bench.connection.storagePoolLookupByName("bench"), tmp_path / "new"
    place.mkdir()
    (place / "other").touch()  # an empty directory would be taken for one that is not mounted
    pool.destroy()
    pool.undefine()
    for name, path in (("bench", place), ("old", bed.pool)):
        xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
        bed.bench.connection.storagePoolDefineXML(xml).create()
    bed.machine.state["configuration"]["cleanup"]["undo_hours"] = 0  # its own undo would keep the file, too
    known = f"<volume><name>v</name><capacity>1</capacity><target><path>{meant}</path></target></volume>"
    bed.bench.connection.storagePoolLookupByName("old").createXML(known)  # this driver does not look for files
    bed.vm(2, "second", disk(meant))
    bed.sweep(3)
    assert (bed.names(), bed.files()) == ([] if removed else ["first", "second"], ["v"])


def test_a_volume_that_goes_during_an_undo_holds_up_nothing(tmp_path: Path) -> None:
    """A person makes room: neither other VMs nor the end of that undo wait for it."""
    bed = Bed(tmp_path, undo_hours=24)
    bed.volume("ci")
    bed.vm(1, "ci", volume_disk("ci"))
    bed.sweep(2)
    bed.lose("ci")
    bed.vm(2, "other", disk(bed.volume("other")))
    assert bed.sweep(2) == {"other": "expired"}
    bed.machine.advance(25 * 3600)
    bed.sweep(2)
    assert (bed.files(), bed.world.store.undo_records()) == ([], [])


def test_a_pool_that_goes_during_an_undo_holds_up_nothing(tmp_path: Path) -> None:
    """Where its volumes were, the record says itself."""
    bed = Bed(tmp_path, undo_hours=24)
    bed.volume("ci")
    bed.vm(1, "ci", volume_disk("ci"))
    bed.sweep(2)
    pool = bed.bench.connection.storagePoolLookupByName("bench")
    pool.destroy()
    pool.undefine()
    bed.vm(2, "other", "")
    assert bed.sweep(2) == {"other": "pools_lost"}
    assert bed.sweep(name="other") == {"other": "expired"}, "it was named"


UNREADABLE = ("listAllSnapshots", "managedSaveGetXMLDesc")


@pytest.mark.parametrize("call", UNREADABLE)
def test_a_vm_that_can_not_be_read_waits(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of its disks then: undefined, it would leave them to nobody."""

    def refuse(*_arguments: Any) -> Any:
        raise libvirt.libvirtError("can't be read")

    bed = Bed(tmp_path)
    uuid = bed.vm(1, "ci", disk(bed.volume("root")))
    bed.sweep()
    domain = bed.bench.connection.lookupByUUIDString(uuid)
    domain.create()
    domain.managedSave()
    with monkeypatch.context() as patched:
        patched.setattr(libvirt.virDomain, call, refuse)
        assert bed.sweep(2) == {"ci": "storage_problem"}
        assert (bed.names(), bed.files()) == (["ci"], ["root"])
    domain.managedSaveRemove()  # this driver can't read what it saved
    assert bed.sweep() == {"ci": "expired"}
    assert (bed.names(), bed.files()) == ([], [])


@pytest.mark.parametrize("inside", [False, True])
def test_nvram_below_a_linked_directory(inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt's directory may be a link to a larger disk. inside: a link below it, which QEMU could have made, is not followed."""
    (tmp_path / "data" / "elsewhere").mkdir(parents=True)
    (tmp_path / "libvirt").symlink_to(tmp_path / "data")
    if inside:
        (tmp_path / "data" / "nvram").symlink_to(tmp_path / "data" / "elsewhere")
    else:
        (tmp_path / "data" / "nvram").mkdir()
    monkeypatch.setattr(policy, "NVRAM_DIRECTORY", f"{tmp_path}/libvirt/nvram/")
    monkeypatch.setattr(deletion, "LIBRARY", f"{tmp_path}/libvirt")
    monkeypatch.setattr(redefinition, "has_nvram", lambda _xml: False)  # this driver knows no flags for it
    bed = Bed(tmp_path, undo_hours=1)
    variables = tmp_path / "libvirt" / "nvram" / "ci_VARS.fd"
    variables.write_bytes(b"\0" * 4096)
    loader = "<loader readonly='yes' type='pflash'>/usr/share/none.fd</loader>"
    bed.vm(1, "ci", "", f"{loader}<nvram>{variables}</nvram>")
    bed.sweep(2)
    assert bed.names() == [] and variables.exists()
    bed.machine.advance(7200)
    bed.sweep()
    assert variables.exists() is inside
