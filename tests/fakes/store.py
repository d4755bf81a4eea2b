"""Store port on a Machine: the contents are JSON, so what does not survive a round trip shows here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vm_lifecycle.changes import Forget, LogOperation, Remember, RememberClock, RememberSchedule, StoreChange
from vm_lifecycle.errors import EffectError
from vm_lifecycle.model import ClockMemory, ClockReading, Document, FileIdentity, Intent, Record, VolumeVerdict

from .world import Machine


class MemoryStore:
    """save is all or nothing, as a transaction is; problem makes every call fail."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _contents(self) -> dict[str, Any]:
        store = self._machine.store
        if store["problem"]:
            raise EffectError("store_unusable", store["problem"])
        return store

    def records(self) -> dict[str, Record]:
        return {uuid: Record(**record) for uuid, record in self._contents()["records"].items()}

    def schedules(self) -> dict[str, Document]:
        return dict(json.loads(json.dumps(self._contents()["schedules"])))

    def clock(self) -> ClockMemory:
        stored = self._contents()["clock"]
        if stored is None:
            return ClockMemory()
        suspect = stored["suspect_since"]
        return ClockMemory(**{**stored, "suspect_since": ClockReading(**suspect) if suspect else None})

    def operations(self, limit: int) -> list[LogOperation]:
        return [LogOperation(**line) for line in reversed(self._contents()["operations"][-limit:] if limit else [])]

    def save(self, changes: Sequence[StoreChange]) -> None:
        store = self._contents()
        with self._machine.effect("save", ", ".join(_word(change) for change in changes), list(changes)):
            for change in changes:
                _write(store, change)

    def intents(self) -> list[Intent]:
        return [decode_intent(self._contents()["intents"][uuid]) for uuid in sorted(self._contents()["intents"])]

    def damage(self) -> list[str]:
        return []

    def write_intent(self, intent: Intent) -> None:
        store = self._contents()
        with self._machine.effect("write_intent", intent.name + (" armed" if intent.armed else ""), intent):
            store["intents"][intent.uuid] = json.loads(json.dumps(asdict(intent)))

    def drop_intent(self, uuid: str) -> None:
        store = self._contents()
        if uuid not in store["intents"]:
            return
        with self._machine.effect("drop_intent", store["intents"][uuid]["name"], uuid):
            del store["intents"][uuid]


def decode_intent(stored: dict[str, Any]) -> Intent:
    """An Intent from its JSON form."""
    volumes = tuple(
        VolumeVerdict(**{
            **verdict,
            "used_by": tuple(verdict["used_by"]),
            "identity": FileIdentity(**verdict["identity"]) if verdict["identity"] else None,
        })
        for verdict in stored["volumes"]
    )  # fmt: skip
    return Intent(**{**stored, "volumes": volumes})


def _word(change: StoreChange) -> str:
    if isinstance(change, Remember):
        return f"record {change.record.name} r{change.record.revision}"
    if isinstance(change, Forget):
        return "forget"
    if isinstance(change, RememberSchedule):
        return f"schedule {change.schedule.get('vm_name')} {change.schedule.get('cleanup_status')}"
    if isinstance(change, RememberClock):
        return "clock suspect" if change.memory.suspect_since else "clock"
    return f"log {change.operation} {change.outcome}"


def _write(store: dict[str, Any], change: StoreChange) -> None:
    if isinstance(change, Remember):
        known = store["records"].get(change.record.uuid)
        if known is not None and known["revision"] > change.record.revision:
            return
        store["records"][change.record.uuid] = json.loads(json.dumps(asdict(change.record)))
    elif isinstance(change, Forget):
        store["records"].pop(change.uuid, None)
        store["schedules"].pop(change.uuid, None)
    elif isinstance(change, RememberSchedule):
        store["schedules"][change.uuid] = json.loads(json.dumps(change.schedule))
    elif isinstance(change, RememberClock):
        store["clock"] = asdict(change.memory)
    else:
        store["operations"].append(asdict(change))
