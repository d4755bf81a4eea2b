"""A supervisor that restarts VMs, in virtual time: what is restarted and when, what never is, and what survives its own end."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from vm_lifecycle.agent.supervisor import watch
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.enforcing import Enforcer
from vm_lifecycle.errors import EffectError
from vm_lifecycle.pressing import Pressing
from vm_lifecycle.recorder import Recorder
from vm_lifecycle.restarting import MOST, START_LIMIT, Restarts

from tests.fakes.build import build, uuid_of
from tests.fakes.world import CRASHED, DESTROYED, OBEYED, SAVED, Machine, PowerCut, ports

from .player import call

VM = uuid_of(1)
#: How a VM ends -> the events of it, and what libvirt still knows when nobody heard them.
WAYS = {
    "guest powers off": OBEYED,
    "guest resets, on_reboot destroy": OBEYED,
    "SIGTERM": (("shutdown", 2), ("stopped", 0)),
    "virsh destroy": DESTROYED,
    "virsh shutdown": (("powerdown", -1), *OBEYED),
    "SIGKILL": CRASHED,
    "panic": (("crashed", 0), ("stopped", 2)),
    "panic, preserved": (("crashed", 0),),
    "panic, on_crash restart": (("crashed", 0), ("resumed", 0)),
    "managed save": SAVED,
    "migrated": (("stopped", 3),),
    "reverted": (("stopped", 6),),
}
#: Which of them each policy answers.
ANSWERED = {
    "no": (),
    "always": ("guest powers off", "guest resets, on_reboot destroy", "SIGTERM", "SIGKILL", "panic"),
    "on-failure": ("SIGTERM", "SIGKILL", "panic"),
}
#: Those of them that are answered also when nobody heard of them: libvirt knows of the others only that it was a shutdown.
REMEMBERED = ("SIGKILL", "panic")

Deed = Callable[[Machine], object]


def host(*more: dict[str, Any], **declared: Any) -> Machine:
    """A host with a VM that runs, and is known to; a start takes a second."""
    vm = {
        "name": "vm", "declared": {"mode": "permanent", **declared},
        "last": {"boot_id": "boot", "state": "running"},
    }  # fmt: skip
    return Machine(build({"domains": [vm, *more], "features": ["supervisor"]}))


class Watching:
    """A supervisor on a machine for so many seconds, in which people and guests do things at their moments."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.heard: list[PowerEvent] = []
        self.lost = False
        self.ending = threading.Event()
        self.world = ports(machine)
        self.turns = self.world.host._turns  # type: ignore[attr-defined]
        machine.on_event = lambda kind, detail, domain: self.heard.append(
            PowerEvent(domain["uuid"], domain["name"], kind, detail)
        )

    def events(self, seconds: float) -> list[PowerEvent]:
        """As EventSource. Time does not pass over the moment at which a guest ends."""
        now = self.machine.clock["boottime"]
        ends = [each["crashes_at"] for each in self.machine.state["domains"] if each["crashes_at"] is not None]
        seconds = min([seconds, *(moment - now for moment in ends)])
        self.turns.wait(lambda: bool(self.heard) or self.lost or self.ending.is_set(), seconds)
        found, self.heard = self.heard, []
        if self.lost and not found:
            raise EffectError("connection_failed", "the daemon went away")
        return found

    def close(self) -> None:
        """As EventSource."""

    def run(self, seconds: float, *deeds: tuple[float, Deed]) -> Watching:
        """Deeds with their moments, in seconds from the beginning. Once more for what comes afterwards."""
        self.ending.clear()
        began, self.lost = self.machine.clock["boottime"], False
        with self.world.host.jobs() as jobs:
            for moment, deed in (*deeds, (seconds, lambda _machine: self.ending.set())):
                jobs.submit(f"at {moment}", self._timed(began + moment, deed))
            restarts = Restarts(self.world, OwnJobs(self.world))
            pressing = Pressing(self.world, restarts, OwnJobs(self.world))
            recorder = Recorder(self.world, restarts=restarts)
            watch(self, recorder, self.ending, Enforcer(self.world, OwnJobs(self.world)), pressing)
        return self

    def _timed(self, moment: float, deed: Deed) -> Callable[[], object]:
        def work() -> object:
            self.world.host.sleep(moment - self.machine.clock["boottime"])
            return deed(self.machine)

        return work

    @property
    def record(self) -> dict[str, Any]:
        """Where the VM is."""
        found: dict[str, Any] = self.machine.store["restarts"].get(VM, {"phase": None, "reason": None})
        return found

    def starts(self) -> list[float]:
        """When it was started, in seconds from the beginning."""
        return [float(line.split()[0]) for line in self.machine.effects if line.split()[1:3] == ["start", "vm"]]


class OwnJobs:
    """A supervisor's own, beside those of the people in the story."""

    def __init__(self, world: Any) -> None:
        from tests.fakes.host import FakeJobs

        self._jobs = FakeJobs(world.host._turns)
        self.submit, self.wait = self._jobs.submit, self._jobs.wait


def ends(way: str) -> Deed:
    """Somebody, or something, ends the VM."""

    def deed(machine: Machine) -> None:
        vm = machine.named("vm")
        if way == "managed save":
            vm.update(saved=True, image={"size": 1, "modified_ns": 0, "problem": ""})
        if WAYS[way][-1][0] == "stopped":
            machine.stop(vm, *WAYS[way])
        else:
            machine.tell(vm, *WAYS[way])
            vm["state"] = "crashed" if way.endswith("preserved") else "running"

    return deed


def starts(machine: Machine) -> None:
    """A person starts it."""
    machine.run(machine.named("vm"))


@pytest.mark.parametrize("policy", ANSWERED)
@pytest.mark.parametrize("way", WAYS)
def test_each_way(way: str, policy: str) -> None:
    """Each row of how a domain stops, under each policy: restarted once, a tenth of a second later, or never."""
    watching = Watching(host(restart_policy=policy)).run(600.0, (5.0, ends(way)))
    answered = way in ANSWERED[policy]
    assert watching.starts() == ([6.1] if answered else [])  # a start takes a second
    runs = answered or way == "panic, on_crash restart"
    assert (watching.machine.named("vm")["state"] == "running") == runs
    logged = [(line["operation"], line["outcome"]) for line in watching.machine.store["operations"]]
    assert logged == ([("restart", "done")] if answered else [])
    assert [line.outcome for line in watching.machine.journal] == ["done"] * answered


@pytest.mark.parametrize("policy", ANSWERED)
@pytest.mark.parametrize("way", [way for way in WAYS if WAYS[way][-1][0] == "stopped"])
def test_each_way_while_nobody_watches(way: str, policy: str) -> None:
    """The connection is lost and comes back: what libvirt says of a stop counts, and what it does not know is no crash."""
    machine = host(restart_policy=policy)
    Watching(machine).run(1.0)
    machine.on_event = None
    ends(way)(machine)
    machine.advance(60.0)
    again = Watching(machine).run(60.0)
    assert again.starts() == ([62.1] if way in ANSWERED[policy] and way in REMEMBERED else [])
    if policy == "always" and way not in REMEMBERED:
        assert again.record["phase"] == "left"


def test_flapping() -> None:
    """It dies two seconds after each start: the delays double, and after five starts in a row it is given up, for good."""
    machine = host()
    machine.named("vm")["crashes_after"] = 2.0
    watching = Watching(machine).run(7200.0, (5.0, ends("SIGKILL")))
    moments = watching.starts()
    waits = [moment - before - 2.0 - 1.0 for before, moment in itertools.pairwise(moments)]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6])
    record = watching.record
    assert (record["phase"], record["reason"], record["restart_count"]) == ("gave_up", "retries_used_up", 5)
    said = [line["message"] for line in machine.store["operations"] if line["outcome"] == "failed"]
    assert said == ["given up after 5 starts in a row: its process died, or its guest crashed"]
    assert any("given up" in message for message in machine.messages)


def test_somebody_starts_what_was_given_up() -> None:
    """Then it has all its restarts again."""
    machine = host(max_retries=1)
    machine.named("vm")["crashes_after"] = 2.0
    watching = Watching(machine).run(3600.0, (5.0, ends("SIGKILL")), (1000.0, starts))
    assert [round(moment) for moment in watching.starts()] == [6, 1003]
    assert (watching.record["phase"], watching.record["restart_count"]) == ("gave_up", 2)


def test_a_run_that_lasts() -> None:
    """Ten minutes count as healthy: it may die once an hour for ever."""
    machine = host(max_retries=2)
    machine.named("vm")["crashes_after"] = 3600.0
    watching = Watching(machine).run(86400.0, (5.0, ends("SIGKILL")))
    assert len(watching.starts()) == 24
    assert (watching.record["phase"], watching.record["in_row"]) == ("up", 1)


def test_starts_that_fail() -> None:
    """They count as restarts that ended at once."""
    machine = host(max_retries=3)
    machine.named("vm")["start_fails"] = 2
    watching = Watching(machine).run(60.0, (5.0, ends("SIGKILL")))
    assert len(watching.starts()) == 1
    assert (watching.record["phase"], watching.record["in_row"], watching.record["restart_count"]) == ("up", 3, 1)
    outcomes = [line["outcome"] for line in machine.store["operations"]]
    assert outcomes == ["failed", "failed", "done"]
    machine = host(max_retries=2)
    machine.named("vm")["start_fails"] = 2
    assert Watching(machine).run(60.0, (5.0, ends("SIGKILL"))).record["phase"] == "gave_up"


def test_stopped_while_it_is_started() -> None:
    """Somebody powers it off in the moment in which it came up: it stays off."""
    watching = Watching(host()).run(60.0, (5.0, ends("SIGKILL")), (6.2, ends("virsh destroy")))
    assert (watching.starts(), watching.record["reason"]) == ([6.1], "stopped_by_somebody")
    assert watching.machine.named("vm")["state"] == "shutoff"


@pytest.mark.parametrize("state", ["held", "absent"])
def test_declared_while_it_waits(state: str) -> None:
    """A hold from everything, or a VM that is forgotten: its restart does not come."""
    machine = host(max_retries=100)
    machine.named("vm")["start_fails"] = 8  # so the next delay is 25.6 s
    declared = {"vms": [{"name": "vm"}], "state": state, "hold": "everything"}
    watching = Watching(machine).run(
        300.0,
        (5.0, ends("SIGKILL")),
        (50.0, lambda machine: call(machine, {"task": "vm_persistence", "arguments": declared})),
    )
    assert watching.starts() == []
    assert watching.record["phase"] == ("left" if state == "held" else None)


@pytest.mark.parametrize("claimed", [True, False])
def test_a_vm_that_somebody_works_on(claimed: bool) -> None:
    """Is tried again when that is over, and the waiting counts as no try."""
    machine = host(max_retries=1)
    machine.state["claims"] = [VM] * claimed
    watching = Watching(machine).run(
        60.0, (5.0, ends("SIGKILL")), (22.0, lambda machine: machine.state["claims"].clear())
    )
    assert (watching.starts()[0] > 22.0, watching.record["phase"], watching.record["in_row"]) == (claimed, "up", 1)


def test_a_host_that_goes_down() -> None:
    """Nothing is restarted, whether it stops then or has stopped before."""
    down: Deed = lambda machine: machine.state.update(going_down=True)  # noqa: E731
    for moments in ((4.0, 5.0), (5.05, 5.0)):
        watching = Watching(host()).run(60.0, (moments[0], down), (moments[1], ends("SIGKILL")))
        assert (watching.starts(), watching.record["reason"]) == ([], "host_goes_down")


@pytest.mark.parametrize("how", ["shutdown", "save-state", "destroy"])
@pytest.mark.parametrize("agent", [True, False])
def test_our_own_stop(how: str, agent: bool) -> None:
    """vm-lifecycle shutdown --now is not undone, also where the guest's agent shuts it down, which looks like its own idea."""
    machine = host(policy={"on_host_shutdown": how})
    stop: Deed = lambda machine: call(machine, {"task": "shutdown", "arguments": {"now": True}})  # noqa: E731
    watching = Watching(machine)
    told = machine.on_event
    assert told is not None
    machine.on_event = lambda kind, detail, domain: (
        told(kind, detail, domain) if kind != "powerdown" or not agent else None
    )
    watching.run(120.0, (5.0, stop))
    assert (watching.starts(), machine.named("vm")["state"]) == ([], "shutoff")
    assert watching.machine.store["states"][VM]["reason"] in ("host_shutdown", "saved")


def test_going_down_by_itself() -> None:
    """A VM whose guest is about to end is no crash; what comes of it is."""

    def deed(machine: Machine) -> None:
        machine.named("vm")["state"] = "shutdown"

    machine = host()
    deed(machine)
    watching = Watching(machine).run(60.0, (5.0, ends("SIGKILL")))
    assert watching.starts() == [6.1]


def test_wall_clock_steps() -> None:
    """A clock that is set while it waits changes nothing, in either direction."""
    for step in (-10_000.0, 10_000.0):
        machine = host(max_retries=100)
        machine.named("vm")["crashes_after"] = 2.0
        began = machine.clock["boottime"]
        moments: list[float] = []

        def set_clock(machine: Machine, step: float = step) -> None:
            machine.clock["now"] += step

        machine.after_effect = lambda machine, _number, began=began, moments=moments: (
            moments.append(machine.clock["boottime"] - began) if " start vm" in machine.effects[-1] else None
        )
        Watching(machine).run(60.0, (5.0, ends("SIGKILL")), (5.05, set_clock), (20.0, set_clock))
        assert moments == pytest.approx([6.1, 9.3, 12.7, 16.5, 21.1, 27.3, 36.7, 52.5])


def test_its_own_end() -> None:
    """Counters, delays and what is pending survive a supervisor that is killed, wherever that is."""
    for cut in range(1, 12):
        machine = host()
        machine.cut_after = cut
        with contextlib.suppress(PowerCut):
            Watching(machine).run(30.0, (5.0, ends("SIGKILL")))
        machine.kill_run()
        early = not machine.store["restarts"]
        again = Watching(machine).run(60.0, *([(5.0, ends("SIGKILL"))] if early else []))
        assert machine.named("vm")["state"] == "running", cut
        assert (again.record["restart_count"], again.record["in_row"]) in [(1, 1), (1, 0)], cut
        assert len(again.starts()) == 1, cut


def test_the_end_of_a_start() -> None:
    """A supervisor that ends while it starts a VM: the next one finds it started, or starts it."""
    machine = host()
    machine.named("vm")["start_seconds"] = 10.0
    Watching(machine).run(8.0, (5.0, ends("SIGKILL")))
    assert machine.store["restarts"][VM]["phase"] == "starting"
    machine.run(machine.named("vm"))  # libvirt went on with it
    again = Watching(machine).run(30.0)
    assert (again.record["phase"], again.record["restart_count"], again.starts()) == ("up", 1, [])


def test_a_reboot() -> None:
    """What waited is the boot's to decide, and counts from the beginning."""
    machine = host(auto_start=True, max_retries=100)
    machine.named("vm")["start_fails"] = 8
    Watching(machine).run(40.0, (5.0, ends("SIGKILL")))
    assert machine.store["restarts"][VM]["phase"] == "waiting"
    machine.named("vm")["start_fails"] = 0
    machine.power_cut()
    again = Watching(machine).run(30.0)
    assert (again.starts(), again.record["phase"], again.record["reason"]) == ([], "left", "host_goes_down")
    again.run(30.0, (1.0, lambda machine: call(machine, {"task": "boot"})))
    assert (again.record["phase"], again.record["in_row"]) == ("up", 0)


@pytest.mark.parametrize("first", ["boot", "supervisor"])
@pytest.mark.parametrize("orderly", [True, False])
def test_a_reboot_while_it_waits(first: str, orderly: bool) -> None:
    """It was to run, so the boot brings it back, whoever looks first; one that was given up it does not."""
    for retries, state in ((100, "running"), (3, "shutoff")):
        machine = host(max_retries=retries)
        machine.named("vm")["start_fails"] = 8
        Watching(machine).run(40.0, (5.0, ends("SIGKILL")))
        if orderly:
            machine.state["going_down"] = True
            call(machine, {"task": "shutdown"})
        machine.named("vm")["start_fails"] = 0
        machine.power_cut()
        if first == "supervisor":
            Watching(machine).run(5.0)
        call(machine, {"task": "boot"})
        assert machine.named("vm")["state"] == state


def test_a_restart_that_the_end_of_the_host_prevents() -> None:
    """Due while the host goes down, it is the boot's."""
    machine = host(max_retries=100)
    machine.named("vm")["start_fails"] = 8
    down: Deed = lambda machine: machine.state.update(going_down=True)  # noqa: E731
    watching = Watching(machine).run(120.0, (5.0, ends("SIGKILL")), (40.0, down))
    assert watching.record["reason"] == "host_goes_down"
    machine.named("vm")["start_fails"] = 0
    machine.power_cut()
    call(machine, {"task": "boot"})
    assert machine.named("vm")["state"] == "running"


def test_a_full_disk() -> None:
    """Nothing is restarted that could not be counted; it is when there is space again."""
    machine = host()
    watching = Watching(machine).run(
        300.0, (4.0, lambda machine: machine.store.update(problem="full")), (5.0, ends("SIGKILL")),
        (100.0, lambda machine: machine.store.update(problem="")),
    )  # fmt: skip
    (moment,) = watching.starts()
    assert 100.0 < moment < 110.0
    assert sum("full" in message for message in machine.messages) == 1


def test_many_at_once() -> None:
    """Not all of them are started at the same time; all of them are in the end."""
    machine = host(
        *({"name": f"vm{n}", "declared": {}, "last": {"boot_id": "boot"}, "start_seconds": 10.0} for n in range(35))
    )

    def deed(machine: Machine) -> None:
        for domain in machine.state["domains"]:
            machine.stop(domain, *CRASHED)

    watching = Watching(machine).run(120.0, (5.0, deed))
    assert {domain["state"] for domain in machine.state["domains"]} == {"running"}
    begun = [float(line.split()[0]) for line in watching.machine.effects if " start vm" in line]
    assert all(sum(0 <= other - moment < 9.0 for other in begun) <= MOST for moment in begun)


def test_a_start_that_hangs() -> None:
    """Is told of as failed after half an hour; while libvirt is still at it there is no other one, and that counts as none."""
    machine = host()
    machine.named("vm")["start_seconds"] = 10 * START_LIMIT
    watching = Watching(machine).run(START_LIMIT + 60.0, (5.0, ends("SIGKILL")))
    assert [line["outcome"] for line in machine.store["operations"]] == ["failed"]
    assert (watching.record["phase"], watching.record["in_row"]) == ("waiting", 1)
    assert watching.record["message"] == "another run is working on it"


def test_vms_that_are_not_restarted() -> None:
    """Temporary ones, held ones, and those of nobody; nothing is kept of them either."""
    for declared in ({"mode": "temporary"}, {"hold": "everything"}):
        watching = Watching(host(**declared)).run(60.0, (5.0, ends("SIGKILL")))
        assert (watching.starts(), watching.machine.store["restarts"]) == ([], {})
    machine = host()
    machine.store["records"].clear()
    watching = Watching(machine).run(60.0, (5.0, ends("SIGKILL")))
    assert (watching.starts(), machine.store["restarts"]) == ([], {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metadata": None}, "restart_refused"), ({"metadata": "{"}, "restart_refused"),
        ({"persistent": False}, "restart_refused"), ({"saved": True, "image": {"size": 1}}, "memory_saved"),
    ],
)  # fmt: skip
def test_the_last_look(change: dict[str, Any], reason: str) -> None:
    """What is found just before the start: it is another VM by now, or its memory was saved."""

    def deed(machine: Machine) -> None:
        vm = machine.named("vm")
        machine.stop(vm, *CRASHED)
        vm.update(change)

    watching = Watching(host()).run(60.0, (5.0, deed))
    assert (watching.starts(), watching.record["phase"], watching.record["reason"]) == ([], "left", reason)
    assert watching.record["in_row"] == 0


def test_a_vm_that_is_gone() -> None:
    """Nobody tries for ever."""

    def deed(machine: Machine) -> None:
        machine.stop(machine.named("vm"), *CRASHED)
        machine.state["domains"].clear()

    watching = Watching(host()).run(60.0, (5.0, deed))
    assert (watching.record["phase"], watching.record["reason"]) == ("left", "restart_refused")
