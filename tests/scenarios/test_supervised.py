"""Every boot and every shutdown of the scenarios with a supervisor beside it: the same VMs run, now and after a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.boots import PowerEvent
from vm_lifecycle.errors import EffectError
from vm_lifecycle.recorder import Recorder

from tests.fakes.build import build
from tests.fakes.world import Machine, ports

from .player import call, directories, load, play
from .updown import document_of

BOOT: dict[str, Any] = {"task": "boot"}
NAMES = [path for path in directories() if path.name.startswith(("boot-", "shutdown-"))]
#: A person stops a VM in the middle of a run, which nobody but a supervisor sees; without one it comes back.
SEEN_BY_EVENTS_ALONE = ("boot-stopped-meanwhile",)


class Watched(Machine):
    """A machine whose supervisor records what it hears: at once, or late, when a run has written what it did itself.

    looking: it also looks each time before it takes what it heard. What it writes is no effect of the run, so effects keep
    their numbers.
    """

    def __init__(self, state: dict[str, Any], late: bool, looking: bool = False) -> None:
        super().__init__(state)
        self._late, self._looking, self._inside = late, looking, False
        self._heard: list[PowerEvent] = []
        self.on_event = self._hear
        self.begin()

    def begin(self) -> None:
        """A supervisor starts, and looks."""
        self._heard.clear()
        self._recorder = Recorder(ports(self))
        with self._recording():
            self._recorder.look()

    def _hear(self, kind: str, detail: int, domain: dict[str, Any]) -> None:
        self._heard.append(PowerEvent(domain["uuid"], domain["name"], kind, detail))
        if not self._late:
            self._record()

    def _record(self) -> None:
        heard, self._heard = self._heard, []
        with self._recording():
            if self._looking:
                self._recorder.look()
            if heard:
                self._recorder.take(heard)
            else:
                self._recorder.catch_up()

    @contextmanager
    def _recording(self) -> Iterator[None]:
        self._inside = True
        with suppress(EffectError):
            yield
        self._inside = False

    @contextmanager
    def effect(self, kind: str, text: str, subject: Any = None) -> Iterator[None]:
        if self._inside:
            self.refuse(kind)
            yield
            return
        with super().effect(kind, text, subject):
            yield
        if kind == "save":
            self._record()

    def advance(self, seconds: float) -> None:
        self._record()
        super().advance(seconds)

    def power_cut(self, down: float = 60.0) -> None:
        self._heard.clear()
        super().power_cut(down)
        self.begin()


def running(machine: Machine) -> list[str]:
    """Names of the managed VMs that run."""
    return sorted(each["name"] for each in machine.state["domains"] if each["state"] != "shutoff" and document_of(each))


def outcomes(machine: Machine, steps: list[dict[str, Any]]) -> list[list[str]]:
    """What runs at the end of a scenario, and when the power is cut then and comes back."""
    calls = play(machine, steps, [])
    assert not any(made.violations for made in calls)
    found = [running(machine)]
    machine.power_cut()
    call(machine, BOOT)
    return [*found, running(machine)]


@pytest.mark.parametrize(
    ("late", "looking"), [(False, False), (True, False), (True, True)], ids=["at once", "late", "looking"]
)
@pytest.mark.parametrize("directory", NAMES, ids=lambda path: path.name)
def test_supervised(directory: Path, late: bool, looking: bool) -> None:
    """Whoever writes first, and whoever looks first after a boot."""
    machine, steps = load(directory)
    watched = Watched(machine.state, late, looking)
    watched_now, watched_later = outcomes(watched, steps)
    now, later = outcomes(*load(directory))
    assert watched_now == now
    if directory.name not in SEEN_BY_EVENTS_ALONE:
        assert watched_later == later


@pytest.mark.parametrize("deeds", [["stop"], ["start", "stop"]])
def test_a_person_who_stops_a_vm(deeds: list[str]) -> None:
    """While it is waited for, or before its turn: it stays down. When its process dies it is started again."""
    place = {"vm_name": "vm", "ssh_timeout_seconds": 60, "start_delay_seconds": 10 * (len(deeds) - 1)}
    vm = {"name": "vm", "state": "shutoff", "ssh_after": None, "declared": {"mode": "permanent", "autostart": place}}
    for deed, expected in ((deeds, "shutoff"), ([*deeds[:-1], "crash"], "running")):
        watched = Watched(build({"domains": [vm]}), late=False)
        after = "2" if len(deeds) == 1 else "1"
        play(watched, [{**BOOT, "meanwhile": {after: [{"do": each, "vm": "vm"} for each in deed]}}], [])
        assert watched.named("vm")["state"] == expected


def test_a_vm_that_is_declared_while_it_runs() -> None:
    """No event tells of that; it comes back after a power cut all the same."""
    watched = Watched(build({"domains": [{"name": "vm"}]}), late=False)
    call(watched, {"task": "vm_persistence", "arguments": {"vms": [{"name": "vm", "mode": "permanent"}]}})
    watched.advance(5)
    watched.power_cut()
    call(watched, BOOT)
    assert watched.named("vm")["state"] == "running"


@pytest.mark.parametrize("deed", ["crash", "stop", "pause"])
def test_what_is_heard_right_after_a_start(deed: str) -> None:
    """The boot does not write over it that the VM runs."""
    vm = {"name": "vm", "state": "shutoff", "declared": {"mode": "permanent", "auto_start": True}}
    watched = Watched(build({"domains": [vm]}), late=False)
    play(watched, [{**BOOT, "meanwhile": {"2": [{"do": deed, "vm": "vm"}]}}], [])
    (stored,) = watched.store["states"].values()
    assert stored["state"] == watched.named("vm")["state"]


def test_a_soft_reboot() -> None:
    """The boot is the same one. Who was stopped by a person before stays down, and the others come up."""
    vms: list[dict[str, Any]] = [
        {"name": name, "state": "shutoff", "declared": {}, "last": {}} for name in ("ran", "stopped")
    ]
    watched = Watched(build({"domains": vms}), late=False)
    steps = [
        BOOT,
        {"do": "stop", "vm": "stopped"},
        {"do": "go_down"},
        {"task": "shutdown"},
        {"do": "soft_reboot"},
        BOOT,
    ]
    play(watched, steps, [])
    assert running(watched) == ["ran"]
