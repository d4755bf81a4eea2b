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

from tests.fakes.world import Machine, ports

from .player import call, directories, load, play
from .updown import document_of

BOOT: dict[str, Any] = {"task": "boot"}
NAMES = [path for path in directories() if path.name.startswith(("boot-", "shutdown-"))]


class Watched(Machine):
    """A machine whose supervisor records what it hears: at once, or late, when a run has written what it did itself.

    What it writes is no effect of the run, so effects keep their numbers.
    """

    def __init__(self, state: dict[str, Any], late: bool) -> None:
        super().__init__(state)
        self._late, self._inside = late, False
        self._heard: list[PowerEvent] = []
        self.on_event = self._hear
        self._begin()

    def _begin(self) -> None:
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
        if heard:
            with self._recording():
                self._recorder.take(heard)

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
        self._begin()


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


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize("directory", NAMES, ids=lambda path: path.name)
def test_supervised(directory: Path, late: bool) -> None:
    """Whoever writes first, and whoever looks first after a boot."""
    machine, steps = load(directory)
    watched = Watched(machine.state, late)
    assert outcomes(watched, steps) == outcomes(*load(directory))
