"""Definitions that are kept and made again: on the fake, on libvirt's `test` driver, and twenty of them on real QEMU."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from xml.etree import ElementTree

import libvirt
import pytest
from vm_lifecycle.adapters import durable_files
from vm_lifecycle.adapters.libvirt.configurations import summary
from vm_lifecycle.errors import DomainGone, EffectError

from .conftest import Bench, LibvirtBench, QemuBench

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def test_made_again(powered: Bench) -> None:
    """It is off, and its configuration is what it was."""
    powered.define(A, "a")
    powered.define(B, "b")
    powered.hypervisor.write_metadata(A, '{"version": 1}')
    kept = powered.hypervisor.configuration(A)
    assert (kept.omitted_secrets, kept.summary["name"], kept.summary["uuid"]) == (False, "a", A)
    powered.hypervisor.undefine(A, False)
    with pytest.raises(DomainGone):
        powered.hypervisor.configuration(A)
    powered.hypervisor.define_xml(kept.xml)
    assert powered.hypervisor.configuration(A) == kept
    found = powered.hypervisor.domain(A)
    assert found is not None
    assert (found.power_state, found.persistent, found.metadata) == ("shutoff", True, '{"version": 1}')


@pytest.mark.parametrize(
    ("uuid", "name", "code"), [(A, "b", "uuid_taken"), (B, "a", "name_taken"), (A, "a", "uuid_taken")]
)
def test_taken(powered: Bench, uuid: str, name: str, code: str) -> None:
    """Nothing of what is there is changed."""
    powered.define(uuid, name)
    kept = powered.hypervisor.configuration(uuid)
    powered.hypervisor.undefine(uuid, False)
    powered.define(A, "a", running=True)
    there = powered.hypervisor.configuration(A)
    with pytest.raises(EffectError) as caught:
        powered.hypervisor.define_xml(kept.xml)
    assert caught.value.code == code
    assert [each.uuid for each in powered.hypervisor.domains()] == [A]
    assert powered.hypervisor.configuration(A) == there


def test_another_spelling_of_a_uuid(own: LibvirtBench) -> None:
    """libvirt would take it for a change of the VM that is there."""
    own.define(A, "a")
    with pytest.raises(EffectError) as caught:
        own.hypervisor.define_xml(own.xml(A.replace("-", "").upper(), "b"))
    assert caught.value.code == "uuid_taken"


@pytest.mark.parametrize("xml", ["", "<domain>", "<network/>", "<domain type='test'><name>x</name></domain>", "\x00"])
def test_no_definition(own: LibvirtBench, xml: str) -> None:
    """libvirt's words, and nothing is defined."""
    with pytest.raises(EffectError) as caught:
        own.hypervisor.define_xml(xml)
    assert caught.value.code == "effect_failed"
    assert own.hypervisor.domains() == []


def test_a_running_vm_is_kept_as_it_starts_next(own: LibvirtBench) -> None:
    """A change that is not in force yet counts, and what holds for this run alone does not."""
    own.define(A, "a", running=True)
    own.connection.defineXML(own.xml(A, "a").replace("8192", "16384"))
    kept = own.hypervisor.configuration(A)
    assert (kept.summary["memory_mb"], "16384" in kept.xml) == (16, True)


def test_secrets_are_left_out(own: LibvirtBench) -> None:
    """And that is told."""
    own.connection.defineXML(own.xml(A, "a", devices="<graphics type='vnc' passwd='secret'/>"))
    kept = own.hypervisor.configuration(A)
    assert kept.omitted_secrets
    assert "secret" not in kept.xml


SUMMARY = """
<domain type='kvm'><name>a</name><uuid>u</uuid><memory unit='GiB'>2</memory><vcpu current='1'> 4 </vcpu><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
<disk type='block' device='lun'><source dev='/dev/b'/><target dev='sda'/></disk>
<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdb'/></disk>
<disk type='network' device='disk'><source protocol='rbd' name='pool/x'/><target dev='vdc'/></disk>
<disk type='file' device='cdrom'><target dev='hda'/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/></interface>
<interface type='direct'><source dev='eth0' mode='bridge'/></interface>
<interface type='user'/>
</devices></domain>
"""


def test_summary() -> None:
    """The main figures, for readers."""
    assert summary(SUMMARY) == {
        "name": "a", "uuid": "u", "vcpus": 4, "memory_mb": 2048,
        "disks": [
            {"target": "vda", "source": "/a", "device": "disk"},
            {"target": "sda", "source": "/dev/b", "device": "lun"},
            {"target": "vdb", "source": "p/v", "device": "disk"},
            {"target": "vdc", "source": "pool/x", "device": "disk"},
            {"target": "hda", "source": "", "device": "cdrom"},
        ],
        "interfaces": [
            {"mac": "52:54:00:00:00:01", "type": "network", "source": "n"},
            {"mac": "52:54:00:00:00:02", "type": "bridge", "source": "br0"},
            {"mac": "", "type": "direct", "source": "eth0"},
            {"mac": "", "type": "user", "source": ""},
        ],
    }  # fmt: skip
    assert summary("<domain><memory>2097152</memory></domain>")["memory_mb"] == 2048


# Twenty definitions, as hosts have them.


def disk(number: int, more: str = "", bus: str = "virtio", kind: str = "qcow2") -> str:
    """A disk of the bench."""
    target = ("vd" if bus == "virtio" else "sd") + chr(97 + number)
    source = f"<driver name='qemu' type='{kind}'/><source file='/nowhere/{number}.{kind}'/>"
    return f"<disk type='file' device='disk'>{source}<target dev='{target}' bus='{bus}'/>{more}</disk>"


EFI = (
    "<os><type arch='x86_64' machine='q35'>hvm</type>"
    "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
    "<nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/nowhere/a_VARS.fd</nvram></os>"
)
ACPI = "<features><acpi/></features>"
DIRECT = "<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/k</kernel><initrd>/i</initrd><cmdline>a='b' &amp;c</cmdline></os>"
BIOS = "<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='network'/><boot dev='hd'/><bootmenu enable='yes' timeout='3000'/></os>"
METADATA = (
    "<title>A &lt;guest&gt;</title><description>two\nlines, ü</description><metadata>"
    "<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
    "<libosinfo:os id='http://debian.org/debian/12'/></libosinfo:libosinfo>"
    "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'><nova:name>x</nova:name></nova:instance>"
    "</metadata>"
)
BRIDGE = (
    "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><vlan><tag id='42'/></vlan>"
    "<virtualport type='openvswitch'/><model type='virtio'/></interface>"
)
CARDS = (
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><model type='virtio'/>"
    "<boot order='1'/></interface>" + BRIDGE +
    "<interface type='direct'><source dev='eth0' mode='bridge'/><model type='e1000'/><link state='down'/></interface>"
    "<interface type='user'><mac address='52:54:00:00:00:03'/><bandwidth><inbound average='1000'/></bandwidth></interface>"
)  # fmt: skip
SEED = "<disk type='file' device='cdrom'><source file='/nowhere/seed.iso'/><target dev='sda' bus='sata'/><readonly/></disk>"
ARGUMENTS = (
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<qemu:arg value='-set'/><qemu:env name='A' value='b'/></qemu:commandline>"
)

#: Name -> (os, elements beside it, devices, elements at the end).
DEFINITIONS: dict[str, tuple[str, str, str, str]] = {
    "plain": (BIOS, "", disk(0, kind="raw"), ""),
    "uefi": (EFI, ACPI, disk(0), ""),
    "uefi-secure": (
        EFI.replace("<loader", "<loader secure='yes'"), "<features><acpi/><smm state='on'/></features>", disk(0), "",
    ),
    "tpm": (EFI, ACPI, disk(0) + "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", ""),
    "direct-kernel": (DIRECT, "", "<serial type='file'><source path='/var/log/x'/></serial>", ""),
    "several-cards": (BIOS.replace("<boot dev='network'/><boot dev='hd'/>", ""), "", disk(0) + CARDS, ""),
    "cloud-init": (
        BIOS, "<sysinfo type='smbios'><system><entry name='serial'>ds=nocloud</entry></system></sysinfo>", disk(0, kind="raw") + SEED, "",
    ),
    "metadata-of-others": (BIOS, METADATA, disk(0), ""),
    "processor-by-name": (
        BIOS, "<vcpu placement='static' current='2'>8</vcpu><cpu mode='custom' match='exact'><model fallback='forbid'>Nehalem</model>"
        "<topology sockets='2' cores='2' threads='2'/><feature policy='disable' name='vme'/></cpu>", disk(0), "",
    ),
    "numa": (
        BIOS, "<vcpu>4</vcpu><cpu><numa><cell id='0' cpus='0-1' memory='16' unit='MiB'/><cell id='1' cpus='2-3' memory='16' unit='MiB'/>"
        "</numa></cpu>", disk(0), "",
    ),
    "clock-and-power": (
        BIOS, "<features><acpi/><apic/><hyperv><relaxed state='on'/></hyperv></features><clock offset='timezone' timezone='Europe/Paris'>"
        "<timer name='rtc' tickpolicy='catchup'/></clock><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>"
        "<on_crash>preserve</on_crash>", disk(0), "",
    ),
    "many-disks": (
        BIOS, "", disk(0, "<serial>s-0</serial><iotune><total_iops_sec>100</total_iops_sec></iotune>") + disk(1, "<shareable/>", kind="raw")
        + disk(2, bus="scsi") + "<controller type='scsi' model='virtio-scsi'/>"
        + "<disk type='network' device='disk'><source protocol='nbd' name='x'><host name='h' port='10809'/></source>"
        "<target dev='vdx' bus='virtio'/></disk>", "",
    ),
    "volumes-and-devices": (
        BIOS, "", "<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vda' bus='virtio'/></disk>"
        "<disk type='block' device='disk'><source dev='/dev/mapper/x'/><target dev='vdb' bus='virtio'/></disk>", "",
    ),
    "chain": (
        BIOS, "", disk(0, "<backingStore type='file'><format type='raw'/><source file='/nowhere/base'/><backingStore/></backingStore>"), "",
    ),
    "graphics": (
        BIOS, "", "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' keymap='de'/>"
        "<video><model type='virtio' heads='2'/></video>"
        "<input type='tablet' bus='usb'/><sound model='ich9'/>", "",
    ),
    "channels": (
        BIOS, "", disk(0) + "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><watchdog model='i6300esb' action='reset'/>"
        "<panic model='isa'/><vsock model='virtio'><cid auto='yes'/></vsock>", "",
    ),
    "devices-of-the-host": (
        BIOS, "", disk(0) + "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>"
        "<filesystem type='mount' accessmode='mapped'><source dir='/srv'/><target dir='x'/></filesystem>", "",
    ),
    "tuned": (
        BIOS, "<memtune><hard_limit unit='MiB'>512</hard_limit></memtune><cputune><shares>512</shares></cputune>"
        "<blkiotune><weight>500</weight></blkiotune><memoryBacking><nosharepages/></memoryBacking><iothreads>2</iothreads>",
        disk(0).replace("type='qcow2'/>", "type='qcow2' iothread='1' cache='none' discard='unmap'/>"), "",
    ),
    "arguments-for-qemu": (BIOS, "", disk(0), ARGUMENTS),
    "snapshots": (BIOS, "", disk(0), ""),
}  # fmt: skip


def definition(name: str) -> str:
    """The whole of it."""
    system, beside, devices, end = DEFINITIONS[name]
    more = "" if "<video>" in devices else "<video><model type='none'/></video>"
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{A}</uuid><memory unit='MiB'>32</memory>{system}{beside}"
        f"<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}{more}</devices>{end}</domain>"
    )


def prepared_plain(bench: QemuBench, name: str) -> libvirt.virDomain:
    """Defined."""
    return bench.connection.defineXML(definition(name))


def prepared_with_snapshots(bench: QemuBench, name: str) -> libvirt.virDomain:
    """With two snapshots in its disk, and the second one the current."""
    image = bench.daemon.home / "guests" / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True)
    image.chmod(0o666)
    handle = bench.connection.defineXML(definition(name).replace("/nowhere/0.qcow2", str(image)))
    for each in ("one", "two"):
        handle.snapshotCreateXML(f"<domainsnapshot><name>{each}</name></domainsnapshot>")
    return handle


PREPARED: dict[str, Callable[[QemuBench, str], libvirt.virDomain]] = {"snapshots": prepared_with_snapshots}


def test_there_are_twenty() -> None:
    """All different."""
    assert len({definition(name).replace(name, "") for name in DEFINITIONS}) == 20


@pytest.mark.parametrize("name", DEFINITIONS)
def test_twenty_definitions(qemu: QemuBench, name: str) -> None:
    """Each is kept and made again, and `virsh dumpxml --inactive` shows the same."""
    handle = PREPARED.get(name, prepared_plain)(qemu, name)
    qemu.hypervisor.write_metadata(A, '{"version": 1, "note": "<&>"}')
    before = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    kept = qemu.hypervisor.configuration(A)
    assert kept.xml == before
    assert (kept.summary["name"], kept.summary["memory_mb"], kept.omitted_secrets) == (name, 32, False)
    assert len(kept.summary["disks"]) == len(ElementTree.fromstring(before).findall("devices/disk"))
    qemu.hypervisor.undefine(A, keep_nvram=True, keep_tpm=True)
    qemu.hypervisor.define_xml(kept.xml)
    again = qemu.daemon.open().lookupByUUIDString(A)
    assert again.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == before
    assert qemu.hypervisor.configuration(A) == kept


def test_marks_of_definitions(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They change with whatever changes the definition, also where libvirt tells of no event; none is told of what was just written."""
    qemu.define(A, "a")
    domain = qemu.hypervisor.domain(A)
    assert domain is not None
    assert qemu.hypervisor.definition_mark(domain) is None
    monkeypatch.setattr(durable_files, "QUIET", 0.0)
    marks = [qemu.hypervisor.definition_mark(domain) for _time in range(2)]
    handle = qemu.connection.lookupByUUIDString(A)
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "title", None, None, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    marks.append(qemu.hypervisor.definition_mark(domain))
    handle.attachDeviceFlags(
        "<disk type='file' device='floppy'><target dev='fdb' bus='fdc'/></disk>", libvirt.VIR_DOMAIN_AFFECT_CONFIG
    )
    marks.append(qemu.hypervisor.definition_mark(domain))
    handle.create()
    handle.suspend()
    marks.append(qemu.hypervisor.definition_mark(domain))
    assert None not in marks
    assert marks[0] == marks[1] and marks[3] == marks[4]
    assert len(set(map(str, marks))) == 3
    handle.destroy()


def test_no_mark(own: LibvirtBench) -> None:
    """Where there is no such file, as with libvirt's test driver, every look reads the definition."""
    own.define(A, "a")
    domain = own.hypervisor.domain(A)
    assert domain is not None
    assert own.hypervisor.definition_mark(domain) is None
