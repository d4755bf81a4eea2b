"""Host port on a Machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from vm_lifecycle.errors import refuse
from vm_lifecycle.examination import Examination, Unit
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.limits import Controllers
from vm_lifecycle.model import ClockReading, Pressure
from vm_lifecycle.pressures import MemoryRoom
from vm_lifecycle.removals import Hooks

from .turns import Turns
from .world import Machine


class FakeJobs:
    """Jobs in virtual time."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ended: list[tuple[str, Any]] = []

    def submit(self, key: str, job: Callable[[], Any]) -> None:
        def work() -> None:
            result = job()  # first: its owner may take what has ended, and begin a new list, while it goes on
            self._ended.append((key, result))

        self._turns.submit(work)

    def wait(self, seconds: float | None) -> list[tuple[str, Any]]:
        self._turns.wait(lambda: bool(self._ended), seconds)
        ended, self._ended = self._ended, []
        return ended


class FakeHost:
    """Virtual clocks, claims in memory. state["claims"] are held by runs outside the test."""

    def __init__(self, machine: Machine, turns: Turns | None = None) -> None:
        self._machine = machine
        self._turns = turns or Turns(machine.advance, lambda: float(machine.clock["boottime"]))

    def clock(self) -> ClockReading:
        return ClockReading(**self._machine.clock)

    def zone(self, name: str = "") -> tzinfo:
        try:
            return ZoneInfo(name or self._machine.state["zone"])
        except (KeyError, OSError, ValueError) as error:
            raise refuse("invalid_option", f"{name!r} is not a time zone", field="window_timezone") from error

    def sleep(self, seconds: float) -> None:
        self._turns.sleep(seconds)

    @contextmanager
    def claim(self, uuid: str) -> Iterator[bool]:
        held = self._machine.held
        if uuid in held or uuid in self._machine.state["claims"]:
            yield False
            return
        held.add(uuid)
        try:
            yield True
        finally:
            held.discard(uuid)

    def features(self) -> frozenset[str]:
        return frozenset(self._machine.state["features"])

    def configuration(self, name: str) -> Mapping[str, object] | None:
        document = self._machine.state["configuration"].get(name)
        if document is not None and not isinstance(document, dict):
            raise refuse("invalid_configuration", f"/etc/vm-lifecycle/{name}.json: {document}")
        return document

    def progress(self, message: str) -> None:
        self._machine.messages.append(message)

    def pressure(self) -> Pressure:
        return Pressure(**self._machine.state["pressure"])

    def memory(self) -> MemoryRoom:
        return MemoryRoom(**self._machine.state["memory"])

    def parallel(self, jobs: Sequence[Callable[[], None]], workers: int) -> None:
        if any(getattr(job, "waits", True) for job in jobs):
            self._turns.run(jobs, workers)
        else:  # a job that never sleeps never gives its turn away
            for job in jobs:
                job()

    @contextmanager
    def jobs(self) -> Iterator[FakeJobs]:
        self._turns.enter()
        try:
            yield FakeJobs(self._turns)
        finally:
            self._turns.leave()

    def answers_ssh(self, address: str) -> bool:
        state, now = self._machine.state, self._machine.clock["boottime"]
        return any(
            domain["address"] == address
            and domain["state"] == "running"
            and domain["ssh_after"] is not None
            and now - domain["started_at"] >= domain["ssh_after"]
            for domain in state["domains"]
        )

    def going_down(self) -> bool:
        return bool(self._machine.state["going_down"])

    def stop_budget(self) -> float:
        return float(self._machine.state["stop_budget"])

    def controllers(self) -> Controllers:
        return Controllers(**self._machine.state["controllers"])

    def examination(self) -> Examination:
        """state["examination"]: units by name with what differs from a unit that is inactive, auto_shutdown, problems."""
        given = self._machine.state.get("examination", {})
        units = {name: Unit(name, **unit) for name, unit in given.get("units", {}).items()}
        return Examination(units, given.get("auto_shutdown", {}), tuple(given.get("problems", ())))

    def journal(self, line: LogOperation) -> None:
        self._machine.journal.append(line)

    def deliver(self, hooks: Hooks, event: Mapping[str, object]) -> str:
        refused = self._machine.state["refuse"].get("deliver", "")
        if not refused:
            self._machine.delivered.append(dict(event))
        return str(refused)
