"""What a domain's XML says of files."""

from __future__ import annotations

from typing import Optional, Set, Tuple

import pytest
from vm_lifecycle.adapters.libvirt.definitions import domain_files, parents_first, qemu_arguments, snapshot_files

XML = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>a</name><metadata><x path='/not/a/use'/></metadata>
  <os><loader readonly='yes'>/fw/code.fd</loader><nvram template='/fw/vars.fd'>/nvram/a.fd</nvram><kernel>/boot/k</kernel></os>
  <devices>
    <disk type='file' device='disk'><driver type='qcow2'/><source file='/pool/a.qcow2'/><target dev='vda'/>
      <backingStore type='file'><source file='/pool/base.qcow2'/></backingStore></disk>
    <disk type='volume' device='cdrom'><source pool='p' volume='v'/><target dev='sda'/><readonly/></disk>
    <filesystem type='mount'><source dir='/share'/></filesystem>
    <memory model='nvdimm'><source><path>/nvdimm/x</path></source></memory>
    <interface type='network'><rom file='/rom/r'/></interface>
  </devices>
  <qemu:commandline>%s</qemu:commandline>
</domain>"""


def path_of(pool: str, volume: str) -> Optional[str]:
    return f"/{pool}/{volume}"


def test_every_mention_is_a_use() -> None:
    """With its role; a template is not the VM's own, and metadata is nobody's disk."""
    found = {(reference.role, reference.path) for reference in domain_files(XML % "", path_of)}
    assert found == {
        ("disk", "/pool/a.qcow2"), ("cdrom", "/p/v"), ("nvram", "/nvram/a.fd"), ("other", "/fw/vars.fd"),
        ("other", "/fw/code.fd"), ("kernel", "/boot/k"), ("share", "/share"), ("other", "/nvdimm/x"), ("other", "/rom/r"),
    }  # fmt: skip
    (disk,) = [reference for reference in domain_files(XML % "", path_of) if reference.role == "disk"]
    assert (disk.image_format, disk.below) == ("qcow2", ("/pool/base.qcow2",))


def test_a_volume_without_a_path_is_doubt() -> None:
    """Its pool does not answer: nobody can say which file it is."""
    with pytest.raises(ValueError, match="volume v of pool p"):
        domain_files(XML % "", lambda _pool, _volume: None)


ARGUMENTS = [
    ("file=/out/o.qcow2,if=virtio", {"/out/o.qcow2"}),
    ("file=/out/my disk.qcow2", {"/out/my disk.qcow2"}),
    ("file=/out/a,,b.qcow2,if=none", {"/out/a,b.qcow2"}),
    ('{"driver":"qcow2","file":{"driver":"file","filename":"/out/x.qcow2"}}', {"/out/x.qcow2"}),
    ('{"filename":"\\/out\\/x.qcow2"}', {"/out/x.qcow2"}),
    ("-enable-fips", set()),
]


@pytest.mark.parametrize(("value", "paths"), ARGUMENTS)
def test_arguments_for_qemu(value: str, paths: Set[str]) -> None:
    """Paths in what is handed to QEMU as it is, in both of its syntaxes."""
    escaped = value.replace('"', "&quot;")
    xml = XML % f"<qemu:arg value='-drive'/><qemu:arg value='{escaped}'/>"
    plain = {reference.path for reference in domain_files(XML % "", path_of)}
    assert {reference.path for reference in domain_files(xml, path_of)} - plain == paths
    for path in paths:
        assert path in qemu_arguments(xml)


SNAPSHOT = """<domainsnapshot><name>s</name><memory snapshot='external' file='/pool/s.mem'/>
  <disks><disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='/pool/a.s'/></disk>
    <disk name='vdb' snapshot='internal'/></disks>
  <domain><os><nvram>/nvram/a.fd</nvram></os><devices>
    <disk type='file' device='disk'><driver type='raw'/><source file='/pool/a'/><target dev='vda'/>
      <backingStore type='file'><source file='/pool/base'/></backingStore></disk>
    <disk type='file' device='disk'><source file='/pool/shared'/><target dev='vdb'/><shareable/></disk>
    <disk type='file' device='cdrom'><source file='/pool/iso'/><target dev='sda'/><readonly/></disk>
    <filesystem type='mount'><source dir='/share'/></filesystem></devices></domain></domainsnapshot>"""


def test_what_a_snapshot_names() -> None:
    """Its disks and its memory have targets, so that they can be judged; what else it mentions has none."""
    found = {reference.path: reference for reference in snapshot_files(SNAPSHOT, path_of)}
    assert {reference.role for reference in found.values()} == {"snapshot"}
    assert {path: reference.target for path, reference in found.items()} == {
        "/pool/a.s": "vda", "/pool/s.mem": "memory", "/pool/a": "vda", "/pool/shared": "vdb",
        "/nvram/a.fd": "", "/pool/iso": "", "/share": "",
    }  # fmt: skip
    assert found["/pool/a"].below == ("/pool/base",)
    assert found["/pool/a"].image_format == "raw"
    assert found["/pool/shared"].shareable
    assert found["/pool/iso"].read_only


KINDS = [
    ("<disk type='network'><source protocol='nbd'><host name='h'/></source><target dev='vda'/></disk>",
     ("network:vda", "network")),
    ("<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vda'/></disk>", ("p/i", "network")),
    ("<disk type='vhostuser'><source type='unix' path='/s'/><target dev='vda'/></disk>", ("vhostuser:vda", "vhostuser")),
    ("<disk type='nvme'><source type='pci' namespace='1'/><target dev='vda'/></disk>", ("nvme:vda", "nvme")),
    ("<disk type='dir'><source dir='/d'/><target dev='vda'/></disk>", ("/d", "dir")),
    ("<disk type='block' device='lun'><source dev='/dev/sdb'/><target dev='sda'/></disk>", ("/dev/sdb", "lun")),
    ("<disk type='file' device='cdrom'><target dev='sda'/></disk>", None),
    ("<disk type='file' device='cdrom'><source startupPolicy='optional'/><target dev='sda'/></disk>", None),
]  # fmt: skip


@pytest.mark.parametrize(("disk", "expected"), KINDS)
def test_kinds_of_disks(disk: str, expected: Optional[Tuple[str, str]]) -> None:
    """A disk without a path is a disk, too; an empty drive is none."""
    found = domain_files(f"<domain><devices>{disk}</devices></domain>", path_of)
    assert [(reference.path, reference.kind) for reference in found] == ([expected] if expected else [])


def test_parents_first() -> None:
    """In whatever order they are listed; a parent that is not among them, or a circle, stops nobody."""

    def xml(name: str, parent: str = "") -> str:
        above = f"<parent><name>{parent}</name></parent>" if parent else ""
        return f"<!-- c --><domainsnapshot><name>{name}</name>{above}</domainsnapshot>"

    a, b, c = xml("a"), xml("b", "a"), xml("c", "b")
    assert parents_first([c, b, a]) == [a, b, c]
    assert parents_first([c, b]) == [b, c]
    assert sorted(parents_first([xml("x", "y"), xml("y", "x")])) == sorted([xml("x", "y"), xml("y", "x")])
    assert parents_first([]) == []
