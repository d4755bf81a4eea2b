"""Rows and files of the store that are JSON, and not what they were: every field becomes another kind of value, one at a time.

Damage is told, or counts as unknown; a sweep and a look at the host go on, and nothing but damage sets a database aside.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters import removal_rows, store_rows
from vm_lifecycle.adapters.durable_files import NOT_UNDERSTOOD
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Remember, RememberPlan
from vm_lifecycle.disks import VolumeVerdict
from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.model import Record
from vm_lifecycle.ports import World
from vm_lifecycle.removals import Intent, SeenVm, SweepPlan, UndoRecord
from vm_lifecycle.run import run
from vm_lifecycle.tasks import cleanup, info

from tests.fakes.build import NOW, build, uuid_of
from tests.fakes.hypervisor import identity
from tests.fakes.world import Machine, ports

ODD = [None, "x", "12", -1, 10**30, 1.5, True, [], {}, [None], {"a": 1}, 1e308]
TEMPORARY = {
    "mode": "temporary", "ttl_hours": 4, "policy": {"on_host_reboot": "start"},
    "autostart": {"vm_name": "ci", "depends_on": ["keep"]},
}  # fmt: skip
SCHEDULE = {
    "vm_name": "ci", "cleanup_status": "in-progress", "cleanup_attempts": 1, "cleanup_error": "e",
    "last_cleanup_attempt": "2026-11-25T02:00:00Z", "scheduled_cleanup_at": "2026-11-24T21:00:00Z",
}  # fmt: skip
DUE, GONE, REMOVED = uuid_of(1), uuid_of(7), uuid_of(8)
DECODERS: dict[str, Callable[[Any], Any]] = {
    "intent": removal_rows.decode_intent,
    "undo": removal_rows.decode_undo,
    "plan": removal_rows.decode_plan,
    "record": store_rows.decode_record,
    "schedule": store_rows.decode_schedule,
}


def host() -> Machine:
    """One VM that is due, one that is permanent and held, and disks of two that were removed."""
    held = {"mode": "permanent", "hold": {"since_unix": NOW - 50, "reason": "why"}}
    return Machine(build({
        "domains": [
            {"name": "ci", "uuid": 1, "state": "shutoff", "declared": TEMPORARY, "files": ["/pool/ci.qcow2"]},
            {"name": "keep", "uuid": 2, "state": "shutoff", "declared": held, "files": ["/pool/keep.qcow2"]},
        ],
        "files": {"/pool/gone.qcow2": {}, "/pool/undo.qcow2": {}},
        "configuration": {"cleanup": {"cleanup_in_window_only": False}},
    }))  # fmt: skip


def rows(machine: Machine) -> dict[str, Any]:
    """A row of each kind, as JSON has it."""

    def verdict(path: str) -> VolumeVerdict:
        mark = identity(machine.state, path)
        return VolumeVerdict(path, True, "only_user", "default", path.split("/")[-1], "vda", ("x",), mark)

    saved = ports(machine).hypervisor.saved(DUE)
    document = copy.deepcopy(machine.store["records"][DUE]["document"])
    gone = Intent(
        GONE, "gone", "d", "<domain/>", (verdict("/pool/gone.qcow2"),), True, NOW - 100, SCHEDULE, 0, False, 3
    )
    undo = UndoRecord(
        REMOVED, "undo", NOW - 7200, NOW - 3600, saved, "d", document, (verdict("/pool/undo.qcow2"),), SCHEDULE
    )
    plan = SweepPlan("plan-1", "sha256:1", NOW - 60, (SeenVm(DUE, "ci", "sha256:2", NOW - 30),))
    found = {"intent": asdict(gone), "undo": asdict(undo), "plan": asdict(plan), "schedule": SCHEDULE}
    return dict(json.loads(json.dumps({**found, "record": machine.store["records"][DUE]})))


def mutants(value: Any) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """(place, odd value, the row with it) for every place in a row and every odd value."""
    for place in places(value):
        for odd in ODD:
            if not place:
                yield place, odd, odd
                continue
            whole = copy.deepcopy(value)
            within = whole
            for key in place[:-1]:
                within = within[key]
            within[place[-1]] = odd
            yield place, odd, whole


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a row."""
    yield place
    if isinstance(value, (dict, list)):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, (*place, key))


def fill(state: Path, machine: Machine, given: dict[str, Any]) -> None:
    """A store with these rows."""
    SqliteStore(state).save([])
    with contextlib.closing(sqlite3.connect(state / "state.db")) as database:
        for uuid, record in machine.store["records"].items():
            row = given["record"] if uuid == DUE else record
            database.execute("INSERT INTO vms VALUES (?, 1, ?)", (uuid, json.dumps(row)))
        database.execute("INSERT INTO schedules VALUES (?, ?)", (DUE, json.dumps(given["schedule"])))
        database.execute("INSERT INTO plans VALUES ('plan-1', ?, ?)", (NOW, json.dumps(given["plan"])))
        database.commit()
    for directory, uuid, kind in (("intents", GONE, "intent"), ("undo", REMOVED, "undo")):
        (state / directory).mkdir()
        (state / directory / f"{uuid}.json").write_text(json.dumps(given[kind]))


def goes_on(state: Path, machine: Machine) -> None:
    """A look between two sweeps: whatever is refused is refused in the engine's own words."""
    world = ports(machine)
    store = SqliteStore(state)
    for task in (cleanup.TASK, info.TASK, cleanup.TASK):
        with contextlib.suppress(LifecycleError, EffectError):
            run(task, {}, World(world.hypervisor, store, world.host))
        machine.advance(60)
    assert list(state.glob("state.db.damaged*")) == []
    assert machine.find(uuid_of(2)) is not None
    assert "/pool/keep.qcow2" in machine.state["files"]


def understood(kind: str, row: Any) -> bool:
    """What can't be decoded is damage, of which other tests tell."""
    try:
        DECODERS[kind](copy.deepcopy(row))
    except NOT_UNDERSTOOD:
        return False
    return True


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_a_field_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Nothing ends in a traceback."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # the power does not fail here
    given = rows(host())
    assert understood(kind, given[kind])
    for place, odd, row in mutants(given[kind]):
        if not understood(kind, row):
            continue
        machine, state = host(), tmp_path / "state"
        fill(state, machine, {**given, kind: row})
        try:
            goes_on(state, machine)
        except Exception as error:
            raise AssertionError(f"{kind} {place} as {odd!r}: {type(error).__name__}: {error}") from error
        shutil.rmtree(state)


@pytest.mark.parametrize("kind", ["intent", "undo", "plan", "record"])
def test_a_row_of_another_kind(tmp_path: Path, kind: str) -> None:
    """Damage of the store, found by a sweep itself."""
    given = rows(host())
    machine = host()
    fill(tmp_path / "state", machine, {**given, kind: {"uuid": DUE}})
    goes_on(tmp_path / "state", machine)


ODD_CHANGES = [
    Remember(Record(DUE, "ci", None, "")),  # type: ignore[arg-type]
    Remember(Record(DUE, "ci", 10**30, "")),
    Remember(Record([], "ci", 1, "")),  # type: ignore[arg-type]
    LogOperation(NOW, DUE, None, "remove", "done"),  # type: ignore[arg-type]
    LogOperation(NOW, DUE, {}, "remove", "done"),  # type: ignore[arg-type]
    RememberPlan(SweepPlan("plan-1", "d", None)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("change", ODD_CHANGES)
def test_what_can_not_be_written_is_no_damage(tmp_path: Path, change: Any) -> None:
    """The database stays where it is, with what it has."""
    store = SqliteStore(tmp_path / "state")
    known = Record(uuid_of(2), "keep", 1, "d", {"persistence": {"mode": "permanent"}})
    store.save([Remember(known)])
    with pytest.raises(EffectError) as caught:
        store.save([change])
    assert caught.value.code == "store_unusable"
    assert list((tmp_path / "state").glob("state.db.damaged*")) == []
    assert store.records() == {known.uuid: known}
