"""VMs that start, and what they need for it: on the fake, on libvirt's `test` driver, and on real QEMU."""

from __future__ import annotations

import os
import signal
import threading

import libvirt
import pytest
from vm_lifecycle.boots import Need, Off
from vm_lifecycle.errors import DomainGone, EffectError
from vm_lifecycle.metadata import NAMESPACE
from vm_lifecycle.model import Domain
from vm_lifecycle.policy.habits import actions

from .conftest import Bench, LibvirtBench, QemuBench
from .real_qemu import Daemon, wait_for

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def only(bench: Bench) -> Domain:
    """The one domain, which looks the same alone and in bulk."""
    (found,) = bench.hypervisor.domains()
    assert bench.hypervisor.domain(found.uuid) == found
    return found


def state(bench: Bench) -> str:
    """What A is at this moment."""
    found = bench.hypervisor.domain(A)
    return found.power_state if found else ""


def off(bench: Bench) -> bool:
    """Whether A is off, as soon as a daemon that is new can be asked."""
    try:
        return state(bench) == "shutoff"
    except EffectError:
        return False


def test_start(powered: Bench) -> None:
    """It runs; what runs is left alone."""
    powered.define(A, "a")
    assert (only(powered).power_state, only(powered).saved) == ("shutoff", False)
    for _time in range(2):
        powered.hypervisor.start(A)
        assert (only(powered).power_state, only(powered).saved) == ("running", False)
    powered.hypervisor.power_off(A)
    powered.hypervisor.start(A)
    assert only(powered).power_state == "running"


def test_start_of_one_of_two(powered: Bench) -> None:
    """The other one stays as it is."""
    powered.define(A, "a")
    powered.define(B, "b")
    powered.hypervisor.start(B)
    assert [(each.name, each.power_state) for each in powered.hypervisor.domains()] == [
        ("a", "shutoff"),
        ("b", "running"),
    ]


def test_saved_memory(powered: Bench) -> None:
    """It is off and saved; the next start uses that up. Starting and stopping it then is as before."""
    powered.define(A, "a", running=True)
    powered.hypervisor.save_memory(A, 30.0)
    assert (only(powered).power_state, only(powered).active, only(powered).saved) == ("shutoff", False, True)
    powered.define(B, "b")
    assert [(each.name, each.saved) for each in powered.hypervisor.domains()] == [("a", True), ("b", False)]
    powered.hypervisor.start(A)
    assert [(each.power_state, each.saved) for each in powered.hypervisor.domains()] == [
        ("running", False), ("shutoff", False),
    ]  # fmt: skip
    powered.hypervisor.power_off(A)
    assert [(each.power_state, each.saved) for each in powered.hypervisor.domains()] == [("shutoff", False)] * 2


def test_stop_reason(powered: Bench) -> None:
    """What libvirt remembers: nothing of one that runs, or that never did."""
    powered.define(A, "a")
    assert powered.hypervisor.stop_reason(A) == "unknown"
    powered.hypervisor.start(A)
    assert powered.hypervisor.stop_reason(A) == "unknown"
    powered.hypervisor.power_off(A)
    assert powered.hypervisor.stop_reason(A) == "forced"
    powered.hypervisor.start(A)
    powered.hypervisor.save_memory(A, 30.0)
    assert powered.hypervisor.stop_reason(A) == "saved"
    with pytest.raises(DomainGone):
        powered.hypervisor.stop_reason(B)


def test_stop_reasons_of_processes(qemu: QemuBench) -> None:
    """Killed it failed, also if nobody heard that; of a shutdown nobody knows whose idea it was; a new daemon has forgotten."""
    qemu.define(A, "a", running=True)
    os.kill(qemu.daemon.pids("a")[0], signal.SIGKILL)
    wait_for(lambda: state(qemu) == "shutoff")
    assert qemu.hypervisor.stop_reason(A) == "failed"
    qemu.hypervisor.start(A)
    os.kill(qemu.daemon.pids("a")[0], signal.SIGTERM)
    wait_for(lambda: state(qemu) == "shutoff")
    assert qemu.hypervisor.stop_reason(A) == "unknown"
    qemu.hypervisor.start(A)
    pids = qemu.daemon.pids("a")
    qemu.daemon.kill()
    os.kill(pids[0], signal.SIGKILL)
    qemu.daemon.start()
    wait_for(lambda: off(qemu))
    assert qemu.hypervisor.stop_reason(A) == "failed"
    qemu.daemon.kill()
    qemu.daemon.start()
    wait_for(lambda: off(qemu))
    assert qemu.hypervisor.stop_reason(A) == "unknown"


@pytest.mark.parametrize("running", [False, True])
def test_set_actions(qemu: QemuBench, running: bool) -> None:
    """Of the definition, one that runs included; what is not named stays."""
    more = "<on_poweroff>restart</on_poweroff><on_crash>coredump-restart</on_crash>"  # which QEMU takes beside no other on_reboot
    qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient", more=more))
    if running:
        qemu.hypervisor.start(A)
    before = actions(qemu.hypervisor.definition(A))
    assert before == {"on_poweroff": "restart", "on_reboot": "restart", "on_crash": "coredump-restart"}
    qemu.hypervisor.set_actions(A, {"on_poweroff": "destroy", "on_crash": "coredump-destroy"})
    wanted = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "coredump-destroy"}
    assert actions(qemu.hypervisor.definition(A)) == wanted
    live = actions(qemu.connection.lookupByUUIDString(A).XMLDesc(0))
    assert (live["on_poweroff"], live["on_crash"]) == ("destroy", "coredump-destroy")
    for value in ("destroy", "restart"):
        qemu.hypervisor.set_actions(A, {"on_reboot": value})
        assert actions(qemu.hypervisor.definition(A))["on_reboot"] == value
    qemu.hypervisor.set_actions(A, before)
    assert actions(qemu.hypervisor.definition(A)) == before
    with pytest.raises(DomainGone):
        qemu.hypervisor.set_actions(B, wanted)


def test_what_saved_memory_leaves_behind(powered: Bench) -> None:
    """Nothing when its VM is undefined; one of the same UUID starts anew."""
    powered.define(A, "a", running=True)
    powered.hypervisor.save_memory(A, 30.0)
    powered.hypervisor.undefine(A, False)
    assert powered.hypervisor.domains() == []
    powered.define(A, "a")
    assert not only(powered).saved


def test_memory_cost(powered: Bench) -> None:
    """At least something, and nothing speaks against it."""
    powered.define(A, "a", running=True)
    cost = powered.hypervisor.memory_cost(A)
    assert cost.mib > 0
    assert cost.free_mib > 0
    assert cost.obstacle == ""


def test_no_addresses(powered: Bench) -> None:
    """Of a VM that does not run."""
    powered.define(A, "a")
    assert powered.hypervisor.addresses(A) == []


def test_a_transient_domain_is_never_saved(powered: Bench) -> None:
    """It has nothing to come back by."""
    powered.create(A, "a")
    assert not only(powered).saved
    assert only(powered).persistent is False


# Networks and pools.


def test_needs(bench: Bench) -> None:
    """Each once, as it is; a network that is not there is one, too."""
    bench.network("on", active=True, autostart=True)
    bench.network("off", active=False, autostart=True)
    bench.network("never", active=False, autostart=False)
    bench.define_on(A, "a", ["off", "on", "missing", "never"])
    expected = [
        Need("network", "off", active=False, autostart=True),
        Need("network", "on", active=True, autostart=True),
        Need("network", "missing", active=False, known=False),
        Need("network", "never", active=False),
    ]
    assert bench.hypervisor.needs(A) == expected
    bench.define(B, "b")
    assert bench.hypervisor.needs(B) == []


def test_off(bench: Bench) -> None:
    """As much as a start asks, read anew; None for what is not off, and for what is not there."""
    bench.network("off", active=False, autostart=True)
    bench.network("on", active=True, autostart=True)
    bench.define_on(A, "a", ["off", "on", "missing"])
    missing = (
        Need("network", "off", active=False, autostart=True),
        Need("network", "missing", active=False, known=False),
    )
    assert bench.hypervisor.off(A) == Off(None, missing)
    bench.hypervisor.activate(missing[0])
    assert bench.hypervisor.off(A) == Off(None, missing[1:])
    assert bench.hypervisor.off(B) is None
    bench.define(B, "b", running=True)
    assert bench.hypervisor.off(B) is None
    bench.hypervisor.power_off(B)
    assert bench.hypervisor.off(B) == Off(None)
    bench.create("00000000-0000-4000-8000-00000000000c", "c")
    assert bench.hypervisor.off("00000000-0000-4000-8000-00000000000c") is None


@pytest.mark.parametrize("text", ["", '{"a":"<&>\\"\'"}', "]]>", "two\nlines", "ü€𝄞", "  spaces  ", "x" * 100_000])
def test_off_has_the_metadata(bench: Bench, text: str) -> None:
    """The same text as every other look, beside what others keep there."""
    bench.define(A, "a")
    bench.hypervisor.write_metadata(A, text)
    found = bench.hypervisor.off(A)
    assert found is not None
    assert found.metadata == text
    bench.hypervisor.write_metadata(A, None)
    assert bench.hypervisor.off(A) == Off(None)


def test_off_beside_metadata_of_others(own: LibvirtBench) -> None:
    """Only our own element counts, and one that holds other elements is none."""
    own.define(A, "a")
    own.hypervisor.write_metadata(A, "ours")
    handle = own.connection.lookupByUUIDString(A)
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "<lifecycle>theirs</lifecycle>", "x", "urn:x", flags)
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "a title", None, None, flags)
    assert own.hypervisor.off(A) == Off("ours")
    element = "<lifecycle>ours<more/></lifecycle>"
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, "vmops", NAMESPACE, flags)
    assert own.hypervisor.off(A) == Off(None)


def test_start_cold(powered: Bench) -> None:
    """It runs; what runs is left alone, and saved memory is not touched."""
    powered.define(A, "a")
    for _time in range(2):
        assert powered.hypervisor.start_cold(A)
        assert only(powered).power_state == "running"
    powered.hypervisor.save_memory(A, 30.0)
    assert not powered.hypervisor.start_cold(A)
    assert (only(powered).power_state, only(powered).saved) == ("shutoff", True)
    powered.hypervisor.start(A)
    assert (only(powered).power_state, only(powered).saved) == ("running", False)


def test_start_cold_paused(qemu: QemuBench) -> None:
    """Its processors stand still, as after any other start of that kind."""
    qemu.define(A, "a")
    assert qemu.hypervisor.start_cold(A, paused=True)
    assert only(qemu).power_state == "paused"


def test_activate(bench: Bench) -> None:
    """Once, and again is success."""
    bench.network("off", active=False, autostart=True)
    bench.define_on(A, "a", ["off"])
    for _time in range(2):
        bench.hypervisor.activate(Need("network", "off", active=False, autostart=True))
        assert bench.hypervisor.needs(A) == [Need("network", "off", active=True, autostart=True)]


DEVICES = """
<interface type='network'><source network='one'/></interface>
<interface type='network'><source network='one' portgroup='x'/></interface>
<interface type='bridge'><source bridge='br0'/></interface>
<interface type='user'/>
<disk type='volume'><source pool='two' volume='a'/><target dev='vda'/></disk>
<disk type='volume'><source pool='two' volume='b'/><target dev='vdb'/></disk>
<disk type='file'><source file='/nowhere'/><target dev='vdc'/></disk>
<disk type='volume'><source pool='bench' volume='c'/><target dev='vdd'/></disk>
<disk type='volume' device='cdrom'><source pool='three' volume='c' startupPolicy='optional'/><target dev='hda'/></disk>
<disk type='volume' device='cdrom'><source pool='three' volume='c' startupPolicy='requisite'/><target dev='hdb'/></disk>
"""


def test_needs_of_a_definition(own: LibvirtBench) -> None:
    """Networks and pools that it names, each once; not those that it can do without."""
    own.connection.defineXML(own.xml(A, "a", devices=DEVICES))
    found = own.hypervisor.needs(A)  # libvirt sorts disks by bus
    assert [(each.kind, each.name, each.active, each.known) for each in found] == [
        ("network", "one", False, False), ("pool", "two", False, False), ("pool", "three", False, False), ("pool", "bench", True, True),
    ]  # fmt: skip


def test_needs_are_those_of_the_next_start(own: LibvirtBench) -> None:
    """A definition that was changed while the VM ran counts as it is now."""
    own.define(A, "a", running=True)
    own.connection.defineXML(own.xml(A, "a", devices="<interface type='network'><source network='new'/></interface>"))
    assert [each.name for each in own.hypervisor.needs(A)] == ["new"]


def test_pools_are_activated(own: LibvirtBench) -> None:
    """As networks are."""
    own.connection.storagePoolLookupByName("bench").destroy()
    own.connection.storagePoolLookupByName("bench").setAutostart(1)
    own.connection.defineXML(
        own.xml(A, "a", devices="<disk type='volume'><source pool='bench' volume='a'/><target dev='vda'/></disk>")
    )
    (need,) = own.hypervisor.needs(A)
    assert need == Need("pool", "bench", active=False, autostart=True)
    for _time in range(2):
        own.hypervisor.activate(need)
        assert own.hypervisor.needs(A) == [Need("pool", "bench", active=True, autostart=True)]


@pytest.mark.parametrize("kind", ["network", "pool"])
def test_what_can_not_be_activated(own: LibvirtBench, kind: str) -> None:
    """In libvirt's words."""
    with pytest.raises(EffectError, match="nowhere") as caught:
        own.hypervisor.activate(Need(kind, "nowhere", active=False))
    assert caught.value.code == "effect_failed"
    assert not isinstance(caught.value, DomainGone)


# Real QEMU's own.


def test_memory_goes_on(qemu: QemuBench, daemon: Daemon) -> None:
    """A guest that was saved goes on counting where it was; one that starts cold begins anew."""
    qemu.define(A, "a", running=True)
    handle = daemon.open().lookupByUUIDString(A)
    wait_for(lambda: daemon.count(handle) > 40)
    qemu.hypervisor.save_memory(A, 30.0)
    qemu.hypervisor.start(A)
    assert daemon.count(handle) > 40
    qemu.hypervisor.power_off(A)
    qemu.hypervisor.start(A)
    assert daemon.count(handle) < 40


def test_saved_memory_that_can_not_be_loaded(qemu: QemuBench, daemon: Daemon) -> None:
    """It is said in libvirt's words, and nothing of it is lost: a person may still mend it, or drop it."""
    qemu.define(A, "a", running=True)
    qemu.hypervisor.save_memory(A, 30.0)
    (image,) = (daemon.home / "config" / "libvirt" / "qemu" / "save").iterdir()
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    for _time in range(2):
        with pytest.raises(EffectError) as caught:
            qemu.hypervisor.start(A)
        assert caught.value.code == "effect_failed"
        assert (only(qemu).power_state, only(qemu).saved) == ("shutoff", True)
        assert image.read_bytes() == whole[: len(whole) // 2]
    image.write_bytes(whole)
    qemu.hypervisor.start(A)
    assert (only(qemu).power_state, only(qemu).saved) == ("running", False)


def test_a_start_that_fails(qemu: QemuBench, daemon: Daemon) -> None:
    """Because a disk is missing: it stays off, and can be tried again."""
    xml = daemon.xml(A, "a", "missing")
    daemon.open().defineXML(xml)
    with pytest.raises(EffectError, match="missing") as caught:
        qemu.hypervisor.start(A)
    assert caught.value.code == "effect_failed"
    assert only(qemu).power_state == "shutoff"


def test_a_start_of_what_crashed_and_was_kept(qemu: QemuBench, daemon: Daemon) -> None:
    """It has a process, and that does not make it run."""
    more = "<on_crash>preserve</on_crash>"
    daemon.open().defineXML(daemon.xml(A, "a", "panics", "<panic model='isa'/>", more))
    qemu.hypervisor.start(A)
    wait_for(lambda: state(qemu) == "crashed")
    with pytest.raises(EffectError):
        qemu.hypervisor.start(A)
    assert only(qemu).active


def test_two_that_start_the_same(qemu: QemuBench, daemon: Daemon) -> None:
    """Whoever comes second finds it running, or waits until it does."""
    failed: list[EffectError] = []
    for number in range(3):
        uuid = f"00000000-0000-4000-8000-{number:012}"
        qemu.define(uuid, f"vm-{number}")

        def job(uuid: str = uuid) -> None:
            try:
                qemu.hypervisor.start(uuid)
            except EffectError as error:
                failed.append(error)

        threads = [threading.Thread(target=job) for _number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failed == []
    assert {each.power_state for each in qemu.hypervisor.domains()} == {"running"}


def test_a_process_that_is_killed(qemu: QemuBench, daemon: Daemon) -> None:
    """It is off, and starts again."""
    qemu.define(A, "a", running=True)
    (pid,) = daemon.pids("a")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state(qemu) == "shutoff")
    qemu.hypervisor.start(A)
    assert only(qemu).power_state == "running"


def test_another_daemon(qemu: QemuBench, daemon: Daemon) -> None:
    """The daemon was killed and started again: guests go on, and the next call connects anew; so does saved memory."""
    qemu.define(A, "a", running=True)
    qemu.define(B, "b", running=True)
    qemu.hypervisor.save_memory(B, 30.0)
    daemon.kill()
    with pytest.raises(EffectError) as caught:
        qemu.hypervisor.start(B)
    assert caught.value.code == "connection_failed"
    daemon.start()
    wait_for(lambda: [each.power_state for each in qemu.hypervisor.domains()] == ["running", "shutoff"])
    assert [each.saved for each in qemu.hypervisor.domains()] == [False, True]
    qemu.hypervisor.start(B)
    assert [each.power_state for each in qemu.hypervisor.domains()] == ["running", "running"]
