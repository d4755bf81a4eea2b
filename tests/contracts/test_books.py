"""What every store keeps besides records: undo records, plans, notices, pools; and what it prunes. On memory and on SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.boots import BootRun, LastState, StartRecord
from vm_lifecycle.changes import (
    DropPlan,
    Forget,
    NoticeTried,
    Prune,
    QueueNotice,
    Remember,
    RememberPlan,
    RememberPools,
    RememberSchedule,
)
from vm_lifecycle.disks import FileIdentity, SavedDomain, VolumeVerdict
from vm_lifecycle.host_changes import LogOperation, RememberBoot, RememberStart, RememberState
from vm_lifecycle.model import Record
from vm_lifecycle.ports import Store
from vm_lifecycle.removals import Notice, SeenVm, SweepPlan, UndoRecord
from vm_lifecycle.times import iso

from tests.fakes.build import build
from tests.fakes.store import MemoryStore
from tests.fakes.world import Machine

UUID, OTHER, THIRD = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
NAMES = [
    "ci-1",
    "two\nlines",
    "quo\"te's",
    "\x1b[31mred",
    "../../etc",
    "${HOME} $(id)",
    "ü€𝄞",
    "\ud800",
    '"document": {}',
]
NOW = 1795575600
VOLUMES = (
    VolumeVerdict("/pool/a", True, "only_user", "default", "a", "vda", (), FileIdentity(2**40, 2**60, 2**50, 2**62, 2)),
    VolumeVerdict("/dev/vg/b", True, "only_user", "vg", "b", "vdb", (), FileIdentity(-1, 64768, 5, 0, 1, "LV-uuid")),
    VolumeVerdict("/pool/c", False, "in_use", "default", "c", "vdc", ("x", "y"), None),
)


class Shelf:
    """A store that is opened again for each look, as by the next process; and a way to damage one of its files."""

    def __init__(self, opened: Callable[[], Store], spoil: Callable[[str, str, Any], None]) -> None:
        self.opened, self.spoil = opened, spoil


@pytest.fixture(params=["memory", "sqlite"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Empty."""
    if request.param == "sqlite":
        state = tmp_path / "state"

        def overwrite(kind: str, uuid: str, document: Any) -> None:
            (state / kind / f"{uuid}.json").write_text(json.dumps(document))

        return Shelf(lambda: SqliteStore(state), overwrite)
    machine = Machine(build({}))

    def replace_entry(kind: str, uuid: str, document: Any) -> None:
        machine.store[kind][uuid] = document

    return Shelf(lambda: MemoryStore(machine), replace_entry)


def undo(uuid: str = UUID, name: str = "ci-1") -> UndoRecord:
    """An undo record with everything in it."""
    saved = SavedDomain(f"<domain><name>{name!r}</name></domain>\n", ("<domainsnapshot/>", "<b>ü</b>"), True)
    document = {"version": 1, "revision": 3, "persistence": {"mode": "temporary"}}
    schedule = {"cleanup_status": "completed", "vm_name": name}
    return UndoRecord(uuid, name, NOW, NOW + 86400, saved, "digest", document, VOLUMES, schedule)


def plan(plan_id: str = "sweep-1", created: int = NOW, confirmed: int = 0) -> SweepPlan:
    """A plan over two VMs, one of which may be confirmed."""
    return SweepPlan(
        plan_id, "digest", created, (SeenVm(UUID, "ci-1", "d1", confirmed), SeenVm(OTHER, "two\nlines", "d2"))
    )


def note(key: str = "expiring:1", queued: int = NOW) -> Notice:
    """A notice that was not tried yet."""
    return Notice(key, "expiring", UUID, "ci-1", "ci-1 expires", queued)


def schedule(status: str, attempt: int | None = None) -> dict[str, Any]:
    """A VmCleanupSchedule."""
    return {"vm_name": "ci-1", "cleanup_status": status, **({"last_cleanup_attempt": iso(attempt)} if attempt else {})}


def test_nothing_at_first(shelf: Shelf) -> None:
    """And dropping what is not there is no error."""
    store = shelf.opened()
    store.drop_undo(UUID)
    assert (store.plans(), store.notices(), store.pools(), store.undo_records(), store.damage()) == ([], [], {}, [], [])


@pytest.mark.parametrize("name", NAMES)
def test_undo_records(shelf: Shelf, name: str) -> None:
    """All of it comes back, in the order of the UUIDs; a second one of the same VM replaces the first."""
    shelf.opened().write_undo(undo(OTHER))
    shelf.opened().write_undo(undo(name="before"))
    shelf.opened().write_undo(undo(name=name))
    assert shelf.opened().undo_records() == [undo(name=name), undo(OTHER)]
    shelf.opened().drop_undo(UUID)
    shelf.opened().drop_undo(UUID)
    assert shelf.opened().undo_records() == [undo(OTHER)]


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        "text",
        {},
        {"uuid": UUID},
        asdict(undo()) | {"saved": "<domain/>"},
        asdict(undo()) | {"volumes": [{"path": "/pool/a"}]},
        asdict(undo()) | {"document": {}},
        asdict(undo()) | {"until_unix": "soon"},
        asdict(undo()) | {"a_field_of": "a newer version"},
        asdict(undo(OTHER)),
    ],
)
def test_an_undo_record_that_nobody_understands(shelf: Shelf, damage: Any) -> None:
    """It is told by name, hides no other, and is still there after everything else was written."""
    shelf.opened().write_undo(undo())
    shelf.opened().write_undo(undo(THIRD))
    shelf.spoil("undo", UUID, damage)
    for _round in range(2):
        assert shelf.opened().undo_records() == [undo(THIRD)]
        (told,) = shelf.opened().damage()
        assert f"undo/{UUID}.json" in told
        shelf.opened().save([Forget(UUID), Prune(NOW * 2)])
        shelf.opened().drop_undo(OTHER)


def test_damage_of_both_kinds(shelf: Shelf) -> None:
    """Intents and undo records are told apart by their paths."""
    shelf.opened().write_undo(undo())
    shelf.opened().write_undo(undo(OTHER))
    shelf.spoil("undo", OTHER, {})
    shelf.spoil("undo", UUID, {})
    assert [f"undo/{uuid}.json" in told for uuid, told in zip((UUID, OTHER), shelf.opened().damage(), strict=True)]


def test_plans(shelf: Shelf) -> None:
    """Oldest first; one id is one plan, whatever it was before."""
    shelf.opened().save([RememberPlan(plan("b", NOW + 1)), RememberPlan(plan("c")), RememberPlan(plan("a", NOW + 1))])
    assert [each.plan_id for each in shelf.opened().plans()] == ["c", "a", "b"]
    shelf.opened().save([RememberPlan(plan("c", NOW + 2, confirmed=NOW + 3)), DropPlan("a"), DropPlan("nobody's")])
    assert shelf.opened().plans() == [plan("b", NOW + 1), plan("c", NOW + 2, NOW + 3)]


@pytest.mark.parametrize("plan_id", [name for name in NAMES if name != "\ud800"])
def test_any_plan_id(shelf: Shelf, plan_id: str) -> None:
    """A caller gives it, as Unicode text."""
    shelf.opened().save([RememberPlan(plan(plan_id))])
    assert shelf.opened().plans() == [plan(plan_id)]
    shelf.opened().save([DropPlan(plan_id)])
    assert shelf.opened().plans() == []


def test_notices(shelf: Shelf) -> None:
    """In the order in which they were queued; a key is queued once, also when it was delivered long ago."""
    shelf.opened().save([QueueNotice(note("b")), QueueNotice(note("a", NOW - 5))])
    shelf.opened().save([QueueNotice(note("b", NOW + 5))])
    assert shelf.opened().notices() == [note("b"), note("a", NOW - 5)]
    shelf.opened().save([NoticeTried("b", NOW + 6), QueueNotice(note("b", NOW + 7))])
    assert shelf.opened().notices()[0] == replace(note("b"), delivered_unix=NOW + 6, attempts=1)


def test_attempts_to_deliver(shelf: Shelf) -> None:
    """Each one counts; an error is that of the last one, and delivery ends it."""
    shelf.opened().save([QueueNotice(note()), QueueNotice(note("other"))])
    shelf.opened().save([NoticeTried(note().key, NOW + 1, "refused"), NoticeTried("nobody's", NOW)])
    assert shelf.opened().notices()[0] == replace(note(), attempts=1, error="refused")
    shelf.opened().save([NoticeTried(note().key, NOW + 2, "no answer"), NoticeTried(note().key, NOW + 3)])
    assert shelf.opened().notices() == [replace(note(), attempts=3, delivered_unix=NOW + 3), note("other")]


def test_pools(shelf: Shelf) -> None:
    """The last word holds, also for pools that it leaves out."""
    shelf.opened().save([RememberPools({"default": 0, "two\nlines": NOW})])
    assert shelf.opened().pools() == {"default": 0, "two\nlines": NOW}
    shelf.opened().save([RememberPools({"default": NOW})])
    assert shelf.opened().pools() == {"default": NOW}
    shelf.opened().save([RememberPools({})])
    assert shelf.opened().pools() == {}


def state(uuid: str = UUID, name: str = "ci-1") -> LastState:
    """What a VM was last seen to be, with everything in it."""
    return LastState(uuid, name, "running", "saved", NOW, "boot-2", "paused")


def start(uuid: str = UUID, name: str = "ci-1") -> StartRecord:
    """How a VM's start went, with everything in it."""
    return StartRecord(
        uuid, name, "boot-2", "failed", "ssh_silent", f"{name} is silent", NOW, 3, name, 0.25, 1e-3, 3601.5
    )


def test_no_boot_at_first(shelf: Shelf) -> None:
    """Nobody knows anything, and forgetting that is no error."""
    assert (shelf.opened().states(), shelf.opened().starts(), shelf.opened().boot()) == ({}, {}, None)
    shelf.opened().save([Forget(UUID)])
    assert (shelf.opened().states(), shelf.opened().starts(), shelf.opened().boot()) == ({}, {}, None)


@pytest.mark.parametrize("name", NAMES)
def test_states_and_starts(shelf: Shelf, name: str) -> None:
    """All of it comes back, by UUID; the last word on a VM holds, also within one save."""
    shelf.opened().save([RememberState(state(OTHER)), RememberStart(start(OTHER)), RememberState(state(name="before"))])
    shelf.opened().save([RememberState(state(name="too")), RememberState(state(name=name)), RememberStart(start())])
    shelf.opened().save([RememberStart(start(name=name))])
    assert shelf.opened().states() == {UUID: state(name=name), OTHER: state(OTHER)}
    assert shelf.opened().starts() == {UUID: start(name=name), OTHER: start(OTHER)}
    few = [OTHER, "nobody"]
    assert (shelf.opened().states(few), shelf.opened().starts(few)) == ({OTHER: state(OTHER)}, {OTHER: start(OTHER)})
    assert (shelf.opened().states([]), shelf.opened().starts({UUID})) == ({}, {UUID: start(name=name)})
    least = LastState(UUID, name, "shutoff"), StartRecord(UUID, name, "boot-3", "ready")
    shelf.opened().save([RememberState(least[0]), RememberStart(least[1])])
    assert (shelf.opened().states()[UUID], shelf.opened().starts()[UUID]) == least


@pytest.mark.parametrize("among_others", [False, True])
def test_states_that_a_supervisor_knows_better(shelf: Shelf, among_others: bool) -> None:
    """What it heard in this boot since the given moment stays; anything else gives way."""
    others = [RememberStart(start())] if among_others else []
    running = LastState(UUID, "a", "running", "", NOW + 9, "boot-2")
    cases = [
        (LastState(UUID, "a", "shutoff", "forced", NOW + 5, "boot-2"), False),
        (LastState(UUID, "a", "shutoff", "forced", NOW, "boot-2"), False),
        (LastState(UUID, "a", "shutoff", "forced", NOW - 1, "boot-2"), True),
        (LastState(UUID, "a", "shutoff", "forced", NOW + 5, "boot-1"), True),
        (LastState(UUID, "a", "shutoff", "starting", NOW + 5, "boot-2"), True),
    ]
    shelf.opened().save([*others, RememberState(running, NOW)])
    assert shelf.opened().states() == {UUID: running}
    for known, gives_way in cases:
        shelf.opened().save([RememberState(known)])
        shelf.opened().save([*others, RememberState(running, NOW), RememberState(state(OTHER))])
        assert shelf.opened().states() == {UUID: running if gives_way else known, OTHER: state(OTHER)}


def test_boots(shelf: Shelf) -> None:
    """The last one, as it stands."""
    shelf.opened().save([RememberBoot(BootRun("boot-1", NOW))])
    assert shelf.opened().boot() == BootRun("boot-1", NOW)
    shelf.opened().save([RememberBoot(BootRun("boot-1", NOW, NOW + 60))])
    assert shelf.opened().boot() == BootRun("boot-1", NOW, NOW + 60)
    shelf.opened().save([RememberBoot(BootRun("boot-2", NOW + 90))])
    assert shelf.opened().boot() == BootRun("boot-2", NOW + 90)


def test_forgotten_states_and_starts(shelf: Shelf) -> None:
    """With what else is known of a VM; in the order of the changes, and of that VM alone."""
    both = [each for uuid in (UUID, OTHER) for each in (RememberState(state(uuid)), RememberStart(start(uuid)))]
    shelf.opened().save([*both, RememberBoot(BootRun("boot-1", NOW)), Forget(UUID)])
    assert (shelf.opened().states(), shelf.opened().starts()) == ({OTHER: state(OTHER)}, {OTHER: start(OTHER)})
    shelf.opened().save([Forget(OTHER), RememberState(state(OTHER, "again"))])
    assert (shelf.opened().states(), shelf.opened().starts()) == ({OTHER: state(OTHER, "again")}, {})
    assert shelf.opened().boot() == BootRun("boot-1", NOW)


def test_pruned_states_and_starts(shelf: Shelf) -> None:
    """Those of VMs that neither exist nor are known by a record, such as an event that was late; however old the others are."""
    known = Record(OTHER, "ci-1", 7, "digest", {"version": 1, "persistence": {"mode": "permanent"}})
    seen = [each for uuid in (UUID, OTHER, THIRD) for each in (RememberState(state(uuid)), RememberStart(start(uuid)))]
    shelf.opened().save([*seen, Remember(known), RememberBoot(BootRun("boot-1", NOW))])
    shelf.opened().save([Prune(NOW * 2, frozenset({THIRD}))])
    assert shelf.opened().states() == {uuid: state(uuid) for uuid in (OTHER, THIRD)}
    assert shelf.opened().starts() == {uuid: start(uuid) for uuid in (OTHER, THIRD)}
    assert shelf.opened().boot() == BootRun("boot-1", NOW)


def test_pruned_schedules(shelf: Shelf) -> None:
    """Completed ones that ended before, of VMs that are gone; the moment itself is not before."""
    given = {
        "ended": schedule("completed", NOW - 1), "just": schedule("completed", NOW), "later": schedule("completed", NOW + 1),
        "exists": schedule("completed", NOW - 1), "pending": schedule("pending", NOW - 1),
        "in-progress": schedule("in-progress", NOW - 1), "failed": schedule("failed", NOW - 1),
    }  # fmt: skip
    shelf.opened().save([RememberSchedule(uuid, each) for uuid, each in given.items()])
    shelf.opened().save([Prune(NOW, frozenset({"exists", "just"}))])
    del given["ended"]
    assert shelf.opened().schedules() == given


@pytest.mark.parametrize("name", [name for name in NAMES if name != "\ud800"])
def test_pruned_records(shelf: Shelf, name: str) -> None:
    """The revision of a removed VM goes with its schedule, and only so: a declaration never, whatever its VM is called."""
    declared = Record(OTHER, name, 2, "digest", {"version": 1, "persistence": {"mode": "temporary"}, "why": name})
    left, kept = Record(UUID, name, 7, ""), Record(THIRD, name, 7, "")
    changes = [Remember(each) for each in (declared, left, kept)]
    ended = [RememberSchedule(uuid, schedule("completed", NOW - 1)) for uuid in (UUID, OTHER)]
    shelf.opened().save([*changes, *ended, RememberSchedule(THIRD, schedule("failed", NOW - 1))])
    shelf.opened().save([Prune(NOW)])
    assert shelf.opened().records() == {OTHER: declared, THIRD: kept}


def test_pruned_history(shelf: Shelf) -> None:
    """Operations and notices by their own times; a notice by the later one of its two."""
    lines = [LogOperation(NOW + at, UUID, "ci-1", "remove", "done") for at in (-2, -1, 0, 1)]
    queued = [QueueNotice(note(key, NOW - 5)) for key in ("delivered before", "delivered since", "never")]
    shelf.opened().save([*lines, *queued, QueueNotice(note("queued since"))])
    shelf.opened().save([NoticeTried("delivered before", NOW - 1), NoticeTried("delivered since", NOW)])
    shelf.opened().save([Prune(NOW)])
    assert shelf.opened().operations(10) == lines[:1:-1]
    assert [each.key for each in shelf.opened().notices()] == ["delivered since", "queued since"]


@pytest.mark.parametrize("stepped", [0, NOW - 3650 * 86400])
def test_history_of_a_clock_that_stepped_back(shelf: Shelf, stepped: int) -> None:
    """What was written after a line that is recent is recent, whatever the clock said then; a time to come says nothing."""
    old, ahead, recent, late = (
        LogOperation(at, UUID, "ci-1", "remove", "begun") for at in (NOW - 9, NOW + 400 * 86400, NOW, NOW - 8)
    )
    back = LogOperation(stepped, UUID, "ci-1", "remove", "done")
    shelf.opened().save([old, ahead, replace(back, message="old"), recent, back, late])
    shelf.opened().save([Prune(NOW - 5, now_unix=NOW + 1)])
    assert shelf.opened().operations(10) == [late, back, recent, ahead]


def test_what_pruning_leaves_alone(shelf: Shelf) -> None:
    """However late it is: what can be undone, plans, pools, the clock; and times before 1970 prune nothing."""
    shelf.opened().write_undo(undo())
    shelf.opened().save(
        [RememberPlan(plan()), RememberPools({"default": 0}), LogOperation(0, UUID, "a", "remove", "done")]
    )
    shelf.opened().save([Prune(-5), Prune(-(10**12))])
    assert len(shelf.opened().operations(10)) == 1
    shelf.opened().save([Prune(NOW * 2)])
    assert shelf.opened().undo_records() == [undo()]
    assert (shelf.opened().plans(), shelf.opened().pools()) == ([plan()], {"default": 0})
    assert shelf.opened().operations(10) == []
