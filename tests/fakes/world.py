"""A host as one JSON-able document, on which every change is a numbered effect that a test can cut, refuse or watch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.policy.power import STOPPED
from vm_lifecycle.ports import World

from .turns import Turns

#: Effects that an engine causes on disk or on a VM, and the code of the error when the host refuses them.
EFFECTS = {
    "save": "store_unusable",
    "write_intent": "store_unusable",
    "drop_intent": "store_unusable",
    "write_metadata": "effect_failed",
    "set_autostart": "effect_failed",
    "set_actions": "effect_failed",
    "set_limit": "limit_refused",
    "pause": "effect_failed",
    "resume": "effect_failed",
    "set_panic_device": "effect_failed",
    "request_shutdown": "effect_failed",
    "power_off": "effect_failed",
    "undefine": "effect_failed",
    "delete_volume": "effect_failed",
    "define": "effect_failed",
    "write_undo": "store_unusable",
    "drop_undo": "store_unusable",
    "start": "effect_failed",
    "activate": "effect_failed",
    "save_memory": "save_failed",
    "save_memory_to": "save_failed",
    "set_memory_aside": "effect_failed",
    "drop_interrupted_memory": "effect_failed",
    "restore_memory": "effect_failed",
    "write_manifest": "store_unusable",
    "drop_manifest": "store_unusable",
}

EMPTY_STORE: dict[str, Any] = {
    "records": {}, "schedules": {}, "clock": None, "intents": {}, "operations": [], "problem": "",
    "undo": {}, "plans": {}, "notices": {}, "pools": {}, "states": {}, "starts": {}, "boot": None,
    "recoveries": {}, "manifests": {}, "restarts": {}, "pressed": {}, "snapshots": {}, "counters": {}, "sweep": None,
}  # fmt: skip

#: Events of a domain that stops: its guest was asked to, its process ended or was ended, its memory was saved.
OBEYED, CRASHED = (("shutdown", 1), ("stopped", 0)), (("stopped", 5),)
DESTROYED, SAVED = (("shutdown", 2), ("stopped", 1)), (("suspended", 0), ("stopped", 4))


class PowerCut(BaseException):
    """The run ends between two effects; nothing in the engine may catch it."""


class Machine:
    """The document and what surrounds it during a test. state is JSON-able; everything else is the test's own.

    state: clock {now, boottime, boot_id, synchronised}, zone, features, configuration, domains, files, pools,
    problems, store, claims (UUIDs held by other runs), refuse {effect or read: message}, pressure {cpu, io, memory},
    networks, going_down, stop_budget, free_mib, controllers {memory, cpu: what is missing, lockable_kib},
    memory {waited, available}, room {file system: free MiB}.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = copy.deepcopy(state)
        for key, value in (
            ("pressure", {}),
            ("networks", []),
            ("going_down", False),
            ("images", {}),
            ("qemu", 7002000),
            ("stop_budget", 1e9),
            ("free_mib", 10000),
            ("controllers", {}),
            ("memory", {}),
            ("room", {}),
        ):
            self.state.setdefault(key, copy.deepcopy(value))
        self.state["store"] = {**copy.deepcopy(EMPTY_STORE), **self.state["store"]}
        self.effects: list[str] = []
        self.messages: list[str] = []
        #: What journald was told, and what the hooks were given.
        self.journal: list[LogOperation] = []
        self.delivered: list[dict[str, Any]] = []
        self.held: set[str] = set()
        #: The run is cut after this many effects.
        self.cut_after: int | None = None
        #: Called with (machine, kind, subject) just before an effect, and with (machine, number) just after it.
        self.before_effect: Callable[[Machine, str, Any], None] | None = None
        self.after_effect: Callable[[Machine, int], None] | None = None
        #: Called with (kind of event, detail, domain) as libvirt tells its events.
        self.on_event: Callable[[str, int, dict[str, Any]], None] | None = None
        self._began = float(self.clock["now"])

    @property
    def clock(self) -> dict[str, Any]:
        """The clocks: now and boottime in seconds."""
        clock: dict[str, Any] = self.state["clock"]
        return clock

    @property
    def store(self) -> dict[str, Any]:
        """Contents of the store."""
        store: dict[str, Any] = self.state["store"]
        return store

    def find(self, uuid: str) -> dict[str, Any] | None:
        """A domain by UUID."""
        return next((domain for domain in self.state["domains"] if domain["uuid"] == uuid), None)

    def named(self, name: str) -> dict[str, Any]:
        """A domain by name; KeyError when there is none."""
        for domain in self.state["domains"]:
            if domain["name"] == name:
                return dict_of(domain)
        raise KeyError(name)

    def refuse(self, what: str) -> None:
        """Raise what the host answers to a read or an effect that its document refuses."""
        message = self.state["refuse"].get(what)
        if message:
            raise EffectError(EFFECTS.get(what, "effect_failed"), message)

    @contextmanager
    def effect(self, kind: str, text: str, subject: Any = None) -> Iterator[None]:
        """One change: watched, refused or done, logged with its virtual time, and perhaps the last one before a cut."""
        self.refuse(kind)
        if self.before_effect:
            self.before_effect(self, kind, subject)
        yield
        elapsed = self.clock["now"] - self._began
        self.effects.append(f"{elapsed:+.1f} {kind} {text}".rstrip())
        if self.cut_after is not None and len(self.effects) >= self.cut_after:
            raise PowerCut
        if self.after_effect:
            self.after_effect(self, len(self.effects))

    def tell(self, domain: dict[str, Any], *events: tuple[str, int]) -> None:
        """What libvirt tells whoever listens."""
        if self.on_event is not None:
            for kind, detail in events:
                self.on_event(kind, detail, domain)

    def advance(self, seconds: float) -> None:
        """Let time pass; guests that were asked to shut down may obey in it."""
        self.clock["now"] += seconds
        self.clock["boottime"] += seconds
        for domain in list(self.state["domains"]):
            ends = [moment for moment in (domain["stops_at"], domain["crashes_at"]) if moment is not None]
            if ends and min(ends) <= self.clock["boottime"]:
                self.stop(domain, *(CRASHED if domain["crashes_at"] == min(ends) else OBEYED))

    def run(self, domain: dict[str, Any]) -> None:
        """The domain's process runs from now on; memory that was saved is used up."""
        after = domain["crashes_after"]
        domain.update(
            state="running", saved=False, image=None, started_at=self.clock["boottime"], reason="", runs=domain["runs"] + 1,
            live=dict(domain["limits"]),
            crashes_at=None if after is None else self.clock["boottime"] + after,
        )  # fmt: skip
        self.tell(domain, ("started", 0))

    def stop(self, domain: dict[str, Any], *events: tuple[str, int]) -> None:
        """The domain's process ends; a transient domain is gone with it. events: what libvirt tells of it."""
        if domain["state"] != "shutoff":
            self.tell(domain, *events)
        detail = events[-1][1] if events else 0
        # libvirt knows no more of a shutdown than that it was one
        domain.update(state="shutoff", off_reason=STOPPED.get(detail, "unknown"), live={})
        domain["reason"] = "crashed" if events == CRASHED else ""
        domain["stops_at"] = domain["crashes_at"] = None
        if not domain["persistent"]:
            self.state["domains"].remove(domain)

    def kill_run(self) -> None:
        """The run's process is killed: its claims vanish with it, guests go on."""
        self.held.clear()
        self.cut_after = None

    def power_cut(self, down: float = 60.0) -> None:
        """The host loses power and boots: guests are off unless libvirt starts them, the boot is another one."""
        self.kill_run()
        for domain in list(self.state["domains"]):
            self.stop(domain)
        self.clock.update(now=self.clock["now"] + down, boottime=30.0, boot_id=self.clock["boot_id"] + "+")
        self.state["going_down"] = False
        for domain in self.state["domains"]:
            if domain["autostart"]:
                self.run(domain)
        for network in self.state["networks"]:
            network["active"] = network["autostart"]

    def new_inode(self) -> int:
        """An inode number that no file ever had."""
        self.state["inodes"] = self.state.get("inodes", 9000) + 1
        number: int = self.state["inodes"]
        return number


def dict_of(value: Any) -> dict[str, Any]:
    """A dictionary, for the type checker."""
    assert isinstance(value, dict)
    return value


def ports(machine: Machine) -> World:
    """The machine's three ports."""
    from .host import FakeHost
    from .hypervisor import FakeHypervisor
    from .store import MemoryStore

    # each run has its own: one that comes in between, as another process, ends before this one goes on
    turns = Turns(machine.advance, lambda: float(machine.clock["boottime"]))
    return World(FakeHypervisor(machine, turns), MemoryStore(machine), FakeHost(machine, turns))
