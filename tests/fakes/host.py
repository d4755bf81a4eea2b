"""Host port on a Machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from zoneinfo import ZoneInfo

from vm_lifecycle.errors import refuse
from vm_lifecycle.model import ClockReading

from .world import Machine


class FakeHost:
    """Virtual clocks, claims in memory. state["claims"] are held by runs outside the test."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def clock(self) -> ClockReading:
        return ClockReading(**self._machine.clock)

    def zone(self) -> tzinfo:
        return ZoneInfo(self._machine.state["zone"])

    def sleep(self, seconds: float) -> None:
        self._machine.advance(seconds)

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
