"""What the supervisor keeps on record: from events, and from a look after events were missed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.agent.supervisor import MOST_EVENTS, insist, watch
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.errors import EffectError, LifecycleError, refuse
from vm_lifecycle.policy.looking import next_look, rest
from vm_lifecycle.recorder import ASKED_FOR, Recorder

from tests.fakes.build import build, uuid_of
from tests.fakes.store import MemoryStore
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


class CountingStore(MemoryStore):
    """Counts how often it is read of which VMs there are records. silent: it can't tell whether anything was written."""

    silent, reads = False, 0

    def stamp(self) -> object:
        return None if self.silent else super().stamp()

    def recorded(self) -> frozenset[str]:
        self.reads += 1
        return super().recorded()


@pytest.mark.parametrize(("silent", "reads"), [(False, [1, 0, 1, 0]), (True, [1, 1, 1, 1])])
def test_a_store_that_nobody_wrote_to_is_not_read_again(silent: bool, reads: list[int]) -> None:
    host = machine()
    world = ports(host)
    store = CountingStore(host)
    store.silent = silent
    recorder = Recorder(replace(world, store=store))
    recorder.look()
    found = []
    for deed in ("", "", "written", ""):
        if deed:
            host.store["pools"][deed] = 0
        before = store.reads
        assert recorder.catch_up() == 0
        found.append(store.reads - before)
    assert found == reads


def test_a_vm_that_was_declared_meanwhile_is_looked_at() -> None:
    """Also when the store was read before without any news."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.look()
    assert (recorder.catch_up(), recorder.catch_up()) == (0, 0)
    host.store["states"].clear()
    assert recorder.catch_up() == 1
    assert last(host)[0] == "running"


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


@pytest.mark.parametrize(
    ("going_down", "expected"),
    [(False, ("shutoff", "unknown", "running")), (True, ("running", "host_shutdown", "running"))],
)
def test_a_stop_that_nobody_tells_of(going_down: bool, expected: tuple[str, str, str]) -> None:
    """While the host goes down it is of that, and the VM comes back with its host; looks after that change nothing."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.look()
    host.stop(host.named("db"))
    host.state["going_down"] = going_down
    assert (recorder.look(), last(host)) == (1, expected)
    assert (recorder.look(), last(host)) == (0, expected)


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


class Deaf(Script):
    """A connection that tells nothing in virtual time, while VMs stop and start; it is lost at the end."""

    def __init__(self, host: Machine, end: float, deeds: dict[float, str]) -> None:
        super().__init__()
        self.host, self.end, self.deeds = host, host.clock["boottime"] + end, deeds
        self.timeline: list[tuple[float, str]] = []
        self.begin = host.clock["boottime"]

    def events(self, seconds: float) -> list[PowerEvent]:
        self.note()
        now = self.host.clock["boottime"]
        if now >= self.end:
            raise EffectError("connection_failed", "the daemon went away")
        for moment in sorted(each for each in self.deeds if each < now - self.begin + seconds):
            vm, deed = self.host.named("db"), self.deeds.pop(moment)
            self.host.stop(vm) if deed == "stop" else vm.update(state="running")
        self.host.advance(seconds)
        return []

    def note(self) -> None:
        """What is on record, when that is news."""
        state = last(self.host)[0]
        if not self.timeline or self.timeline[-1][1] != state:
            self.timeline.append((self.host.clock["boottime"] - self.begin, state))


def test_stops_that_are_lost() -> None:
    """A daemon that takes over tells nothing of what stopped before it was ready: a look soon after, and then regularly."""
    host = machine()
    source = Deaf(host, 3000.0, {7.0: "stop", 12.0: "start", 250.0: "stop", 300.0: "start", 1500.0: "stop"})
    with pytest.raises(EffectError):
        watch(source, Recorder(ports(host)), threading.Event())
    assert source.timeline == [(0.0, "running"), (10.0, "shutoff"), (1210.0, "running"), (2410.0, "shutoff")]
    told = "1 VMs had changed, and no event had told of it yet"
    assert host.messages == ["watching; 1 VMs had changed", told, told, told]


@pytest.mark.parametrize(
    ("looked", "expected"), [(None, 100.0), (100.0, 110.0), (109.9, 110.0), (110.0, 1310.0), (400.0, 1600.0)]
)
def test_when_to_look(looked: float | None, expected: float) -> None:
    """At once, soon, and regularly; after a connection that was made at 100."""
    assert next_look(100.0, looked) == expected


class Flood(Script):
    """A connection on which a VM is suspended or resumed every ten milliseconds of virtual time; lost after so many."""

    def __init__(self, host: Machine, most: int) -> None:
        super().__init__()
        self.host, self.most, self.told = host, most, 0
        self.begin = host.clock["boottime"]
        self.batches: list[list[PowerEvent]] = []

    def events(self, _seconds: float) -> list[PowerEvent]:
        if self.told == self.most:
            raise EffectError("connection_failed", "the daemon went away")
        if self.host.clock["boottime"] < self.begin + 0.01 * (self.told + 1):
            self.host.advance(self.begin + 0.01 * (self.told + 1) - self.host.clock["boottime"])
        happened = min(round((self.host.clock["boottime"] - self.begin) / 0.01), self.most)
        batch = [event("resumed" if each % 2 else "suspended") for each in range(self.told, happened)]
        self.told = happened
        self.batches.append(batch)
        return batch


def test_a_flood() -> None:
    """The first of many events is recorded at once, and then all that a tenth of a second brings; none is left out."""
    host = machine()
    source = Flood(host, 101)
    with pytest.raises(EffectError):
        watch(source, Recorder(ports(host)), threading.Event())
    assert [len(batch) for batch in source.batches] == [1, *[10] * 10]
    assert last(host)[0] == "paused" == host.store["records"][DB]["power_state"]
    assert len(host.effects) == 12


@pytest.mark.parametrize(
    ("recorded", "now", "expected"), [(5.0, 5.0, 0.1), (5.0, 5.04, 0.06), (5.0, 9.0, 0.0), (5.0, 4.0, 0.1)]
)
def test_how_long_to_rest(recorded: float, now: float, expected: float) -> None:
    """At most a tenth of a second, whatever the clock does."""
    assert rest(recorded, now) == pytest.approx(expected)


def test_a_batch_and_what_is_known_of_the_vm() -> None:
    """What is known of it follows each event of a batch, not the first one alone."""
    host = machine()
    recorder = Recorder(ports(host))
    recorder.look()
    recorder.take([event("suspended"), event("resumed")])
    assert (last(host)[0], host.store["records"][DB]["power_state"]) == ("running", "running")


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
    host.state["refuse"]["power_states"] = "nobody has to ask"
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


def test_definitions_that_did_not_change_are_not_read() -> None:
    """Only of those that did, and of those that nobody can tell of; and again when what was kept could not be written, or is gone."""
    host = Machine(
        build({"domains": [{"name": "a", "declared": {}}, {"name": "b", "declared": {}}], "features": ["supervisor"]})
    )
    recorder = Recorder(ports(host))
    read: list[str] = []
    configuration = recorder.world.hypervisor.configuration
    recorder.world.hypervisor.configuration = lambda uuid: (read.append(uuid), configuration(uuid))[1]  # type: ignore[method-assign]
    host.store["problem"] = "no space left on device"
    with pytest.raises(EffectError):
        recorder.look()
    host.store["problem"] = ""
    recorder.look()
    assert read == [uuid_of(1), uuid_of(2)]
    recorder.look()
    assert read[2:] == []
    host.named("b")["memory_mib"] = 4096
    recorder.look()
    assert read[2:] == [uuid_of(2)]
    del host.store["recoveries"][uuid_of(1)]
    recorder.look()
    assert read[3:] == [uuid_of(1)] and uuid_of(1) in host.store["recoveries"]
    host.state["refuse"]["definition_mark"] = "no such file"
    recorder.look()
    assert read[4:] == [uuid_of(1), uuid_of(2)]
