"""What shows that an attribute of the schemas acts: two hosts that differ in it alone, and end differently.

Of an attribute that the engine records, and nobody declares: two hosts that differ in what it records, and what is said of them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vm_lifecycle._generated.schemas import SCHEMAS

from tests.fakes.build import HOUR, NOW, build
from tests.fakes.manager import act
from tests.fakes.world import Machine

from .player import play
from .test_policy_fields import CASES, ELSEWHERE, story
from .test_restarting import Watching, ends, host

SWEEP: dict[str, Any] = {"task": "vm_cleanup"}
BOOT: dict[str, Any] = {"task": "boot"}
FEATURES = ["cleanup", "boot", "supervisor"]
DUE: dict[str, Any] = {"mode": "temporary", "ttl_hours": 4}
Vm = dict[str, Any]


@dataclass(frozen=True)
class Label:
    """An attribute on which nothing acts. reason: what it is there for."""

    reason: str


@dataclass(frozen=True)
class Declared:
    """VMs and what happens to them; the value is declared for the first one. block: where, "" for VmPersistence."""

    value: Any
    vms: tuple[Vm, ...]
    steps: tuple[dict[str, Any], ...]
    block: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def acts(self, name: str) -> bool:
        """Whether the two hosts end differently."""
        return self._story(None) != self._story(name)

    def told(self) -> str:
        """In words."""
        return f"{_steps(self.steps)} with {json.dumps(self.value)}, and without"

    def _story(self, name: str | None) -> Any:
        first, *others = copy.deepcopy(self.vms)
        if name is not None:
            (first["declared"].setdefault(self.block, {}) if self.block else first["declared"])[name] = self.value
        return deeds([first, *others], self.steps, self.more)


@dataclass(frozen=True)
class Recorded:
    """Two stories, and what is read of the result of the last step of each."""

    one: tuple[list[Vm], list[dict[str, Any]]]
    other: tuple[list[Vm], list[dict[str, Any]]]
    read: Callable[[dict[str, Any]], Any]

    def acts(self, name: str) -> bool:
        """Whether it is recorded, and tells the two apart."""
        found = [self.read(_last(*each)).get(name) for each in (self.one, self.other)]
        return found[0] != found[1]

    def told(self) -> str:
        """In words."""
        return f"recorded: {_steps(self.other[1])}, of two VMs that differ"


@dataclass(frozen=True)
class Supervised:
    """The value is declared for a VM that dies while a supervisor watches, which hears of it; and again so long after each start."""

    value: Any
    lives: float | None = None

    def acts(self, name: str) -> bool:
        """Whether the two hosts end differently."""
        return self._story({}) != self._story({name: self.value})

    def told(self) -> str:
        """In words."""
        return f"a VM that dies under the supervisor with {json.dumps(self.value)}, and without"

    def _story(self, declared: dict[str, Any]) -> Any:
        machine = host(**declared)
        machine.named("vm")["crashes_after"] = self.lives
        watching = Watching(machine).run(600.0, (5.0, ends("SIGKILL")))
        return watching.starts(), machine.named("vm")["state"], watching.record["phase"], watching.record["reason"]


@dataclass(frozen=True)
class Pressed:
    """The value is declared for a VM whose host is short of something while a supervisor watches. short, well: deeds of a person."""

    value: Any
    short: dict[str, Any]
    well: dict[str, Any]

    def acts(self, name: str) -> bool:
        """Whether the two hosts end differently."""
        return self._story({}) != self._story({name: self.value})

    def told(self) -> str:
        """In words."""
        return f"a VM whose host is short of it for a minute with {json.dumps(self.value)}, and without"

    def _story(self, declared: dict[str, Any]) -> Any:
        machine = host(policy=declared)
        deeds = [(moment, partial(_done, deed)) for moment, deed in ((5.0, self.short), (65.0, self.well))]
        Watching(machine).run(300.0, *deeds)
        return [line for line in machine.effects if line.split()[1] in ("pause", "resume", "power_off", "start")]


def _done(deed: dict[str, Any], machine: Machine) -> None:
    act(machine, deed)


@dataclass(frozen=True)
class Told:
    """A VM that a call declares with options, and with one more; then what a sweep does. block: where that is, "" for VmPersistence."""

    more: dict[str, Any]
    task: str
    options: dict[str, Any]
    block: str = ""

    def acts(self, name: str) -> bool:
        """Whether the two hosts end differently."""
        found = []
        for given in ({}, self.more):
            more = {self.block: given} if self.block else given
            call = {"task": self.task, "arguments": {"name": "a", **self.options, **more}}
            found.append(deeds([{"name": "a", "state": "shutoff", "files": ["/pool/a"]}], (call, SWEEP), {}))
        return name in self.more and found[0] != found[1]

    def told(self) -> str:
        """In words."""
        return f"{self.task} with {json.dumps(self.more)}, and without; vm_cleanup"


@dataclass(frozen=True)
class OfPolicy:
    """A field of VmCleanupPolicy, whose stories are those of test_policy_fields."""

    def acts(self, name: str) -> bool:
        """Whether two hosts that differ in it end differently."""
        if name in ELSEWHERE:  # a test of its own compares the timer's template
            return True
        value, base, world, steps = CASES[name]
        return story(world, {**base, name: value}, steps) != story(world, base, steps)

    def told(self) -> str:
        """In words."""
        return "a sweep with it in the policy and one without, in test_policy_fields"


def deeds(vms: list[Vm], steps: tuple[dict[str, Any], ...], more: dict[str, Any]) -> Any:
    """All effects with their moments, why each VM went or stayed, and what is left; not what is written of it."""
    machine = Machine(build({"domains": vms, "features": FEATURES, **copy.deepcopy(more)}))
    calls = play(machine, copy.deepcopy(list(steps)), [])
    rows = [
        (row.get("name"), row.get("decision"), row.get("reason"))
        for made in calls
        for row in made.outcome.get("vms", ())
    ]
    left = [(domain["name"], domain["state"], domain["autostart"]) for domain in machine.state["domains"]]
    return machine.effects, rows, left, sorted(machine.state["files"])


def _steps(steps: Iterable[dict[str, Any]]) -> str:
    """What happens, without repeating it."""
    said = [str(step.get("task") or step.get("do") or f"{step['advance']} s") for step in steps]
    return ", ".join(dict.fromkeys(said))


def _last(vms: list[Vm], steps: list[dict[str, Any]]) -> dict[str, Any]:
    machine = Machine(build({"domains": copy.deepcopy(vms), "features": FEATURES}))
    return play(machine, copy.deepcopy(steps), [])[-1].outcome


def vm(name: str = "a", declared: Vm | None = None, **more: Any) -> Vm:
    """A VM that is off and permanent, unless said otherwise."""
    return {"name": name, "state": "shutoff", "declared": declared or {}, "files": [f"/pool/{name}"], **more}


def placed(name: str = "a", declared: Vm | None = None, **place: Any) -> Vm:
    """One with a place in the order of its host."""
    more = {key: place.pop(key) for key in ("ssh_after", "start_fails", "start_seconds") if key in place}
    return vm(name, {**(declared or {}), "autostart": {"vm_name": name, **place}}, **more)


def boots(value: Any, *others: Vm, **first: Any) -> Declared:
    """A boot with the value set in the first VM's place."""
    return Declared(value, (placed(**first), *others), (BOOT,), "autostart")


INFO: dict[str, Any] = {"task": "vm_lifecycle_info"}
MEASURED: dict[str, Any] = {"task": "vm_lifecycle_info", "arguments": {"include": ["snapshot"]}}
GIB = 2**30


def measured(one: Vm, other: Vm, late: float = 60.0) -> Recorded:
    """What snapshots of two VMs say, a minute after the beginning. late: seconds after which the other one is measured."""
    return Recorded(
        ([one], [{"advance": 60.0}, MEASURED]),
        ([other], [{"advance": late}, MEASURED]),
        lambda outcome: outcome["vms"][0]["snapshot"],
    )


def schedule(one: Vm, other: Vm, step: dict[str, Any] | None = None) -> Recorded:
    """What is said of the schedules of two VMs."""
    steps = [step or PLANNED]
    return Recorded(([one], steps), ([other], steps), _schedule)


def recovery(one: Vm, other: Vm, late: int = 0, **arguments: Any) -> Recorded:
    """What vm_recovery says of two VMs. late: seconds after which it looks at the other one; arguments: for that one alone."""
    capture = {"state": "captured", "name": one["name"]}
    second = {"state": "captured", "name": other["name"], **arguments}
    return Recorded(
        ([one], [{"task": "vm_recovery", "arguments": capture}]),
        ([other], [{"advance": late}, {"task": "vm_recovery", "arguments": second}]),
        lambda outcome: outcome["vms"][0]["recovery"],
    )


def _schedule(outcome: dict[str, Any]) -> Any:
    return outcome["vms"][0].get("schedule") or {}


def _persistence(outcome: dict[str, Any]) -> Any:
    row = outcome["vms"][0]
    return {**row, **row["persistence"]}


TEMPORARY, LATER = vm(declared=DUE), vm(declared={**DUE, "ttl_hours": 999})
ON = vm(state="running")
RUNNING = vm(declared=DUE, state="running", obeys_after=30.0)
PLANNED: dict[str, Any] = {"task": "vm_cleanup", "arguments": {"state": "planned"}}
FAILED: list[dict[str, Any]] = [{"do": "refuse", "what": "undefine", "message": "no"}, SWEEP, {"advance": 60}]
FAILED_FOR_GOOD = FAILED + [step for _attempt in range(8) for step in ({"advance": 86400}, SWEEP)]


def after(steps: list[dict[str, Any]]) -> Recorded:
    """What is said of a VM's schedule after steps, against before them."""
    return Recorded(([TEMPORARY], [INFO]), ([TEMPORARY], [*steps, INFO]), _schedule)


#: The schemas whose attributes are listed.
SEED = (
    "VmPersistence", "VmLifecyclePolicy", "VmCleanupSchedule", "VmCleanupPolicy", "VmAutoStartConfig", "VmRecoveryState",
    "VmStateSnapshot",
)  # fmt: skip
#: Attributes on which nothing acts yet, and why; `make attributes` fails while there are any.
OPEN: dict[str, str] = {}

ROWS: dict[str, Label | Declared | Recorded | Supervised | Pressed | Told | OfPolicy] = {
    "VmPersistence.mode": Declared("temporary", (vm(declared={"ttl_hours": 4}),), (SWEEP,)),
    "VmPersistence.auto_start": Declared(True, (vm(),), (BOOT,)),
    "VmPersistence.restart_policy": Supervised("no"),
    "VmPersistence.max_retries": Supervised(2, lives=2.0),
    "VmPersistence.ttl_hours": Declared(999, (TEMPORARY,), (SWEEP,)),
    "VmPersistence.auto_cleanup": Declared(False, (TEMPORARY,), (SWEEP,)),
    "VmPersistence.force_cleanup": Declared(True, (RUNNING,), (SWEEP,)),
    "VmPersistence.cleanup_grace_period": Declared(10, (RUNNING,), (SWEEP,)),
    "VmPersistence.created_at_unix": Told({"created_at_unix": NOW - 10 * HOUR}, "vm_persistence", DUE),
    "VmPersistence.scheduled_cleanup": Recorded(([TEMPORARY], [INFO]), ([LATER], [INFO]), _persistence),
    "VmPersistence.last_state_change": Recorded(
        ([vm()], [INFO]),
        ([vm()], [{"advance": 60}, {"do": "start", "vm": "a"}, {"do": "look"}, INFO]),
        _persistence,
    ),
    "VmLifecyclePolicy.on_host_reboot": Declared("keep-stopped", (vm(last={}),), (BOOT,), "policy"),
    "VmLifecyclePolicy.on_memory_pressure": Pressed(
        "suspend", {"do": "strain", "available": 1.0}, {"do": "strain", "available": 50.0}
    ),
    "VmLifecyclePolicy.on_disk_full": Pressed(
        "kill",
        {"do": "leave_room", "place": "/vms", "mib": 20.0},
        {"do": "leave_room", "place": "/vms", "mib": 9000.0},
    ),
    "VmLifecyclePolicy.on_host_shutdown": Declared(
        "save-state", (vm(state="running"),), ({"do": "go_down"}, {"task": "shutdown"}), "policy"
    ),
    "VmLifecyclePolicy.enforce_memory_limit": Told({"enforce_memory_limit": False}, "vm_persistence", {}, "policy"),
    "VmLifecyclePolicy.enforce_cpu_limit": Told({"enforce_cpu_limit": False}, "vm_persistence", {}, "policy"),
    "VmLifecyclePolicy.enforce_disk_limit": Declared(
        True,
        (vm(declared={"policy": {"enforce_disk_limit": False}}, state="running", disk_usage=[2 * GIB, GIB]),),
        ({"task": "limits"},),
        "policy",
    ),
    "VmCleanupSchedule.vm_name": schedule(TEMPORARY, vm("b", DUE)),
    "VmCleanupSchedule.vm_id": schedule(TEMPORARY, vm(declared=DUE, uuid=9)),
    "VmCleanupSchedule.mode": schedule(TEMPORARY, vm(), INFO),
    "VmCleanupSchedule.created_at": schedule(TEMPORARY, vm(declared={**DUE, "created": 11})),
    "VmCleanupSchedule.scheduled_cleanup_at": schedule(TEMPORARY, LATER),
    "VmCleanupSchedule.ttl_hours": schedule(TEMPORARY, LATER),
    "VmCleanupSchedule.cleanup_status": after(FAILED_FOR_GOOD),
    "VmCleanupSchedule.cleanup_attempts": after(FAILED),
    "VmCleanupSchedule.last_cleanup_attempt": after(FAILED),
    "VmCleanupSchedule.cleanup_error": after(FAILED),
    "VmAutoStartConfig.vm_name": Label("says whose place in the order it is; depends_on of others has the name"),
    "VmAutoStartConfig.enabled": boots(False),
    "VmAutoStartConfig.start_order": boots(2000, placed("b", wait_for_ssh=False)),
    "VmAutoStartConfig.start_delay_seconds": boots(30),
    "VmAutoStartConfig.wait_for_ssh": boots(False),
    "VmAutoStartConfig.ssh_timeout_seconds": boots(20, ssh_after=None),
    "VmAutoStartConfig.on_start_failure": boots("ignore", placed("b", depends_on=["a"]), start_fails=9),
    "VmAutoStartConfig.max_start_retries": boots(1, start_fails=9, on_start_failure="retry"),
    "VmAutoStartConfig.depends_on": boots(["b"], placed("b", start_order=2000)),
    "VmRecoveryState.vm_name": recovery(vm(), vm("b")),
    "VmRecoveryState.vm_id": recovery(vm(), vm(uuid=9)),
    "VmRecoveryState.state_before_shutdown": recovery(vm(), vm(state="paused")),
    "VmRecoveryState.creation_timestamp": recovery(vm(), vm(declared={"created": 20})),
    "VmRecoveryState.last_checkpoint": recovery(vm(), vm(), late=60),
    "VmRecoveryState.memory_snapshot": recovery(vm(state="running"), vm(state="running"), memory_path="/backup/a"),
    "VmRecoveryState.memory_size_mb": recovery(vm(state="running"), vm(state="running"), memory_path="/backup/a"),
    "VmRecoveryState.config_snapshot": recovery(vm(), vm(memory_mib=1024)),
    "VmStateSnapshot.vm_name": measured(ON, {**ON, "name": "b"}),
    "VmStateSnapshot.snapshot_time": measured(ON, ON, 90.0),
    "VmStateSnapshot.vm_state": measured(ON, {**ON, "state": "paused"}),
    "VmStateSnapshot.cpu_usage_percent": measured(ON, {**ON, "load": 0.5}),
    "VmStateSnapshot.memory_usage_mb": measured(ON, {**ON, "resident_mib": 700}),
    "VmStateSnapshot.disk_usage_gb": measured(ON, {**ON, "files": []}),
    "VmStateSnapshot.ip_addresses": measured(ON, {**ON, "address": "10.0.0.99"}),
    "VmStateSnapshot.mac_addresses": measured(ON, {**ON, "macs": []}),
    "VmStateSnapshot.uptime_seconds": measured(ON, ON, 90.0),
    "VmStateSnapshot.restart_count": measured(ON, {**ON, "restart": {"restart_count": 3}}),
    **{f"VmCleanupPolicy.{name}": OfPolicy() for name in SCHEMAS["VmCleanupPolicy"]["properties"]},
}
