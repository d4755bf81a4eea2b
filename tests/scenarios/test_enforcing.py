"""The supervisor's part in limits, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from vm_lifecycle.agent.supervisor import WAIT
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.enforcing import INTERVAL, SURVEY, Enforcer
from vm_lifecycle.limits import DiskUsage
from vm_lifecycle.one_look import LOOK_LIMIT

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine, ports

from .test_restarting import Watching, ends
from .test_restarting import host as supervised

GIB = 2**30
POLICY = {"enforce_memory_limit": True, "enforce_cpu_limit": False}
DISKS = {"enforce_memory_limit": False, "enforce_cpu_limit": False, "enforce_disk_limit": True, "disk_limit_gb": 10}
#: A host that limits running VMs alone.
ABLE: dict[str, Any] = {}


def host(*domains: dict[str, Any], **more: Any) -> tuple[Machine, Enforcer]:
    """A host whose supervisor has just come up."""
    machine = Machine(build({"domains": list(domains), **more}))
    return machine, Enforcer(ports(machine))


def done(machine: Machine, enforcer: Enforcer, seconds: float = 0.0) -> list[str]:
    """What is done to VMs when so many seconds have passed."""
    machine.advance(seconds)
    first = len(machine.effects)
    enforcer.tick()
    return [effect.split(" ", 1)[1] for effect in machine.effects[first:] if " save " not in effect]


def started(number: int) -> list[PowerEvent]:
    """The event of a start."""
    return [PowerEvent(uuid_of(number), "vm", "started")]


def test_what_runs_when_it_comes_up() -> None:
    """Is limited; after that nobody looks until something happens."""
    machine, enforcer = host({"name": "a", "declared": {"policy": POLICY}}, controllers=ABLE)
    assert done(machine, enforcer) == ["set_limit a memory live 1097728"]
    assert done(machine, enforcer, INTERVAL) == []
    assert machine.messages[-1:] == ["a: limited"]


def test_what_is_started() -> None:
    """Is limited at once, and nobody else is looked at."""
    machine, enforcer = host(*({"name": name, "declared": {"policy": POLICY}} for name in "ab"), controllers=ABLE)
    done(machine, enforcer)
    for name in "ab":
        act(machine, {"do": "stop", "vm": name})
        act(machine, {"do": "start", "vm": name})
    enforcer.take(started(2))
    assert done(machine, enforcer) == ["set_limit b memory live 1097728"]


def test_a_vm_that_another_run_has() -> None:
    """A boot holds it while it starts it: it is limited later."""
    machine, enforcer = host({"name": "a", "declared": {"policy": POLICY}}, controllers=ABLE)
    done(machine, enforcer)
    act(machine, {"do": "stop", "vm": "a"})
    act(machine, {"do": "start", "vm": "a"})
    act(machine, {"do": "claim", "vm": "a"})
    enforcer.take(started(1))
    assert done(machine, enforcer) == [] and enforcer.waiting
    act(machine, {"do": "let_go"})
    assert done(machine, enforcer, INTERVAL / 2) == []
    assert done(machine, enforcer, INTERVAL / 2) == ["set_limit a memory live 1097728"]
    assert not enforcer.waiting


def test_disks_of_a_vm_that_is_being_saved() -> None:
    """It is suspended when that is over: until then libvirt would only let it go on."""
    machine, enforcer = host({"name": "a", "declared": {"policy": DISKS}, "disk_usage": [11 * GIB, 20 * GIB]})
    machine.named("a")["passing"] = True
    assert done(machine, enforcer) == []
    machine.named("a")["passing"] = False
    assert done(machine, enforcer, INTERVAL) == ["pause a"]


def test_disks() -> None:
    """Are looked at from time to time, and what is wrong is said once."""
    machine, enforcer = host({"name": "a", "declared": {"policy": DISKS}, "disk_usage": [9 * GIB, 20 * GIB]})
    assert done(machine, enforcer) == []
    assert done(machine, enforcer, INTERVAL) == []
    near = [message for message in machine.messages if "disk_limit_near" in message]
    assert near == ["a: its disks take 9.0 of 10.0 GiB, 90 % [disk_limit_near]"]
    act(machine, {"do": "fill", "vm": "a", "gib": 10.5})
    assert done(machine, enforcer, INTERVAL / 2) == []
    assert done(machine, enforcer, INTERVAL / 2) == ["pause a"]
    assert done(machine, enforcer, INTERVAL) == []
    act(machine, {"do": "resume", "vm": "a"})
    assert done(machine, enforcer, INTERVAL) == ["pause a"]


def test_a_limit_that_was_declared_later() -> None:
    """Is noticed, though not at once."""
    machine, enforcer = host({"name": "a", "declared": {"policy": POLICY}, "disk_usage": [11 * GIB, 20 * GIB]})
    done(machine, enforcer)
    machine.store["records"][uuid_of(1)]["document"]["policy"] = DISKS
    assert done(machine, enforcer, INTERVAL) == []
    machine.advance(SURVEY)
    assert done(machine, enforcer) == ["pause a"]


def test_hosts_without_limits_pay_nothing() -> None:
    """libvirt is not asked."""
    machine, enforcer = host({"name": "a", "declared": {"policy": {**POLICY, "enforce_memory_limit": False}}})
    done(machine, enforcer)
    machine.state["refuse"].update(domains="no", limits="no", disk_usage="no")
    assert done(machine, enforcer, INTERVAL) == [] and "no" not in machine.messages


def test_a_libvirt_that_is_away() -> None:
    """Nothing escapes, it is said once, and what was to be limited is not forgotten."""
    machine, enforcer = host({"name": "a", "declared": {"policy": POLICY}}, controllers=ABLE)
    done(machine, enforcer)
    act(machine, {"do": "stop", "vm": "a"})
    act(machine, {"do": "start", "vm": "a"})
    enforcer.take(started(1))
    machine.state["refuse"]["domains"] = "away"
    assert done(machine, enforcer) == [] and done(machine, enforcer, INTERVAL) == []
    assert sum("away" in message for message in machine.messages) == 1
    machine.state["refuse"].clear()
    machine.store["problem"] = "disk full"
    assert done(machine, enforcer, INTERVAL) == []
    machine.store["problem"] = ""
    assert done(machine, enforcer, INTERVAL) == ["set_limit a memory live 1097728"]


def limited(machine: Machine) -> list[str]:
    """What was done to limits, with its moment."""
    return [effect for effect in machine.effects if effect.split()[1] in ("set_limit", "pause")]


def test_a_supervisor_limits_what_it_restarts() -> None:
    """Each run anew, on a host that limits running VMs alone; what another run has just now is limited later."""
    machine = supervised(policy=POLICY)
    machine.state["controllers"] = ABLE
    watching = Watching(machine).run(2 * INTERVAL, (5.0, ends("SIGKILL")))
    assert watching.starts() == [6.1]
    first, second = limited(machine)
    assert first == "+0.0 set_limit vm memory live 1097728"
    moment, what = second.split(" ", 1)
    assert what == "set_limit vm memory live 1097728" and 6.1 <= float(moment) <= 6.1 + INTERVAL + 5.0


def test_a_supervisor_pauses_what_is_full() -> None:
    """And leaves it paused: that is no stop, and nothing is restarted."""
    machine = supervised(policy=DISKS)
    watching = Watching(machine).run(5 * INTERVAL, (70.0, lambda at: act(at, {"do": "fill", "vm": "vm", "gib": 11})))
    assert [effect.split(" ", 1)[1] for effect in limited(machine)] == ["pause vm"]
    assert (machine.named("vm")["state"], watching.starts()) == ("paused", [])


def test_a_look_that_hangs() -> None:
    """Stops of other VMs are recorded and answered meanwhile; in the end it counts as lost, which is said once, and another one begins."""
    other = {"name": "hangs", "declared": {"policy": DISKS}, "last": {"boot_id": "boot", "state": "running"}}
    machine = supervised(other)
    watching = Watching(machine)
    looks: list[float] = []

    def disk_usage(_uuid: str) -> DiskUsage | None:
        looks.append(machine.clock["boottime"])
        watching.world.host.sleep(10 * LOOK_LIMIT)
        return None

    watching.world.hypervisor.disk_usage = disk_usage  # type: ignore[method-assign]
    watching.run(2.5 * LOOK_LIMIT, (5.0, ends("SIGKILL")), (900.0, ends("SIGKILL")))
    assert watching.starts() == [6.1, 901.1]
    assert [look - looks[0] for look in looks] == pytest.approx([0.0, LOOK_LIMIT, 2 * LOOK_LIMIT], abs=2 * WAIT)
    assert sum("does not come back" in message for message in machine.messages) == 1


def test_a_first_look_that_fails() -> None:
    """Is made up for: VMs that run were perhaps started while nobody listened."""
    machine, enforcer = host({"name": "a", "declared": {"policy": POLICY}}, controllers=ABLE)
    machine.state["refuse"]["domains"] = "away"
    assert done(machine, enforcer) == []
    machine.state["refuse"].clear()
    assert done(machine, enforcer, INTERVAL) == ["set_limit a memory live 1097728"]


def test_starts_of_vms_without_a_policy() -> None:
    """libvirt is not asked."""
    machine, enforcer = host({"name": "a", "declared": {}})
    done(machine, enforcer)
    machine.state["refuse"]["domains"] = "no"
    enforcer.take(started(1))
    assert done(machine, enforcer) == [] and "no" not in machine.messages and not enforcer.waiting
