"""A panic device in a definition: on the fake, on libvirt's `test` driver, and on QEMU, whose guests panic."""

from __future__ import annotations

import libvirt
import pytest
from vm_lifecycle.adapters.libvirt.panic_device import changed
from vm_lifecycle.errors import DomainGone
from vm_lifecycle.policy.panic_device import settle

from .conftest import Bench, QemuBench
from .real_qemu import wait_for

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
#: What must stay as it is: somebody else's metadata, which looks like devices, and arguments for QEMU.
MORE = (
    "<metadata><x:y xmlns:x='urn:x'><devices><panic/></devices>&lt;panic/&gt;</x:y></metadata>"
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<qemu:env name='A' value='&lt;panic/&gt;'/></qemu:commandline>"
)


def test_in_and_out(powered: Bench) -> None:
    """As often as it is asked for; a VM that is gone says so."""
    powered.define(A, "a")
    for present in (True, True, False, False, True):
        powered.hypervisor.set_panic_device(A, present)
        assert powered.hypervisor.has_panic_device(A) is present
    for call in (lambda: powered.hypervisor.has_panic_device(B), lambda: powered.hypervisor.set_panic_device(B, True)):
        with pytest.raises(DomainGone):
            call()


def test_nothing_else_changes(qemu: QemuBench) -> None:
    """Not a letter of the definition; the running VM goes on without the device."""
    serial = "<serial type='pty'/><panic model='isa'><address type='isa' iobase='0x505'/></panic>"
    domain = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", serial, MORE))
    qemu.hypervisor.set_panic_device(A, False)
    plain = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    domain.create()
    qemu.hypervisor.set_panic_device(A, True)
    with_device = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    added = [line for line in with_device.splitlines() if line not in plain.splitlines()]
    assert any("<panic model='isa'" in line for line in added) and len(with_device) > len(plain)
    assert "<panic model" not in domain.XMLDesc(0)
    qemu.hypervisor.set_panic_device(A, False)
    assert domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == plain


def test_a_guest_that_panics(qemu: QemuBench) -> None:
    """It goes on as if nothing were wrong without the device; with it libvirt knows, and ends it."""
    domain = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "panics"))
    domain.create()
    wait_for(lambda: qemu.daemon.count(domain) >= 20)
    assert domain.state() == [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED]
    qemu.hypervisor.set_panic_device(A, True)
    domain.destroy()
    domain.create()
    wait_for(lambda: not domain.isActive())
    assert domain.state() == [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED]


def test_words_of_a_definition() -> None:
    """Devices of the last block that is libvirt's own; a device with an address goes with it."""
    xml = "<domain>\n  <devices>\n    <emulator/>\n    <panic model='isa'>\n      <address/>\n    </panic>\n  </devices>\n</domain>\n"
    assert changed(xml, False) == "<domain>\n  <devices>\n    <emulator/>\n  </devices>\n</domain>\n"
    assert changed(changed(xml, False), True).count("<panic/>") == 1


@pytest.mark.parametrize(
    ("wanted", "ours", "there", "expected"),
    [
        (True, False, False, (True, True)),
        (True, False, True, (None, False)),
        (True, True, True, (None, True)),
        (True, True, False, (True, True)),
        (False, True, True, (False, False)),
        (False, True, False, (None, False)),
        (False, False, True, (None, False)),
        (False, False, False, (None, False)),
    ],
)
def test_decisions(wanted: bool, ours: bool, there: bool, expected: tuple[bool | None, bool]) -> None:
    """What is somebody else's is left."""
    assert settle(wanted, ours, there) == expected
