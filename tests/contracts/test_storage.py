"""What a look at real files, pools and snapshots finds, and what a deletion refuses: libvirt's test driver, qemu-img and sysfs."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from vm_lifecycle.adapters import open_files
from vm_lifecycle.adapters.images import Images, identity
from vm_lifecycle.adapters.libvirt.pools import Pools
from vm_lifecycle.disks import Attachment, Image, Storage, VolumeVerdict
from vm_lifecycle.errors import EffectError
from vm_lifecycle.policy.storage import Usage, verdicts

from .conftest import LibvirtBench

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LibvirtBench]:
    """libvirt's test driver, and a pool below a directory of its own."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    directory = tmp_path / "pool"
    directory.mkdir()
    made = LibvirtBench(directory)
    yield made
    made.hypervisor.close()  # type: ignore[attr-defined]


def create(path: Path, backing: Path | None = None) -> Path:
    """qemu-img create."""
    below = ["-u", "-F", "qcow2", "-b", str(backing)] if backing else []
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *below, str(path), "1M"], check=True, capture_output=True
    )
    return path


def domain(own: LibvirtBench, devices: str, uuid: str = A, name: str = "a") -> libvirt.virDomain:
    """A VM with these devices."""
    return own.connection.defineXML(
        f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory>8192</memory>"
        f"<os><type>hvm</type></os><devices>{devices}</devices></domain>"
    )


def disk(path: Path | str, device: str = "disk", target: str = "vda", more: str = "") -> str:
    """A disk's XML."""
    source = f"<source file='{path}'/>"
    return f"<disk type='file' device='{device}'><driver type='qcow2'/>{source}<target dev='{target}'/>{more}</disk>"


def judge(own: LibvirtBench, uuid: str = A, unpooled: bool = False) -> dict[str, str]:
    """Reasons by the names of files."""
    found = verdicts(uuid, Usage(own.hypervisor.storage()), unpooled)
    return {Path(verdict.path).name: verdict.reason for verdict in found}


def redefine(handle: libvirt.virDomain, disks: dict[str, Path], kept: Path) -> None:
    """A snapshot as libvirt describes an external one that it made."""
    overlays = "".join(
        f"<disk name='{target}' snapshot='external' type='file'><driver type='qcow2'/><source file='{path}'/></disk>"
        for target, path in disks.items()
    )
    inner = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace(str(next(iter(disks.values()))), str(kept))
    handle.snapshotCreateXML(
        f"<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime>"
        f"<memory snapshot='no'/><disks>{overlays}</disks>{inner}</domainsnapshot>",
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE,
    )


def test_external_snapshots(own: LibvirtBench) -> None:
    """What a VM's own snapshot names goes with it, overlay first; a template below stays, and so does what others use."""
    template = create(own.directory / "template")
    base = create(own.directory / "base", template)
    over = create(own.directory / "over", base)
    handle = domain(own, disk(over))
    assert judge(own) == {"over": "only_user", "base": "backing_file", "template": "backing_file"}
    redefine(handle, {"vda": over}, base)
    found = verdicts(A, Usage(own.hypervisor.storage()))
    assert [(Path(each.path).name, each.remove) for each in found if each.remove] == [("over", True), ("base", True)]
    assert judge(own)["template"] == "backing_file"
    domain(own, disk(base), B, "b")
    assert judge(own) == {"over": "only_user", "base": "in_use", "template": "backing_file"}
    assert judge(own, B)["base"] == "in_snapshot"


def test_a_snapshot_that_names_another_vms_disk(own: LibvirtBench) -> None:
    """Whoever may define snapshots can't have another VM's disk deleted by it."""
    mine, victim = create(own.directory / "mine"), create(own.directory / "victim")
    domain(own, disk(victim), B, "b")
    redefine(domain(own, disk(mine)), {"vda": mine}, victim)
    assert judge(own) == {"mine": "only_user", "victim": "in_use"}


def iso(path: Path, label: bytes, begin: bytes = b"\1CD001\1") -> Path:
    """The start of a medium: its primary volume descriptor."""
    path.write_bytes(bytes(16 * 2048) + begin.ljust(40, b"\0") + label.ljust(32) + bytes(2048))
    return path


@pytest.mark.parametrize(
    ("label", "begin", "reason"),
    [
        (b"cidata", b"\1CD001\1", "only_user"),
        (b"CIDATA", b"\1CD001\1", "only_user"),
        (b"config-2", b"\1CD001\1", "only_user"),
        (b"cidata\0\0", b"\1CD001\1", "only_user"),
        (b"cidata2", b"\1CD001\1", "removable_medium"),
        (b" cidata", b"\1CD001\1", "removable_medium"),
        (b"", b"\1CD001\1", "removable_medium"),
        (b"cidata", b"\2CD001\1", "removable_medium"),
        (b"cidata", b"\1BEA01\1", "removable_medium"),
    ],
)
def test_seed_media(own: LibvirtBench, label: bytes, begin: bytes, reason: str) -> None:
    """By the label of ISO 9660."""
    path = iso(own.directory / "a-seed.iso", label, begin)
    domain(own, disk(path, "cdrom", "sda"))
    assert judge(own) == {"a-seed.iso": reason}


@pytest.mark.parametrize("size", [0, 100, 16 * 2048, 16 * 2048 + 50])
def test_media_that_end_early(own: LibvirtBench, size: int) -> None:
    """They are of no known kind."""
    path = iso(own.directory / "a-seed.iso", b"cidata")
    os.truncate(path, size)
    domain(own, disk(path, "cdrom", "sda"))
    assert judge(own) == {"a-seed.iso": "removable_medium"}


# Files of no pool.


def test_files_of_no_pool(own: LibvirtBench, tmp_path: Path) -> None:
    """Plain files by their real path alone; with the option alone."""
    plain, folder, linked = tmp_path / "plain", own.directory / "folder", tmp_path / "linked"
    folder.mkdir()
    create(plain)
    create(folder / "below")
    (tmp_path / "real").mkdir()
    create(tmp_path / "real" / "far")
    linked.symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to(create(tmp_path / "target"))
    (tmp_path / "into").symlink_to(create(own.directory / "pooled"))
    paths = [plain, folder / "below", linked / "far", tmp_path / "link", tmp_path / "into"]
    domain(own, "".join(disk(path, target=f"vd{number}") for number, path in zip("abcde", paths, strict=True)))
    told = judge(own, unpooled=True)
    assert told == {
        "plain": "only_user", "below": "not_in_pool", "far": "symlink", "link": "symlink", "pooled": "only_user",
    }  # fmt: skip
    assert judge(own) == {name: "only_user" if name == "pooled" else "not_in_pool" for name in told}


def test_a_file_of_a_pool_that_is_not_active(own: LibvirtBench) -> None:
    """It is no file of no pool."""
    create(own.directory / "x")
    domain(own, disk(own.directory / "x"))
    own.connection.storagePoolLookupByName("bench").destroy()
    assert judge(own, unpooled=True) == {"x": "pool_inactive"}


def test_a_file_below_a_pool_of_devices(own: LibvirtBench, tmp_path: Path) -> None:
    """A pool that shows no files has a directory, too, and what lies there is its owner's."""
    place = tmp_path / "devices"
    place.mkdir()
    domain(own, disk(create(place / "x")))
    assert judge(own, unpooled=True) == {"x": "only_user"}
    xml = f"<pool type='disk'><name>d</name><source><device path='/dev/x'/></source><target><path>{place}</path></target></pool>"
    own.connection.storagePoolDefineXML(xml, 0)
    assert judge(own, unpooled=True) == {"x": "not_in_pool"}


def test_a_share_above_a_file_of_no_pool(own: LibvirtBench, tmp_path: Path) -> None:
    """Given by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    domain(own, disk(create(tmp_path / "real" / "x")))
    domain(own, f"<filesystem type='mount'><source dir='{tmp_path}/link'/><target dir='t'/></filesystem>", B, "b")
    assert judge(own, unpooled=True) == {"x": "in_shared_directory"}


def gone(own: LibvirtBench, tmp_path: Path) -> tuple[Path, VolumeVerdict]:
    """A file of no pool whose VM is undefined."""
    path = create(tmp_path / "plain")
    domain(own, disk(path))
    (found,) = verdicts(A, Usage(own.hypervisor.storage()), unpooled=True)
    own.hypervisor.undefine(A, False)
    return path, found


def refused(own: LibvirtBench, volume: VolumeVerdict) -> str:
    """The code with which a deletion is refused."""
    with pytest.raises(EffectError) as caught:
        own.hypervisor.delete_volume(volume)
    return caught.value.code


def test_what_took_its_place_stays(own: LibvirtBench, tmp_path: Path) -> None:
    """A symbolic link to the very file, a directory, a pipe; a directory on the way that became a link."""
    path, found = gone(own, tmp_path)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert refused(own, found) == "changed_meanwhile"
    path.unlink()
    path.mkdir()
    assert refused(own, found) == "changed_meanwhile"
    path.rmdir()
    os.mkfifo(path)
    assert refused(own, found) == "changed_meanwhile"
    path.unlink()
    (tmp_path / "way").symlink_to(tmp_path)
    (tmp_path / "moved").rename(path)
    assert refused(own, replace(found, path=str(tmp_path / "way" / "plain"))) == "changed_meanwhile"
    for odd in ("plain", "", "/", str(tmp_path) + "/", str(tmp_path / "pool" / ".." / "plain")):
        assert refused(own, replace(found, path=odd)) == "changed_meanwhile"
    assert path.exists()


def test_a_file_of_no_pool_that_is_open(own: LibvirtBench, tmp_path: Path) -> None:
    """QEMU locks its images."""
    path, found = gone(own, tmp_path)
    with path.open("rb") as stream:
        fcntl.fcntl(stream, 37, struct.pack(open_files.FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0))  # F_OFD_SETLK
        assert refused(own, found) == "open_elsewhere"
    own.hypervisor.delete_volume(found)
    assert not path.exists()


def test_a_file_system_that_is_not_mounted(own: LibvirtBench, tmp_path: Path) -> None:
    """An empty directory on another device than the file's proves nothing; one with other files in it does."""
    (tmp_path / "mount").mkdir()
    path, found = gone(own, tmp_path / "mount")
    assert found.identity is not None
    elsewhere = replace(found, identity=replace(found.identity, device=found.identity.device + 1))
    path.unlink()
    assert refused(own, elsewhere) == "effect_failed"
    own.hypervisor.delete_volume(found)
    (path.parent / "other").touch()
    own.hypervisor.delete_volume(elsewhere)
    (path.parent / "other").unlink()
    path.parent.rmdir()
    own.hypervisor.delete_volume(found)


def test_a_raw_neighbour_says_nothing(own: LibvirtBench, tmp_path: Path) -> None:
    """A guest that writes a damaged header into its raw disk keeps no other VM's file."""
    path, found = gone(own, tmp_path)
    broken = tmp_path / "broken"
    broken.write_bytes(b"QFI\xfb" + b"\xff" * 100)
    assert refused(own, found) == "changed_meanwhile"
    domain(own, disk(broken).replace("qcow2", "raw"), B, "b")
    own.hypervisor.storage()
    own.hypervisor.delete_volume(found)
    assert not path.exists()


def test_a_device_node_in_a_pool(own: LibvirtBench) -> None:
    """Deleting would unlink it."""
    node = own.directory / "node"
    os.mknod(node, 0o600 | 0o060000, os.makedev(7, 250))
    domain(own, f"<disk type='block'><source dev='{node}'/><target dev='vda'/></disk>")
    assert judge(own, unpooled=True) == {"node": "unsupported_kind"}
    volume = VolumeVerdict(str(node), True, "only_user", "bench", "node", identity=identity(str(node)))
    assert refused(own, volume) == "changed_meanwhile"
    assert refused(own, replace(volume, pool="", name="")) == "changed_meanwhile"


def test_names_that_leave_the_pool(own: LibvirtBench, tmp_path: Path) -> None:
    """A volume is a name in its pool's own directory."""
    outside = create(tmp_path / "outside")
    volume = VolumeVerdict(str(outside), True, "only_user", "bench", "../outside", identity=identity(str(outside)))
    assert refused(own, volume) == "changed_meanwhile"
    assert refused(own, replace(volume, name=str(outside))) == "changed_meanwhile"
    assert outside.exists()


def test_a_share_by_another_name(own: LibvirtBench, tmp_path: Path) -> None:
    """A VM is given the real directory of a pool that libvirt knows by a link, or one above it; or QEMU makes a disk of it."""
    pool = own.connection.storagePoolLookupByName("bench")
    link = tmp_path / "link"
    link.symlink_to(own.directory)
    pool.destroy()
    pool.undefine()
    xml = f"<pool type='dir'><name>bench</name><target><path>{link}</path></target></pool>"
    own.connection.storagePoolDefineXML(xml, 0).create(0)
    create(own.directory / "x")
    domain(own, disk(link / "x"))
    assert judge(own) == {"x": "only_user"}
    for given in (own.directory, tmp_path, link):
        share = f"<filesystem type='mount'><source dir='{given}'/><target dir='t'/></filesystem>"
        fat = f"<disk type='dir'><source dir='{given}'/><target dev='vda'/></disk>"
        for devices in (share, fat):
            domain(own, devices, B, "b")
            assert judge(own) == {"x": "in_shared_directory"}
    domain(own, "<filesystem type='mount'><source dir='/elsewhere'/><target dir='t'/></filesystem>", B, "b")
    assert judge(own) == {"x": "only_user"}


# Network file systems, volume groups: as the kernel tells of them.


MOUNTS = """1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:50 / /mnt/with\\040space rw - nfs4 h:/x rw
3 1 0:51 / /mnt/s3 rw - fuse.s3fs s3 rw
4 1 8:2 / /mnt/ntfs rw - fuseblk /dev/sdb rw
5 2 8:3 / /mnt/with\\040space/local rw - xfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/srv", False),
        ("/mnt/with space/images", True),
        ("/mnt/with space/local/images", False),
        ("/mnt/with space2", False),
        ("/mnt/s3", True),
        ("/mnt/ntfs", False),
    ],
)
def test_network_file_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory: str, expected: bool) -> None:
    """What other hosts may mount, and what runs in user space and may be anything."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(open_files, "MOUNTS", tmp_path / "mountinfo")
    assert open_files.on_network(directory) is expected


def test_a_pool_on_a_network_file_system(own: LibvirtBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of type dir, too; and files of no pool."""
    pooled, plain = create(own.directory / "pooled"), create(tmp_path / "plain")
    domain(own, disk(pooled) + disk(plain, target="vdb"))
    (tmp_path / "mountinfo").write_text(f"1 0 0:9 / {tmp_path} rw - nfs4 h:/x rw\n")
    monkeypatch.setattr(open_files, "MOUNTS", tmp_path / "mountinfo")
    assert judge(own, unpooled=True) == {"pooled": "network_storage", "plain": "network_storage"}


GROUP, LV = "V" * 32, "abcdef-0123-4567-89ab-cdef-0123-456789"
UUID = f"LVM-{GROUP}{LV.replace('-', '')}"


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(a block device that nothing drives, what the kernel would tell of it if it were a logical volume)."""
    node = tmp_path / "lv"
    os.mknod(node, 0o600 | 0o060000, os.makedev(250, 77))
    told = tmp_path / "sys" / "250:77"
    for name in ("holders", "slaves", "dm"):
        (told / name).mkdir(parents=True)
    (told / "dm" / "uuid").write_text(UUID + "\n")
    monkeypatch.setattr(open_files, "BLOCK_DEVICES", tmp_path / "sys")
    return node, told


def below(told: Path, name: str, uuid: str | None) -> None:
    """A device that the logical volume is made of."""
    (told / "slaves" / name).mkdir()
    if uuid is not None:
        (told / "slaves" / name / "dm").mkdir()
        (told / "slaves" / name / "dm" / "uuid").write_text(uuid)


def test_which_logical_volume_it_is(device: tuple[Path, Path]) -> None:
    """By the UUID of its device mapping: the group's, then its own without dashes."""
    node, told = device
    assert open_files.is_logical_volume(str(node), LV)
    assert not open_files.is_logical_volume(str(node), LV[:-1] + "x")
    assert not open_files.is_logical_volume(str(node), "")
    for other in (UUID + "-real", UUID[1:], "CRYPT-LUKS2-x", UUID.lower(), ""):
        (told / "dm" / "uuid").write_text(other)
        assert not open_files.is_logical_volume(str(node), LV)
    (told / "dm" / "uuid").unlink()
    assert not open_files.is_logical_volume(str(node), LV)


def test_snapshots_of_a_logical_volume(device: tuple[Path, Path]) -> None:
    """Its content lies below it then, in a layer of its own. A snapshot lies above another volume's."""
    node, told = device
    below(told, "sda1", None)
    below(told, "dm-1", f"LVM-{GROUP}{'x' * 32}-real")
    below(told, "dm-2", f"{UUID}-cow")
    assert not open_files.has_snapshots(str(node))
    below(told, "dm-3", f"{UUID}-real")
    assert open_files.has_snapshots(str(node))


def test_a_logical_volume_that_the_kernel_uses(device: tuple[Path, Path]) -> None:
    """Another device is built on it; or it can't be asked."""
    node, told = device
    with pytest.raises(OSError, match="lv"):
        open_files.is_claimed(str(node))  # nothing drives it, so it can't be opened
    (told / "holders" / "dm-9").touch()
    assert open_files.is_claimed(str(node))
    plain = node.parent / "plain"
    plain.touch()
    with pytest.raises(OSError, match="plain"):
        open_files.is_claimed(str(plain))


class Volume:
    """A volume as libvirt's driver for volume groups describes it; there is no device mapper to ask."""

    def __init__(self, name: str, path: Path, origin: str = "") -> None:
        self._name, self._path, self._origin = name, path, origin

    def name(self) -> str:
        return self._name

    def path(self) -> str:
        return str(self._path)

    def key(self) -> str:
        return LV

    def XMLDesc(self) -> str:
        below_it = f"<backingStore><path>{self._origin}</path></backingStore>" if self._origin else ""
        return f"<volume type='block'><name>{self._name}</name>{below_it}</volume>"


class Pool:
    """A volume group's pool."""

    def __init__(self, *volumes: Volume) -> None:
        self._volumes = volumes

    def XMLDesc(self) -> str:
        return "<pool type='logical'><target><path>/dev/vg</path></target></pool>"

    def listAllVolumes(self) -> list[Volume]:
        return list(self._volumes)


def test_a_volume_group(device: tuple[Path, Path]) -> None:
    """A volume with its UUID, and its snapshots on it: those that libvirt knows, and those that the kernel knows alone."""
    node, told = device
    raw = {(-1, os.stat(node).st_rdev)}  # else its content would be read, and nothing drives it
    pools = Pools(Images(), raw, [])
    (found,) = pools.volumes(Pool(Volume("a", node)), "vg", True)
    assert (found.pool_type, found.name, found.symlink) == ("logical", "a", False)
    assert found.image.identity is not None
    assert (found.image.identity.device, found.image.identity.serial) == (-1, LV)
    use = Attachment(A, "a", "disk", Image("/dev/mapper/x", replace(found.image.identity, serial="")), "vda", "block")

    def reasons(*volumes: Volume) -> list[tuple[str, tuple[str, ...]]]:
        seen = Storage(tuple(pools.volumes(Pool(*volumes), "vg", True)), (use,), ("vg",))
        return [(verdict.reason, verdict.used_by) for verdict in verdicts(A, Usage(seen)) if verdict.name == "a"]

    assert reasons(Volume("a", node)) == [("only_user", ())]
    assert reasons(Volume("a", node), Volume("s", Path("/dev/vg/s"), str(node))) == [("backing_file", ("s",))]
    below(told, "dm-3", f"{UUID}-real")
    assert reasons(Volume("a", node)) == [("backing_file", ("a (snapshots)",))]
