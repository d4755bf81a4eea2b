"""What a domain's XML says of files."""

from __future__ import annotations

from typing import Optional, Set

import pytest
from vm_lifecycle.adapters.libvirt.definitions import domain_files, qemu_arguments

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
