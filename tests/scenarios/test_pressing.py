"""A host that runs short of memory or space, in virtual time: who gives way and when, who comes back, and what survives its supervisor."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, ClassVar

import pytest
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.one_look import LOOK_LIMIT
from vm_lifecycle.patience import POLL
from vm_lifecycle.pressing import Pressing
from vm_lifecycle.restarting import Restarts

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine, PowerCut, ports

from .player import call, play
from .test_restarting import Deed, Watching

SHORT, EDGE, WELL = {"available": 3.0}, {"available": 7.0}, {"available": 50.0}


def vm(name: str, memory: str = "none", disk: str = "none", **more: Any) -> dict[str, Any]:
    """A VM that runs, and what it declares."""
    declared = {"policy": {"on_memory_pressure": memory, "on_disk_full": disk}, **more.pop("declared", {})}
    return {"name": name, "declared": declared, "last": {"boot_id": "boot", "state": "running"}, **more}


def host(*vms: dict[str, Any], **more: Any) -> Machine:
    """A host that has enough of everything."""
    return Machine(build({"domains": list(vms), "features": ["supervisor", "boot"], "room": {"/vms": 10000}, **more}))


def does(do: str, **arguments: Any) -> Deed:
    """A deed of tests.fakes.manager."""
    return lambda machine: act(machine, {"do": do, **arguments})


def deeds(machine: Machine, *kinds: str) -> list[tuple[str, str]]:
    """What was done to VMs: (kind, name), in order."""
    words = kinds or ("pause", "resume", "power_off", "start")
    found = [line.split()[1:3] for line in machine.effects]
    return [(kind, name) for kind, name in (each for each in found if len(each) == 2) if kind in words]


def moments(machine: Machine, kind: str) -> list[float]:
    """When something was done, in seconds from the beginning."""
    return [float(line.split()[0]) for line in machine.effects if line.split()[1] == kind]


def states(machine: Machine) -> dict[str, str]:
    """Name -> state."""
    return {domain["name"]: domain["state"] for domain in machine.state["domains"]}


FOUR = (
    vm("first", "suspend", declared={"autostart": {"vm_name": "first", "start_order": 10}}),
    vm("last", "suspend", declared={"autostart": {"vm_name": "last", "start_order": 90}}),
    vm("young", "suspend", declared={"autostart": {"vm_name": "young", "start_order": 90}, "created": 1}),
    vm("ci", "suspend", declared={"mode": "temporary", "ttl_hours": 99, "autostart": {"vm_name": "ci", "start_order": 1}}),
    vm("indifferent"),
    vm("held", "suspend", declared={"hold": "everything"}),
)  # fmt: skip


def test_the_order() -> None:
    """Temporary ones first, then the highest start_order, then the youngest; back in the opposite order, long after it is over."""
    machine = host(*FOUR)
    Watching(machine).run(400.0, (20.0, does("strain", **SHORT)), (100.0, does("strain", **WELL)))
    order = ["ci", "young", "last", "first"]
    assert deeds(machine) == [("pause", name) for name in order] + [("resume", name) for name in reversed(order)]
    gave, came = moments(machine, "pause"), moments(machine, "resume")
    assert gave[0] == pytest.approx(20.0, abs=5.1)
    assert all(later - sooner >= 10.0 for sooner, later in itertools.pairwise(gave))  # what was done shows first
    assert came[0] >= 130.0
    assert all(later - sooner >= 10.0 for sooner, later in itertools.pairwise(came))
    assert machine.store["pressed"] == {}
    logged = [(line["name"], line["operation"], line["outcome"]) for line in machine.store["operations"]]
    assert logged[0] == ("ci", "suspend", "done")
    assert logged[-1] == ("ci", "resume", "done")


def passing(name: str, *, on: bool) -> Deed:
    """libvirt stops a guest for a while, to save or dump its memory."""
    return lambda machine: machine.named(name).update(passing=on)


@pytest.mark.parametrize("deed", ["suspend", "kill"])
def test_one_that_is_being_saved(deed: str) -> None:
    """It is left alone until that is over, since what is saved would be lost, and the next one gives way instead."""
    machine = host(vm("a", "suspend"), vm("b", deed, declared={"mode": "temporary", "ttl_hours": 99}))
    word = {"suspend": "pause", "kill": "power_off"}[deed]
    Watching(machine).run(
        120.0, (5.0, passing("b", on=True)), (20.0, does("strain", **SHORT)), (90.0, passing("b", on=False))
    )
    assert deeds(machine) == [("pause", "a"), (word, "b")]
    assert moments(machine, word)[-1] >= 90.0


def test_suspended_while_a_snapshot_was_taken() -> None:
    """libvirt goes on to call that a pause in passing; it is resumed like any other."""
    machine = host(vm("a", "suspend"))

    def called(at: Machine) -> None:
        at.named("a").update(state="running", passing=True)

    happened = ((20.0, does("strain", **SHORT)), (26.0, does("strain", **WELL)), (27.0, called))
    Watching(machine).run(45.0, *happened)
    assert set(machine.store["pressed"]) == {uuid_of(1)}
    Watching(machine).run(60.0)
    assert [(line["operation"], line["outcome"]) for line in machine.store["operations"]][-1] == ("resume", "done")


def test_one_is_enough() -> None:
    """When the first one that gave way is enough for the host, nobody else does."""
    machine = host(*FOUR)
    machine.before_effect = lambda at, kind, _subject: act(at, {"do": "strain", **EDGE}) if kind == "pause" else None
    Watching(machine).run(600.0, (20.0, does("strain", **SHORT)))
    assert deeds(machine) == [("pause", "ci")]


def test_at_the_edge() -> None:
    """Nobody gives way and nobody comes back there: what swings around one threshold swings nobody."""
    machine = host(*FOUR)
    swings = [(20.0 + number, does("strain", **(EDGE if number % 2 else WELL))) for number in range(200)]
    Watching(machine).run(
        300.0, (5.0, does("strain", **SHORT)), (14.0, does("strain", **EDGE)), *swings, (222.0, does("strain", **WELL))
    )
    assert deeds(machine)[:2] == [("pause", "ci"), ("resume", "ci")]
    assert moments(machine, "resume")[0] >= 220.0 + 30.0 - 5.0


@pytest.mark.parametrize(
    "memory", [{"waited": 25.0}, {"waited": 0.0, "available": 1.0}, {"waited": None, "available": 1.0}]
)
def test_what_short_means(memory: dict[str, Any]) -> None:
    """That processes wait, or that little is available; the latter where the kernel does not tell the former."""
    machine = host(vm("a", "suspend"))
    Watching(machine).run(60.0, (20.0, does("strain", **memory)))
    assert deeds(machine) == [("pause", "a")]


def test_thresholds_of_the_host() -> None:
    """From its own policy; one that is not valid is as if there were none, and that is said."""
    configuration = {"pressure": {"memory_available_percent": 40, "calm_seconds": 5}}
    machine = host(vm("a", "suspend"), configuration=configuration)
    story = (20.0, does("strain", available=30.0)), (60.0, does("strain", available=90.0))
    Watching(machine).run(120.0, *story)
    assert deeds(machine) == [("pause", "a"), ("resume", "a")]
    assert moments(machine, "resume")[0] < 90.0
    broken = host(vm("a", "suspend"), configuration={"pressure": {"memory_available_percent": 400}})
    Watching(broken).run(120.0, (20.0, does("strain", available=30.0)), (60.0, does("strain", available=3.0)))
    assert deeds(broken) == [("pause", "a")]
    assert any("memory_available_percent" in message for message in broken.messages)


@pytest.mark.parametrize("policy", ["always", "on-failure", "no"])
def test_killed(policy: str) -> None:
    """It is powered off, and started again when the pressure is over, if its restart policy says so."""
    machine = host(vm("vm", "kill", declared={"restart_policy": policy}))
    watching = Watching(machine).run(60.0, (20.0, does("strain", **SHORT)))
    assert deeds(machine) == [("power_off", "vm")]
    assert machine.store["states"][uuid_of(1)]["reason"] == "pressure"
    assert watching.record["reason"] == (None if policy == "no" else "under_pressure")
    Watching(machine).run(120.0, (5.0, does("strain", **WELL)))
    assert deeds(machine)[1:] == ([] if policy == "no" else [("start", "vm")])
    assert machine.store["pressed"] == {}


def test_what_nobody_heard() -> None:
    """It was powered off while libvirt's daemon went away: libvirt's own memory of it is enough."""
    machine = host(vm("vm", "kill"))
    watching = Watching(machine)
    machine.on_event = None
    watching.run(30.0, (5.0, does("strain", **SHORT)))
    Watching(machine).run(5.0)
    assert machine.store["states"][uuid_of(1)]["reason"] == "pressure"


def test_somebody_starts_what_was_killed() -> None:
    """That is not undone as long as the host bears it; when it does not, the VM gives way once more."""
    machine = host(vm("vm", "kill"))
    Watching(machine).run(
        90.0, (5.0, does("strain", **SHORT)), (40.0, does("strain", **EDGE)), (50.0, does("start", vm="vm"))
    )
    assert states(machine) == {"vm": "running"}
    assert machine.store["pressed"] == {}
    Watching(machine).run(30.0, (5.0, does("strain", **SHORT)))
    assert deeds(machine) == [("power_off", "vm")] * 2


@pytest.mark.parametrize("deed", ["resume", "stop"])
def test_somebody_else_comes_first(deed: str) -> None:
    """What somebody resumed or powered off is not ours to bring back."""
    machine = host(vm("vm", "suspend"))
    story = (
        (5.0, does("strain", **SHORT)),
        (20.0, does("strain", **EDGE)),
        (30.0, does(deed, vm="vm")),
        (60.0, does("strain", **WELL)),
    )
    Watching(machine).run(300.0, *story)
    assert deeds(machine) == [("pause", "vm")]
    assert machine.store["pressed"] == {}


def test_a_vm_that_somebody_suspended() -> None:
    """It neither gives way nor comes back."""
    machine = host(vm("vm", "suspend"))
    Watching(machine).run(
        300.0, (5.0, does("pause", vm="vm")), (20.0, does("strain", **SHORT)), (60.0, does("strain", **WELL))
    )
    assert deeds(machine) == []
    assert states(machine) == {"vm": "paused"}


def test_a_vm_that_is_forgotten_meanwhile() -> None:
    """It is resumed all the same."""
    machine = host(vm("vm", "suspend"))
    Watching(machine).run(20.0, (5.0, does("strain", **SHORT)))
    assert states(machine) == {"vm": "paused"}
    call(machine, {"task": "vm_persistence", "arguments": {"name": "vm", "state": "absent"}})
    Watching(machine).run(120.0, (5.0, does("strain", **WELL)))
    assert states(machine) == {"vm": "running"}


def test_declared_while_the_host_is_short() -> None:
    """A supervisor that runs learns of it within seconds."""
    machine = host(vm("vm"), memory=SHORT)
    wish = {"name": "vm", "policy": {"on_memory_pressure": "suspend"}}
    declare = {"task": "vm_persistence", "arguments": wish}
    Watching(machine).run(60.0, (30.0, lambda at: call(at, declare)))
    assert moments(machine, "pause")[0] == pytest.approx(35.0, abs=5.1)


def test_a_host_that_goes_down() -> None:
    """Nobody gives way there: all of them are about to stop in order."""
    machine = host(vm("vm", "suspend"), memory=SHORT, going_down=True)
    Watching(machine).run(60.0)
    assert deeds(machine) == []


def test_one_that_can_not_be_suspended() -> None:
    """That is told, and it is nobody's turn for nothing: the next one gives way."""
    machine = host(vm("a", "suspend"), refuse={"pause": "the monitor of its process did not answer"})
    Watching(machine).run(60.0, (5.0, does("strain", **SHORT)))
    assert states(machine) == {"a": "running"}
    assert {(line["operation"], line["outcome"]) for line in machine.store["operations"]} == {("suspend", "failed")}
    busy = host(vm("a", "suspend"), vm("b", "suspend"))
    busy.state["claims"].append(uuid_of(1))
    Watching(busy).run(60.0, (5.0, does("strain", **SHORT)), (40.0, does("let_go")))
    assert sorted(deeds(busy)) == [("pause", "a"), ("pause", "b")]


def test_a_store_that_is_full() -> None:
    """What can't be on record is not done; when it can be again, it is."""
    machine = host(vm("a", "suspend"))
    story = (4.0, does("break_store")), (5.0, does("strain", **SHORT)), (40.0, does("break_store", problem=""))
    Watching(machine).run(80.0, *story)
    assert moments(machine, "pause")[0] >= 40.0


def test_a_full_disk() -> None:
    """QEMU stops the guest. It is resumed when there is space; where none of its business was declared, that is left to people."""
    machine = host(vm("a", disk="suspend"), vm("indifferent"), vm("elsewhere", disk="suspend", place="/other"))
    machine.state["room"]["/other"] = 9000
    Watching(machine).run(60.0, (5.0, does("leave_room", place="/vms", mib=0)))
    assert deeds(machine) == []
    assert states(machine) == {"a": "paused", "indifferent": "paused", "elsewhere": "running"}
    found = call(machine, {"task": "vm_lifecycle_info", "arguments": {"name": "a"}})["vms"][0]["pressure"]
    assert (found["cause"], found["action"], found["message"]) == ("disk", "suspend", "a disk of it was refused space")
    Watching(machine).run(120.0, (5.0, does("leave_room", place="/vms", mib=9000)))
    assert deeds(machine) == [("resume", "a")]


def test_little_space() -> None:
    """Before a write is refused, one after the other gives way there."""
    machine = host(vm("a", disk="suspend", declared={"created": 5}), vm("b", disk="suspend"), vm("c", disk="kill"))
    Watching(machine).run(100.0, (5.0, does("leave_room", place="/vms", mib=100)))
    # those without a place in the order come from the youngest to the oldest, which here is by their UUIDs
    assert deeds(machine) == [("pause", "a"), ("pause", "b"), ("power_off", "c")]
    assert all(each["place"] == "/vms" for each in machine.store["pressed"].values())
    assert moments(machine, "pause")[0] >= 5.0
    Watching(machine).run(400.0, (5.0, does("leave_room", place="/vms", mib=5000)))
    assert sorted(deeds(machine)[3:]) == [("resume", "a"), ("resume", "b"), ("start", "c")]


def test_a_full_disk_and_kill() -> None:
    """It is powered off at once, and started when there is space."""
    machine = host(vm("a", disk="kill"))
    Watching(machine).run(60.0, (5.0, does("leave_room", place="/vms", mib=0)))
    assert deeds(machine) == [("power_off", "a")]
    assert moments(machine, "power_off")[0] < 7.0
    Watching(machine).run(120.0, (5.0, does("leave_room", place="/vms", mib=9000)))
    assert deeds(machine)[1:] == [("start", "a")]


def test_space_that_nobody_can_tell() -> None:
    """As of thin volumes: who was refused space is given another try from time to time."""
    machine = host(vm("a", disk="suspend", place="/thin"))
    machine.state["room"].pop("/thin", None)
    vms = machine.state["domains"]

    def starve(at: Machine) -> None:
        vms[0].update(state="paused", starved=True)
        at.tell(vms[0], ("suspended", 2), ("starved", -1))

    Watching(machine).run(120.0, (5.0, starve))
    assert deeds(machine) == [("resume", "a")]
    assert moments(machine, "resume")[0] >= 35.0


def test_disks_that_can_not_be_looked_at() -> None:
    """That is said, and the supervisor goes on."""
    machine = host(vm("a", disk="suspend"), refuse={"disk_room": "no answer"})
    Watching(machine).run(60.0, (5.0, does("leave_room", place="/vms", mib=100)))
    assert deeds(machine) == []
    assert any("its disks can't be looked at" in message for message in machine.messages)


def test_a_look_that_hangs() -> None:
    """Nobody waits for it without pause, whatever is heard meanwhile; after its time another one is begun, and that is said."""

    class Stuck:
        submitted: ClassVar[list[str]] = []

        def submit(self, key: str, _job: object) -> None:
            self.submitted.append(key)

        def wait(self, _seconds: float | None) -> list[tuple[str, object]]:
            return []

    machine = host(vm("a", "suspend"), memory=SHORT)
    world = ports(machine)
    pressing = Pressing(world, Restarts(world, Stuck()), Stuck())  # type: ignore[arg-type]
    assert pressing.wait() == float("inf")
    pressing.tick()
    pressing.take([PowerEvent(uuid_of(1), "a", "starved")])
    pressing.tick()
    assert Stuck.submitted == ["1"] and pressing.wait() == POLL
    machine.advance(LOOK_LIMIT)
    pressing.tick()
    assert Stuck.submitted == ["1", "2"]
    assert any("does not come back" in message for message in machine.messages)


def test_a_reboot_meanwhile() -> None:
    """Nobody wanted the VM to stand still: it is started and runs, and nothing is on record when the boot is over."""
    machine = host(
        vm("vm", "suspend", declared={"policy": {"on_memory_pressure": "suspend", "on_host_reboot": "start"}})
    )
    Watching(machine).run(30.0, (5.0, does("strain", **SHORT)))
    assert states(machine) == {"vm": "paused"}
    machine.power_cut()
    act(machine, {"do": "strain", **WELL})
    play(machine, [{"task": "boot"}], [])
    assert states(machine) == {"vm": "running"}
    Watching(machine).run(60.0)
    assert machine.store["pressed"] == {}
    assert deeds(machine, "pause", "resume") == [("pause", "vm")]


def test_a_reboot_of_what_was_killed() -> None:
    """It counts as one that ran, as far as its restart policy goes."""
    machine = host(vm("vm", "kill"))
    Watching(machine).run(30.0, (5.0, does("strain", **SHORT)))
    machine.power_cut()
    act(machine, {"do": "strain", **WELL})
    play(machine, [{"task": "boot"}], [])
    assert states(machine) == {"vm": "running"}


@pytest.mark.parametrize("how", ["shutdown", "save-state", "destroy"])
def test_a_shutdown_meanwhile(how: str) -> None:
    """What we suspended goes on first, so that its guest hears of it, and runs when its saved memory is loaded; what others did stays."""
    policy = {"on_memory_pressure": "suspend", "on_host_shutdown": how}
    machine = host(vm("vm", declared={"policy": policy}), vm("other", declared={"policy": policy}))
    Watching(machine).run(60.0, (2.0, does("pause", vm="other")), (5.0, does("strain", **SHORT)))
    assert states(machine) == {"vm": "paused", "other": "paused"}
    act(machine, {"do": "go_down"})
    play(machine, [{"task": "shutdown"}], [])
    done = {
        "shutdown": [("resume", "vm"), ("request_shutdown", "vm"), ("power_off", "other")],
        "save-state": [("resume", "vm"), ("save_memory", "vm"), ("save_memory", "other")],
        "destroy": [("power_off", "vm"), ("power_off", "other")],
    }[how]
    assert sorted(deeds(machine, "resume", "request_shutdown", "save_memory", "power_off")) == sorted(done)


STORY = ((5.0, does("strain", **SHORT)), (40.0, does("strain", **WELL)))


@pytest.mark.parametrize("deed", ["suspend", "kill"])
def test_whoever_kills_the_supervisor(deed: str) -> None:
    """After any effect of it: the next one sees to it that all VMs run again."""
    whole = host(vm("a", deed), vm("b", deed))
    Watching(whole).run(300.0, *STORY)
    assert set(states(whole).values()) == {"running"}
    count = len(whole.effects)
    assert count > 10
    for cut in range(1, count):
        machine = host(vm("a", deed), vm("b", deed))
        machine.cut_after = cut
        with contextlib.suppress(PowerCut):
            Watching(machine).run(300.0, *STORY)
        machine.kill_run()
        act(machine, {"do": "strain", **WELL})
        Watching(machine).run(300.0)
        assert set(states(machine).values()) == {"running"}, machine.effects
        assert machine.store["pressed"] == {}
