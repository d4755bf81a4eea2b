"""What libvirt tells of VMs: by its `test` driver, and by real QEMU as each of its ways to stop has it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.libvirt import events
from vm_lifecycle.adapters.libvirt.events import EventSource
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.errors import EffectError

from .conftest import LibvirtBench, QemuBench
from .real_qemu import Daemon, wait_for

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def told(source: EventSource, last: str, seconds: float = 20.0) -> list[tuple[str, int]]:
    """Kinds and details up to the last one."""
    found: list[PowerEvent] = []
    deadline = time.monotonic() + seconds
    while last not in [each.kind for each in found]:
        assert time.monotonic() < deadline, found
        found += source.events(1.0)
    assert {(each.uuid, each.name) for each in found} == {(A, "a")}
    return [(each.kind, each.detail) for each in found]


@pytest.fixture
def source(own: LibvirtBench) -> Iterator[EventSource]:
    """Events of the test driver, without those of its preparation, nor late ones of the test before: all have one host."""
    made = EventSource("test:///default")
    while made.events(0.1):
        pass
    yield made
    made.close()


@pytest.fixture
def heard(qemu: QemuBench) -> Iterator[EventSource]:
    """Events of QEMU."""
    made = EventSource(qemu.daemon.uri)
    yield made
    made.close()


# Any driver.


def test_nothing_happens(source: EventSource) -> None:
    """Waiting ends in time."""
    began = time.monotonic()
    assert source.events(0.3) == []
    assert 0.2 < time.monotonic() - began < 2.0
    assert source.events(0.0) == []


def test_what_happens(own: LibvirtBench, source: EventSource) -> None:
    """In its order, each with its VM."""
    own.define(A, "a", running=True)
    handle = own.connection.lookupByUUIDString(A)
    handle.suspend()
    handle.resume()
    handle.destroy()
    handle.undefine()
    kinds = [kind for kind, _detail in told(source, "undefined")]
    assert kinds == ["defined", "started", "suspended", "resumed", "stopped", "undefined"]


def test_what_happened_before_anybody_asked(own: LibvirtBench, source: EventSource) -> None:
    """Since the source was made: it is kept, all of it, and told at once."""
    for number in range(50):
        own.define(f"00000000-0000-4000-8000-{number:012}", f"vm {number}")
    time.sleep(0.3)
    assert [each.name for each in source.events(5.0)] == [f"vm {number}" for number in range(50)]
    assert source.events(0.0) == []


def test_the_first_event_ends_the_wait(own: LibvirtBench, source: EventSource) -> None:
    """At once."""
    threading.Timer(0.3, lambda: own.define(A, "a")).start()
    began = time.monotonic()
    assert [each.kind for each in source.events(20.0)] == ["defined"]
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("name", ["two words", "<&>\"'", "ü€𝄞", "x" * 200])
def test_any_name(own: LibvirtBench, source: EventSource, name: str) -> None:
    """As libvirt has it."""
    own.define(A, name)
    assert source.events(10.0) == [PowerEvent(A, name, "defined", 0)]


def test_two_sources(own: LibvirtBench, source: EventSource) -> None:
    """Each hears everything, and the end of one is not that of the other."""
    second = EventSource("test:///default")
    own.define(A, "a")
    assert source.events(10.0) == second.events(10.0) == [PowerEvent(A, "a", "defined", 0)]
    second.close()
    own.define(B, "b")
    assert source.events(10.0) == [PowerEvent(B, "b", "defined", 0)]


def test_after_its_end(source: EventSource) -> None:
    """Nothing is told any more, as of a connection that was lost; ending twice is no error."""
    source.close()
    source.close()
    with pytest.raises(EffectError) as caught:
        source.events(0.0)
    assert caught.value.code == "connection_failed"


def test_sources_leave_nothing(own: LibvirtBench) -> None:
    """No thread and no descriptor but the one loop's."""
    EventSource("test:///default").close()
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _round in range(20):
        EventSource("test:///default").close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_no_daemon(tmp_path: Path) -> None:
    """It is said, with the URI, and can be tried again."""
    with pytest.raises(EffectError, match="nowhere") as caught:
        EventSource(f"qemu+unix:///system?socket={tmp_path}/nowhere")
    assert caught.value.code == "connection_failed"


@pytest.mark.parametrize("module", ["libvirt", "libvirt_qemu"])
def test_no_library(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt itself is needed, the monitor's events are not."""
    monkeypatch.setattr(events, module, None)
    if module == "libvirt_qemu":
        EventSource("test:///default").close()
        return
    with pytest.raises(EffectError) as caught:
        EventSource("test:///default")
    assert caught.value.code == "missing_library"


#: virDomainEventType in libvirt's header, by its names.
NAMES = ("DEFINED", "UNDEFINED", "STARTED", "SUSPENDED", "RESUMED", "STOPPED", "SHUTDOWN", "PMSUSPENDED", "CRASHED")


def test_all_kinds() -> None:
    """libvirt has no other, and calls them so."""
    assert {getattr(libvirt, f"VIR_DOMAIN_EVENT_{name}"): name.lower() for name in NAMES} == events.KINDS


# How a QEMU stops.

Deed = Callable[[QemuBench, Any], None]


def kill(qemu: QemuBench, number: int) -> None:
    """A signal to its process."""
    (pid,) = qemu.daemon.pids("a")
    os.kill(pid, number)


def ask(qemu: QemuBench, _handle: Any) -> None:
    """By the engine."""
    qemu.hypervisor.request_shutdown(A)


def save(qemu: QemuBench, _handle: Any) -> None:
    """By the engine."""
    qemu.hypervisor.save_memory(A, 30.0)


def given_up(qemu: QemuBench) -> None:
    """A save that does not end in time."""
    with pytest.raises(EffectError):
        qemu.hypervisor.save_memory(A, 3.0)


def nothing(_qemu: QemuBench, _handle: Any) -> None:
    """The guest does something by itself."""


STOPPED_BY: list[tuple[str, str, Deed, list[tuple[str, int]]]] = [
    # asked for from the host, by the engine or by a person: the request comes first
    ("obedient", "", ask, [("powerdown", -1), ("shutdown", 1), ("stopped", 0)]),
    ("obedient", "", lambda _qemu, handle: handle.shutdown(), [("powerdown", -1), ("shutdown", 1), ("stopped", 0)]),
    # the guest's own
    ("quits", "", nothing, [("shutdown", 1), ("stopped", 0)]),
    ("resets", "<on_reboot>destroy</on_reboot>", nothing, [("shutdown", 1), ("stopped", 0)]),
    # from outside the guest
    ("obedient", "", lambda qemu, _handle: kill(qemu, signal.SIGTERM), [("shutdown", 2), ("stopped", 0)]),
    ("obedient", "", lambda qemu, _handle: kill(qemu, signal.SIGKILL), [("stopped", 5)]),
    ("obedient", "", lambda qemu, _handle: qemu.hypervisor.power_off(A), [("shutdown", 2), ("stopped", 1)]),
    # a failure of the guest
    ("panics", "<on_crash>destroy</on_crash>", nothing, [("crashed", 0), ("stopped", 2)]),
    ("panics", "<on_crash>preserve</on_crash>", nothing, [("crashed", 0)]),
    # its memory was saved: the pause before is libvirt's own
    ("obedient", "", save, [("stopped", 4)]),
]  # fmt: skip


@pytest.mark.parametrize(("guest", "more", "deed", "expected"), STOPPED_BY)
def test_how_it_stopped(
    qemu: QemuBench, heard: EventSource, guest: str, more: str, deed: Deed, expected: list[tuple[str, int]]
) -> None:
    """The events by which the reason for a stop is told, and none that would tell another one."""
    panic = "<panic model='isa'/>" if guest == "panics" else ""
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", guest, panic, more))
    handle.create()
    assert [kind for kind, _detail in told(heard, "started")][-1] == "started"
    wait_for(lambda: qemu.daemon.count(handle) > 3)
    deed(qemu, handle)
    found = told(heard, expected[-1][0])
    said = [each for each in found if each[0] in ("powerdown", "shutdown", "stopped", "crashed", "suspended")]
    # Newer versions announce a shutdown whoever ends a process, and suspend a guest that panics: neither says why it stopped.
    optional = [("suspended", 0)] if guest == "panics" else []
    if expected[-1] in (("stopped", 1), ("stopped", 2), ("stopped", 4)):
        optional.append(("shutdown", 2))
    assert [each for each in said if each not in optional] == [each for each in expected if each not in optional]


def test_a_guest_that_does_not_obey(qemu: QemuBench, heard: EventSource) -> None:
    """It was asked, and nothing followed."""
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "stubborn"))
    handle.create()
    told(heard, "started")
    wait_for(lambda: qemu.daemon.count(handle) > 3)
    qemu.hypervisor.request_shutdown(A)
    assert told(heard, "powerdown")[-1] == ("powerdown", -1)
    assert heard.events(1.0) == []


def test_paused_by_a_save(qemu: QemuBench, heard: EventSource) -> None:
    """A guest whose memory is being saved runs, as far as anybody cares who would bring it back; one that a person paused does not."""
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient"))
    handle.create()
    told(heard, "started")
    wait_for(lambda: qemu.daemon.count(handle) > 3)
    qemu.daemon.slow.touch()
    saver = threading.Thread(target=given_up, args=(qemu,))
    saver.start()
    wait_for(lambda: handle.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SAVE])
    assert "suspended" not in [each.kind for each in heard.events(1.0)]
    (listed,), single = qemu.hypervisor.domains(), qemu.hypervisor.domain(A)
    assert single is not None
    assert listed.power_state == single.power_state == "running"
    assert listed.passing and single.passing
    assert handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED
    saver.join()
    handle.suspend()
    assert told(heard, "suspended")[-1] == ("suspended", libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED)
    single = qemu.hypervisor.domain(A)
    assert single is not None
    assert single.power_state == "paused"
    assert not single.passing


def test_starting_from_saved_memory(qemu: QemuBench, heard: EventSource) -> None:
    """That is another start than a cold one."""
    qemu.define(A, "a", running=True)
    qemu.hypervisor.save_memory(A, 30.0)
    told(heard, "stopped")
    qemu.hypervisor.start(A)
    found = told(heard, "resumed")
    started, restored = libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED, libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED
    assert ("started", restored) in found
    assert ("started", started) not in found


def test_transient_domains(qemu: QemuBench, heard: EventSource) -> None:
    """They are gone when their stop is told, and are named all the same."""
    qemu.create(A, "a")
    told(heard, "started")
    kill(qemu, signal.SIGKILL)
    assert told(heard, "stopped")[-1] == ("stopped", 5)
    assert qemu.hypervisor.domain(A) is None


def test_a_stop_is_told_at_once(qemu: QemuBench, heard: EventSource) -> None:
    """Within a second of a SIGKILL."""
    qemu.define(A, "a", running=True)
    told(heard, "started")
    began = time.monotonic()
    kill(qemu, signal.SIGKILL)
    told(heard, "stopped")
    assert time.monotonic() - began < 1.0


def test_a_daemon_that_is_killed(qemu: QemuBench, heard: EventSource) -> None:
    """What was heard before is told first; then that the connection was lost, each time. The next one hears again."""
    qemu.define(A, "a", running=True)
    time.sleep(0.5)
    qemu.daemon.kill()
    wait_for(lambda: not heard._is_alive())
    try:
        assert "started" in [each.kind for each in heard.events(5.0)]
        for _time in range(2):
            with pytest.raises(EffectError) as caught:
                heard.events(5.0)
            assert caught.value.code == "connection_failed"
        with pytest.raises(EffectError):
            EventSource(qemu.daemon.uri)
    finally:
        qemu.daemon.start()
    again = EventSource(qemu.daemon.uri)
    # One that dies while a new daemon takes it over stops without an event (libvirt 9.0): whoever listens looks again.
    connection = qemu.daemon.open()
    wait_for(lambda: qemu.daemon.count(connection.lookupByUUIDString(A)) > 3)
    kill(qemu, signal.SIGKILL)
    assert told(again, "stopped")[-1] == ("stopped", 5)
    again.close()


def test_a_daemon_that_is_killed_while_somebody_waits(qemu: QemuBench, heard: EventSource) -> None:
    """The wait ends then, and not only at its time."""
    threading.Timer(0.3, qemu.daemon.kill).start()
    began = time.monotonic()
    try:
        with pytest.raises(EffectError):
            heard.events(20.0)
        assert time.monotonic() - began < 5.0
    finally:
        wait_for(lambda: not os.path.exists(f"/proc/{qemu.daemon.pid()}"))
        qemu.daemon.start()


def test_a_daemon_that_hangs(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives no sign of life: that is a loss, too."""
    monkeypatch.setattr(events, "ALIVE_INTERVAL", 1)
    monkeypatch.setattr(events, "ALIVE_COUNT", 1)
    source = EventSource(qemu.daemon.uri)
    pid = qemu.daemon.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EffectError):
            for _round in range(10):
                source.events(1.0)
    finally:
        os.kill(pid, signal.SIGCONT)
        source.close()


LEAVER = """
import os, signal, sys, threading
from vm_lifecycle.adapters.libvirt.events import EventSource
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
source = EventSource(sys.argv[1])
print("hears", flush=True)
while not ending.is_set():
    source.events(0.5)
source.close()
"""


def test_a_process_that_ends(daemon: Daemon) -> None:
    """Its loop keeps it from nothing: SIGTERM ends it in order, and with no word."""
    engine = str(Path(__file__).parents[2] / "plugins" / "module_utils")
    with subprocess.Popen(
        [sys.executable, "-c", LEAVER, daemon.uri],
        env={**os.environ, "PYTHONPATH": engine},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "hears\n"
        process.terminate()
        _out, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (0, "")
