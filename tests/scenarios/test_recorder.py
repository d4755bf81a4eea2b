"""What the supervisor keeps on record: from events, and from a look after events were missed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.agent.supervisor import MOST_EVENTS, insist, watch
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.errors import EffectError, LifecycleError, refuse
from vm_lifecycle.recorder import ASKED_FOR, Recorder

from tests.fakes.build import build, uuid_of
from tests.fakes.world import Machine, ports

DB, STRANGER = uuid_of(1), uuid_of(2)


def machine(**given: Any) -> Machine:
    """A host with a managed VM, that ran in the boot before, and one that is not ours."""
    vm = {"name": "db", "declared": {"mode": "permanent"}, "state": "running", "last": {}, **given}
    return Machine(build({"domains": [vm, {"name": "stranger"}]}))


def event(kind: str, detail: int = 0, uuid: str = DB) -> PowerEvent:
    """An event of libvirt."""
    return PowerEvent(uuid, "db", kind, detail)


def last(host: Machine) -> tuple[str, str, str]:
    """What is on record of the managed VM: state, reason, what it was before this boot."""
    stored = host.store["states"][DB]
    return stored["state"], stored["reason"], stored["before"]


def test_a_look() -> None:
    """News alone is written, and nothing about VMs that are not ours."""
    host = machine()
    recorder = Recorder(ports(host))
    assert recorder.look() == 1
    assert last(host) == ("running", "", "running")
    assert recorder.look() == 0
    assert STRANGER not in host.store["states"]
    host.stop(host.named("db"))
    assert recorder.look() == 1
    assert last(host) == ("shutoff", "unknown", "running")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event("shutdown", 1), event("stopped", 0)], "guest"),
        ([event("powerdown"), event("shutdown", 1), event("stopped", 0)], "asked"),
        ([event("shutdown", 2), event("stopped", 0)], "killed"),
        ([event("shutdown", 2), event("stopped", 1)], "forced"),
        ([event("stopped", 5)], "failed"),
        ([event("crashed"), event("stopped", 2)], "failed"),
        ([event("suspended"), event("stopped", 4)], "saved"),
        # what explains one stop does not explain the next
        (
            [
                event("powerdown"),
                event("shutdown", 1),
                event("stopped", 0),
                event("started"),
                event("shutdown", 1),
                event("stopped", 0),
            ],
            "guest",
        ),
    ],
)
def test_events(events: list[PowerEvent], expected: str) -> None:
    """Whole, or one by one, they say the same; and another VM's events say nothing of this one."""
    for batches in ([events], [[each] for each in events]):
        host = machine()
        recorder = Recorder(ports(host))
        recorder.look()
        recorder.take([event("powerdown", uuid=STRANGER), event("stopped", 5, uuid=STRANGER)])
        for batch in batches:
            recorder.take(batch)
        assert last(host) == ("shutoff", expected, "running")
        assert host.store["records"][DB]["power_state"] == "shutoff"


def test_an_old_request_explains_nothing() -> None:
    """A guest that ignored a request, and shuts down much later, does so by itself."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.take([event("powerdown")])
    host.advance(ASKED_FOR + 1)
    recorder.take([event("shutdown", 1), event("stopped", 0)])
    assert last(host)[1] == "guest"


def test_while_the_host_goes_down() -> None:
    """Whoever stops VMs then, they ran when the host went down."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.take([event("started")])
    host.state["going_down"] = True
    recorder.take([event("powerdown"), event("shutdown", 1), event("stopped", 0)])
    assert last(host) == ("running", "host_shutdown", "running")


def test_saving_suspends_first() -> None:
    """While the host goes down that is no change of state: the VM ran."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.take([event("started")])
    host.state["going_down"] = True
    recorder.take([event("suspended")])
    recorder.take([event("stopped", 4)])
    assert last(host) == ("running", "host_shutdown", "running")


def test_a_start_ends_a_lasting_warning() -> None:
    """But no other event does."""
    host = machine()
    warning = {
        "uuid": DB, "name": "db", "boot_id": "boot-", "outcome": "failed", "reason": "ssh_silent", "message": "silence",
        "at_unix": 1, "attempts": 1, "after": "", "turn": 0.0, "started": 1.0, "ended": 9.0,
    }  # fmt: skip
    host.store["starts"][DB] = warning
    recorder = Recorder(ports(host))
    recorder.take([event("resumed")])
    assert host.store["starts"][DB]["outcome"] == "failed"
    recorder.take([event("stopped", 1), event("started")])
    assert (host.store["starts"][DB]["outcome"], host.store["starts"][DB]["reason"]) == ("ready", "started_later")


class Script:
    """A connection whose events are known beforehand; it is lost when they are used up."""

    def __init__(self, *batches: list[PowerEvent]) -> None:
        self.batches, self.closed = list(batches), False

    def events(self, _seconds: float) -> list[PowerEvent]:
        if not self.batches:
            raise EffectError("connection_failed", "the daemon went away")
        return self.batches.pop(0)

    def close(self) -> None:
        self.closed = True


def test_a_lost_connection() -> None:
    """What happened while nobody watched is seen by the next look, as far as it can be."""
    host = machine()
    recorder, ending = Recorder(ports(host)), threading.Event()
    source = Script([event("suspended")], [])
    with pytest.raises(EffectError):
        watch(source, recorder, ending)
    assert source.closed
    assert last(host)[0] == "paused"
    host.stop(host.named("db"))
    with pytest.raises(EffectError):
        watch(Script(), recorder, ending)
    assert last(host)[:2] == ("shutoff", "unknown")


def test_the_end() -> None:
    """Asked to end, it closes its connection and raises nothing."""
    ending = threading.Event()
    ending.set()
    source = Script([event("stopped", 1)])
    watch(source, Recorder(ports(machine())), ending)
    assert source.closed and source.batches


class Filling(Script):
    """A connection that tells one batch a time, while the disk fills up and is freed again."""

    def __init__(self, host: Machine, ending: threading.Event, *steps: tuple[str, list[PowerEvent]]) -> None:
        super().__init__(*(batch for _problem, batch in steps))
        self.host, self.ending, self.problems = host, ending, [problem for problem, _batch in steps]

    def events(self, seconds: float) -> list[PowerEvent]:
        if not self.batches:
            self.ending.set()
            return []
        self.host.store["problem"] = self.problems.pop(0)
        return super().events(seconds)


def test_a_full_disk() -> None:
    """What was heard meanwhile is recorded when there is space again, with its reason, and is complained of once."""
    host = machine()
    ending = threading.Event()
    steps = [("full", [event("shutdown", 1)]), ("full", [event("stopped", 0)]), ("full", []), ("", [])]
    watch(Filling(host, ending, *steps), Recorder(ports(host)), ending)
    assert last(host) == ("shutoff", "guest", "running")
    assert sum("full" in message for message in host.messages) == 1


def test_a_disk_that_is_full_from_the_beginning() -> None:
    """The look is made up for."""
    host = machine()
    host.store["problem"] = "full"
    ending = threading.Event()
    watch(Filling(host, ending, ("full", []), ("", []), ("", [])), Recorder(ports(host)), ending)
    assert last(host) == ("running", "", "running")


def test_a_disk_that_stays_full() -> None:
    """Events are not kept without limit; a look says what they would have."""
    host = machine()
    ending = threading.Event()
    many = [*[event("suspended"), event("resumed")] * MOST_EVENTS, event("stopped", 0)]
    recorder = Recorder(ports(host))
    recorder.look()
    host.stop(host.named("db"))
    watch(Filling(host, ending, ("full", many), ("full", []), ("", [])), recorder, ending)
    assert last(host) == ("shutoff", "unknown", "running")


def test_vms_that_are_declared_later() -> None:
    """They are looked for once; one that is declared and not there, never again."""
    host = machine()
    record = host.store["records"].pop(DB)
    recorder = Recorder(ports(host))
    assert (recorder.look(), recorder.catch_up()) == (0, 0)
    host.store["records"].update({DB: record, uuid_of(9): {**record, "uuid": uuid_of(9)}})
    assert recorder.catch_up() == 1
    assert last(host) == ("running", "", "running")
    host.state["refuse"]["domains"] = "nobody has to ask"
    assert recorder.catch_up() == 0
    del host.store["states"][DB]  # it was forgotten and declared anew
    with pytest.raises(EffectError):
        recorder.catch_up()


class Patient(threading.Event):
    """Waits in virtual time, and ends after so many pauses."""

    def __init__(self, host: Machine, most: int) -> None:
        super().__init__()
        self.host, self.most = host, most
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        self.host.advance(timeout or 0.0)
        if len(self.pauses) == self.most:
            self.set()
        return self.is_set()


def test_libvirt_that_is_away() -> None:
    """It is tried for ever, less and less often, and complained of once; when it went well for a while, all begins anew."""
    host = machine()
    ending = Patient(host, 8)
    tries: list[float] = []

    def attempt() -> None:
        tries.append(host.clock["boottime"])
        if len(tries) == 7:
            host.advance(60.0)
            raise EffectError("connection_failed", "the daemon went away")
        raise refuse("connection_failed", "no such socket")

    insist(ports(host).host, ending, attempt)
    assert ending.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 0.5, 1.0]
    assert host.messages == [
        "no such socket; trying again",
        "the daemon went away; trying again",
        "no such socket; trying again",
    ]


def test_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd hears one at each turn of the loop, and while libvirt is away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def signs() -> int:
            count = 0
            with suppress(BlockingIOError):
                while True:
                    count += systemd.recv(100) == b"WATCHDOG=1"
            return count

        host = machine()
        with pytest.raises(EffectError):
            watch(Script([], [], []), Recorder(ports(host)), threading.Event())
        assert signs() == 4

        def attempt() -> None:
            raise refuse("connection_failed", "no such socket")

        insist(ports(host).host, Patient(host, 5), attempt)
        assert signs() == 5


def test_what_no_waiting_helps() -> None:
    """systemd tells of it, and tries again itself."""

    def attempt() -> None:
        raise refuse("missing_library", "install it")

    with pytest.raises(LifecycleError):
        insist(ports(machine()).host, threading.Event(), attempt)
