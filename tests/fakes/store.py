"""Store port on a Machine: the contents are JSON, so what does not survive a round trip shows here."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from vm_lifecycle.adapters.durable_files import NOT_UNDERSTOOD
from vm_lifecycle.adapters.removal_rows import decode_intent, decode_plan, decode_undo
from vm_lifecycle.boots import BootRun, LastState, StartRecord
from vm_lifecycle.changes import (
    DropPlan,
    Forget,
    ForgetPressed,
    ForgetRecovery,
    NoticeTried,
    Prune,
    QueueNotice,
    Remember,
    RememberPlan,
    RememberPools,
    RememberPressed,
    RememberRecovery,
    RememberRestart,
    RememberSchedule,
    RememberSnapshot,
    RememberSweep,
    StoreChange,
)
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import LogOperation, RememberBoot, RememberClock, RememberStart, RememberState
from vm_lifecycle.model import ClockMemory, ClockReading, Document, Record
from vm_lifecycle.policy.power import heard_since
from vm_lifecycle.pressures import Pressed
from vm_lifecycle.recoveries import Configuration, DiskMark, Manifest, Memory, Recovery
from vm_lifecycle.recoveries import Machine as MachineType
from vm_lifecycle.removals import Intent, Notice, SweepPlan, UndoRecord
from vm_lifecycle.restarts import RestartRecord
from vm_lifecycle.snapshots import Counters, SweepRun
from vm_lifecycle.times import iso, unix

from .world import Machine

Found = TypeVar("Found", Intent, UndoRecord)


def decode_recovery(stored: Any) -> Recovery:
    """A Recovery from its JSON."""
    memory = stored["memory"]
    return Recovery(**{
        **stored, "configuration": Configuration(**stored["configuration"]), "memory": Memory(**memory) if memory else None,
    })  # fmt: skip


def decode_manifest(stored: Any) -> Manifest:
    """A Manifest from its JSON."""
    return Manifest(**{
        **stored, "memory": Memory(**stored["memory"]), "machine": MachineType(**stored["machine"]),
        "disks": tuple(DiskMark(**disk) for disk in stored["disks"]),
    })  # fmt: skip


class MemoryStore:
    """save is all or nothing, as a transaction is; problem makes every call fail."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _contents(self) -> dict[str, Any]:
        store = self._machine.store
        if store["problem"]:
            raise EffectError("store_unusable", store["problem"])
        return store

    def _of(self, table: str, uuids: Collection[str] | None) -> dict[str, Any]:
        return {uuid: row for uuid, row in self._contents()[table].items() if uuids is None or uuid in uuids}

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    def stamp(self) -> object:
        return json.dumps(self._contents(), sort_keys=True, default=str)

    def records(self, uuids: Collection[str] | None = None) -> dict[str, Record]:
        return {uuid: Record(**record) for uuid, record in self._of("records", uuids).items()}

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
        changes = [change for change in changes if not _is_older(store, change)]
        with self._machine.effect("save", ", ".join(_word(change) for change in changes), list(changes)):
            for change in changes:
                _write(store, change)

    def plans(self) -> list[SweepPlan]:
        found = [decode_plan(json.loads(json.dumps(plan))) for plan in self._contents()["plans"].values()]
        return sorted(found, key=lambda plan: (plan.created_unix, plan.plan_id))

    def notices(self) -> list[Notice]:
        return [Notice(**notice) for notice in self._contents()["notices"].values()]

    def pools(self) -> dict[str, int]:
        return dict(self._contents()["pools"])

    def states(self, uuids: Collection[str] | None = None) -> dict[str, LastState]:
        return {uuid: LastState(**state) for uuid, state in self._of("states", uuids).items()}

    def starts(self, uuids: Collection[str] | None = None) -> dict[str, StartRecord]:
        return {uuid: StartRecord(**start) for uuid, start in self._of("starts", uuids).items()}

    def restarts(self, uuids: Collection[str] | None = None) -> dict[str, RestartRecord]:
        return {uuid: RestartRecord(**each) for uuid, each in self._of("restarts", uuids).items()}

    def recorded(self) -> frozenset[str]:
        return frozenset(self._contents()["records"])

    def pressed(self) -> dict[str, Pressed]:
        return {uuid: Pressed(**each) for uuid, each in self._contents()["pressed"].items()}

    def boot(self) -> BootRun | None:
        stored = self._contents()["boot"]
        return BootRun(**stored) if stored else None

    def recoverable(self) -> frozenset[str]:
        return frozenset(self._contents()["recoveries"])

    def recoveries(self, uuids: Collection[str] | None = None) -> dict[str, Recovery]:
        return {uuid: decode_recovery(copy.deepcopy(each)) for uuid, each in self._of("recoveries", uuids).items()}

    def manifests(self) -> dict[str, Manifest]:
        return {uuid: decode_manifest(copy.deepcopy(each)) for uuid, each in self._contents()["manifests"].items()}

    def write_manifest(self, manifest: Manifest) -> None:
        store = self._contents()
        with self._machine.effect("write_manifest", manifest.name + ("" if manifest.disks else " begun"), manifest):
            store["manifests"][manifest.uuid] = json.loads(json.dumps(asdict(manifest)))

    def drop_manifest(self, uuid: str) -> None:
        store = self._contents()
        if uuid not in store["manifests"]:
            return
        with self._machine.effect("drop_manifest", store["manifests"][uuid]["name"], uuid):
            del store["manifests"][uuid]

    def directory(self, name: str) -> str:
        return f"/state/{name}"

    def snapshots(self, limit: int) -> dict[str, list[Document]]:
        kept = self._contents()["snapshots"].items()
        return {uuid: json.loads(json.dumps(found[::-1][:limit])) for uuid, found in kept if found[:limit]}

    def counters(self) -> dict[str, Counters]:
        return {uuid: Counters(**counters) for uuid, counters in self._contents()["counters"].items()}

    def sweep(self) -> SweepRun | None:
        stored = self._contents()["sweep"]
        return SweepRun(**stored) if stored else None

    def intents(self) -> list[Intent]:
        return list(self._files("intents", decode_intent)[0].values())

    def undo_records(self) -> list[UndoRecord]:
        return list(self._files("undo", decode_undo)[0].values())

    def _files(self, kind: str, decode: Callable[[Any], Found]) -> tuple[dict[str, Found], list[str]]:
        """What can be understood, and names of the rest: as one file each."""
        found, damaged = {}, []
        for uuid, stored in sorted(self._contents()[kind].items()):
            try:
                value = decode(json.loads(json.dumps(stored)))  # a copy, since decoders take what they are given apart
            except NOT_UNDERSTOOD:
                damaged.append(f"{kind}/{uuid}.json can't be understood")
                continue
            if value.uuid == uuid:
                found[uuid] = value
            else:
                damaged.append(f"{kind}/{uuid}.json can't be understood")
        return found, damaged

    def write_undo(self, record: UndoRecord) -> None:
        store = self._contents()
        with self._machine.effect("write_undo", record.name, record):
            store["undo"][record.uuid] = json.loads(json.dumps(asdict(record)))

    def drop_undo(self, uuid: str) -> None:
        store = self._contents()
        if uuid not in store["undo"]:
            return
        with self._machine.effect("drop_undo", store["undo"][uuid]["name"], uuid):
            del store["undo"][uuid]

    def damage(self) -> list[str]:
        return [*self._files("intents", decode_intent)[1], *self._files("undo", decode_undo)[1]]

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


def _is_older(store: dict[str, Any], change: StoreChange) -> bool:
    """Whether a supervisor wrote something newer, which stays."""
    if not isinstance(change, RememberState) or change.unless_heard_since is None:
        return False
    known = store["states"].get(change.state.uuid)
    return known is not None and heard_since(LastState(**known), change.unless_heard_since, change.state.boot_id)


def _word(change: StoreChange) -> str:
    if isinstance(change, Remember):
        return f"record {change.record.name} r{change.record.revision}"
    if isinstance(change, Forget):
        return "forget"
    if isinstance(change, RememberSchedule):
        return f"schedule {change.schedule.get('vm_name')} {change.schedule.get('cleanup_status')}"
    if isinstance(change, RememberClock):
        return "clock suspect" if change.memory.suspect_since else "clock"
    if isinstance(change, LogOperation):
        return f"log {change.operation} {change.outcome}"
    if isinstance(change, RememberPools):
        return "pools " + " ".join(f"{name}{' missed' * bool(since)}" for name, since in sorted(change.pools.items()))
    if isinstance(change, RememberPlan):
        agreed = sum(bool(vm.confirmed_unix) for vm in change.plan.vms)
        return f"plan {change.plan.plan_id} {agreed} of {len(change.plan.vms)} confirmed"
    if isinstance(change, DropPlan):
        return f"drop plan {change.plan_id}"
    if isinstance(change, QueueNotice):
        return f"notice {change.notice.kind} {change.notice.name}"
    if isinstance(change, RememberState):
        return f"state {change.state.name} {change.state.state} {change.state.reason}".rstrip()
    if isinstance(change, RememberStart):
        return f"start {change.start.name} {change.start.outcome}"
    if isinstance(change, RememberRecovery):
        return f"recovery {change.recovery.name}{' removed' * change.recovery.removed}"
    if isinstance(change, RememberRestart):
        return f"restart {change.restart.name} {change.restart.phase} {change.restart.reason}".rstrip()
    if isinstance(change, RememberPressed):
        return f"pressed {change.pressed.name} {change.pressed.deed} {change.pressed.cause}"
    if isinstance(change, ForgetPressed):
        return "pressed forgotten"
    if isinstance(change, ForgetRecovery):
        return "recovery forgotten"
    if isinstance(change, RememberBoot):
        return "boot ended" if change.run.ended_unix else "boot began"
    if isinstance(change, RememberSnapshot):
        return f"snapshot {change.sample.snapshot['vm_name']} {change.sample.snapshot['vm_state']}"
    if isinstance(change, RememberSweep):
        return f"sweep {change.sweep.outcome}"
    if isinstance(change, NoticeTried):
        return f"notice {'not ' if change.error else ''}delivered"
    return "prune"


def _write(store: dict[str, Any], change: StoreChange) -> None:
    if isinstance(change, Remember):
        known = store["records"].get(change.record.uuid)
        if known is not None and known["revision"] > change.record.revision:
            return
        store["records"][change.record.uuid] = json.loads(json.dumps(asdict(change.record)))
    elif isinstance(change, Forget):
        store["records"].pop(change.uuid, None)
        for kind in ("schedules", "states", "starts", "recoveries", "restarts", "snapshots", "counters"):
            store[kind].pop(change.uuid, None)
    elif isinstance(change, RememberSchedule):
        store["schedules"][change.uuid] = json.loads(json.dumps(change.schedule))
    elif isinstance(change, RememberClock):
        store["clock"] = asdict(change.memory)
    elif isinstance(change, LogOperation):
        store["operations"].append(asdict(change))
    elif isinstance(change, Prune):
        _prune(store, change)
    else:
        _write_more(store, change)


def _write_more(store: dict[str, Any], change: StoreChange) -> None:
    if isinstance(change, RememberState):
        store["states"][change.state.uuid] = asdict(change.state)
    elif isinstance(change, RememberStart):
        store["starts"][change.start.uuid] = asdict(change.start)
    elif isinstance(change, RememberRecovery):
        store["recoveries"][change.recovery.uuid] = json.loads(json.dumps(asdict(change.recovery)))
    elif isinstance(change, RememberRestart):
        store["restarts"][change.restart.uuid] = asdict(change.restart)
    elif isinstance(change, RememberPressed):
        store["pressed"][change.pressed.uuid] = asdict(change.pressed)
    elif isinstance(change, ForgetPressed):
        store["pressed"].pop(change.uuid, None)
    elif isinstance(change, ForgetRecovery):
        store["recoveries"].pop(change.uuid, None)
    elif isinstance(change, RememberSnapshot):
        uuid, sample = change.sample.uuid, change.sample
        kept = [*store["snapshots"].get(uuid, []), json.loads(json.dumps(sample.snapshot))]
        store["snapshots"][uuid] = kept[-change.keep :]
        store["counters"][uuid] = asdict(sample.counters)
    elif isinstance(change, RememberSweep):
        store["sweep"] = asdict(change.sweep)
    elif isinstance(change, RememberBoot):
        store["boot"] = asdict(change.run)
    elif isinstance(change, RememberPools):
        store["pools"] = dict(change.pools)
    elif isinstance(change, RememberPlan):
        store["plans"][change.plan.plan_id] = json.loads(json.dumps(asdict(change.plan)))
    elif isinstance(change, DropPlan):
        store["plans"].pop(change.plan_id, None)
    elif isinstance(change, QueueNotice):
        store["notices"].setdefault(change.notice.key, asdict(change.notice))
    elif isinstance(change, NoticeTried) and change.key in store["notices"]:
        notice = store["notices"][change.key]
        arrived = 0 if change.error else change.at_unix
        notice.update(attempts=notice["attempts"] + 1, error=change.error, delivered_unix=arrived)


def _prune(store: dict[str, Any], change: Prune) -> None:
    before = iso(max(change.before_unix, 0)) or ""
    for uuid, schedule in list(store["schedules"].items()):
        ended = schedule["cleanup_status"] == "completed" and schedule.get("last_cleanup_attempt", "") < before
        if ended and uuid not in change.existing:
            del store["schedules"][uuid]
            if store["records"].get(uuid, {"document": 1})["document"] == {}:
                del store["records"][uuid]
    for uuid, found in store["snapshots"].items():
        store["snapshots"][uuid] = [each for each in found if unix(each["snapshot_time"]) >= change.before_unix]
    for kind in ("states", "starts", "restarts", "pressed", "snapshots", "counters"):
        for uuid in set(store[kind]) - set(store["records"]) - change.existing:
            del store[kind][uuid]
    times = [line["at_unix"] for line in store["operations"]]
    recent = [place for place, at in enumerate(times) if change.before_unix <= at <= change.now_unix]
    first = min(recent, default=len(times))
    store["operations"] = [
        line for place, line in enumerate(store["operations"]) if place > first or times[place] >= change.before_unix
    ]
    for key, notice in list(store["notices"].items()):
        if max(notice["queued_unix"], notice["delivered_unix"]) < change.before_unix:
            del store["notices"][key]
