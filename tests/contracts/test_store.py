"""What every store keeps: the same cases on memory and on SQLite."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Forget, Remember, RememberSchedule
from vm_lifecycle.disks import FileIdentity, VolumeVerdict
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import LogOperation, RememberClock
from vm_lifecycle.model import ClockMemory, ClockReading, Record
from vm_lifecycle.ports import Store
from vm_lifecycle.removals import Intent

from tests.fakes.build import build
from tests.fakes.store import MemoryStore
from tests.fakes.world import Machine

from .conftest import Reopen

UUID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NAMES = ["ci-1", "two\nlines", "quo\"te's", "\x1b[31mred", "../../etc", "${HOME} $(id)", "ü€𝄞", "x" * 200]
DOCUMENT = {"version": 1, "persistence": {"mode": "temporary", "nested": [1, None, True, 1.5]}}
IDENTITY = FileIdentity(2**40, 2**60, 2**50, 2**62, 2)
VOLUMES = (
    VolumeVerdict("/pool/a", True, "only_user", "default", "a", "vda", (), IDENTITY),
    VolumeVerdict("/pool/b", False, "in_use", "default", "b", "vdb", ("x", "y"), None),
)


def settled(store: Store) -> object:
    """The stamp of a store that nobody writes to."""
    deadline = time.monotonic() + 30
    while (found := store.stamp()) is None:
        assert time.monotonic() < deadline, "it says nothing"
        time.sleep(0.1)
    return found


def test_a_stamp_tells_of_what_others_write(reopen: Reopen) -> None:
    """Also of what replaces something of the same length, and none of it is taken for nothing because it comes at once."""
    reader, writer = reopen(), reopen()
    assert settled(reader) == settled(reader)
    for mode in ("one", "two", "six"):
        before = settled(reader)
        writer.save([Remember(Record(UUID, mode, 1, "d", DOCUMENT))])
        assert reader.stamp() != before
    assert settled(reader) == settled(reader)


@pytest.fixture
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store that can't be read or written."""
    if request.param == "memory":
        return MemoryStore(Machine(build({"store": {"problem": "no space left on device"}})))
    (tmp_path / "file").write_text("in the way")
    return SqliteStore(tmp_path / "file" / "state")


def record(name: str = "ci-1", revision: int = 1, uuid: str = UUID) -> Record:
    """A record with everything in it."""
    return Record(uuid, name, revision, "digest", DOCUMENT, "running", 1795575600)


def intent(armed: bool = False, uuid: str = UUID, name: str = "ci-1") -> Intent:
    """An intent with everything in it."""
    return Intent(uuid, name, "digest", "<domain/>\n", VOLUMES, armed, 1795575600, {"cleanup_status": "in-progress"})


def test_empty(reopen: Reopen) -> None:
    """Nothing is known at first."""
    store = reopen()
    assert (store.records(), store.schedules(), store.clock()) == ({}, {}, ClockMemory())
    assert store.recorded() == frozenset()
    assert (store.operations(5), store.intents()) == ([], [])
    store.drop_intent(UUID)


@pytest.mark.parametrize("name", NAMES)
def test_records(reopen: Reopen, name: str) -> None:
    """Any name comes back as it was."""
    reopen().save([Remember(record(name)), Remember(record("other", uuid=OTHER))])
    assert reopen().records() == {UUID: record(name), OTHER: record("other", uuid=OTHER)}
    assert reopen().recorded() == {UUID, OTHER}


def test_a_record_is_replaced_by_no_older_one(reopen: Reopen) -> None:
    """The same revision replaces, a higher one too."""
    store = reopen()
    for revision, name, expected in ((2, "a", "a"), (2, "b", "b"), (1, "c", "b"), (3, "d", "d")):
        store.save([Remember(record(name, revision))])
        assert reopen().records()[UUID].name == expected


def test_forget(reopen: Reopen) -> None:
    """Record and schedule of one VM; changes of one save happen in their order."""
    store = reopen()
    store.save([Remember(record()), RememberSchedule(UUID, {"a": 1}), RememberSchedule(OTHER, {"b": 2})])
    store.save([Forget(UUID), Forget("nobody"), RememberSchedule(UUID, {"c": 3})])
    assert reopen().records() == {}
    assert reopen().schedules() == {UUID: {"c": 3}, OTHER: {"b": 2}}
    reopen().save([RememberSchedule(UUID, {"d": 4}), Forget(UUID), Remember(record(revision=1))])
    assert reopen().schedules() == {OTHER: {"b": 2}}
    assert reopen().records() == {UUID: record(revision=1)}


@pytest.mark.parametrize(
    "memory",
    [
        ClockMemory(1795575600.25, 12.5, "boot"),
        ClockMemory(1.0, 2.0, "boot", ClockReading(3.5, 4.5, "other", True)),
        ClockMemory(suspect_since=ClockReading(86400.0, 5.0, "b")),
    ],
)
def test_clock(reopen: Reopen, memory: ClockMemory) -> None:
    """The last one holds, to the fraction."""
    reopen().save([RememberClock(ClockMemory(9.0, 9.0, "x")), RememberClock(memory)])
    assert reopen().clock() == memory


def test_operations(reopen: Reopen) -> None:
    """Newest first, as many as are wanted."""
    lines = [LogOperation(number, UUID, name, "remove", "done", name) for number, name in enumerate(NAMES)]
    reopen().save(lines[:3])
    reopen().save(lines[3:])
    assert reopen().operations(100) == lines[::-1]
    assert reopen().operations(2) == lines[:-3:-1]
    assert reopen().operations(0) == []


def test_intents(reopen: Reopen) -> None:
    """Everything comes back, identities to the nanosecond; an intent replaces that of the same VM."""
    reopen().write_intent(intent())
    reopen().write_intent(intent(uuid=OTHER, name="two\nlines"))
    assert sorted(reopen().intents(), key=lambda each: each.uuid) == [intent(), intent(uuid=OTHER, name="two\nlines")]
    reopen().write_intent(intent(armed=True))
    assert intent(armed=True) in reopen().intents()
    assert intent() not in reopen().intents()
    reopen().drop_intent(UUID)
    reopen().drop_intent(UUID)
    assert [each.uuid for each in reopen().intents()] == [OTHER]


def test_what_is_returned_is_a_copy(reopen: Reopen) -> None:
    """Changing it changes no store."""
    store = reopen()
    store.save([RememberSchedule(UUID, {"a": 1})])
    store.schedules()[UUID]["a"] = 2
    assert store.schedules() == {UUID: {"a": 1}}


@pytest.mark.parametrize("broken", ["memory", "sqlite"], indirect=True)
@pytest.mark.parametrize(
    "use", [lambda store: store.save([Remember(record())]), lambda store: store.write_intent(intent())]
)
def test_unusable(broken: Store, use: Callable[[Store], Any]) -> None:
    """With the one code that callers know."""
    with pytest.raises(EffectError) as caught:
        use(broken)
    assert caught.value.code == "store_unusable"


# SQLite's own: files.


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Check mode leaves no trace."""
    store = SqliteStore(tmp_path / "state")
    test_empty(lambda: store)
    assert list(tmp_path.iterdir()) == []


def test_modes(tmp_path: Path) -> None:
    """Nobody but the owner reads it."""
    store = SqliteStore(tmp_path / "state")
    store.save([Remember(record())])
    store.write_intent(intent())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_damaged(tmp_path: Path, damage: bytes) -> None:
    """It counts as lost, is set aside by the next writer under a new name each time, and intents survive."""
    state = tmp_path / "state"
    store = SqliteStore(state)
    for number in (1, 2):
        store.save([Remember(record())])
        store.write_intent(intent(armed=True))
        for suffix in ("-wal", "-shm"):
            (state / f"state.db{suffix}").unlink(missing_ok=True)
        (state / "state.db").write_bytes(damage)
        assert store.records() == {}
        assert (state / "state.db").read_bytes() == damage
        store.save([RememberSchedule(OTHER, {"a": 1})])
        assert store.records() == {}
        assert store.schedules() == {OTHER: {"a": 1}}
        assert store.intents() == [intent(armed=True)]
        assert (state / f"state.db.damaged-{number}").read_bytes() == damage


def test_newer(tmp_path: Path) -> None:
    """A database of a newer version is not written to."""
    store = SqliteStore(tmp_path / "state")
    store.save([Remember(record())])
    with sqlite3.connect(tmp_path / "state" / "state.db") as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(EffectError) as caught:
        store.save([Remember(record(revision=2))])
    assert caught.value.code == "store_unusable"
    assert "newer" in caught.value.message


def test_all_or_nothing(tmp_path: Path) -> None:
    """A change that can't be written takes the others of its save with it."""
    store = SqliteStore(tmp_path / "state")
    store.save([Remember(record())])
    with pytest.raises(EffectError):
        store.save([Forget(UUID), RememberSchedule(UUID, {"not": object()})])
    assert store.records() == {UUID: record()}


DAMAGED = ["", "{", "[]", "x", '"x"', "[" * 100000, '{"uuid": 1}', '{"started_unix": "soon"}', "\xff"]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_intent(tmp_path: Path, text: str) -> None:
    """One that can't be understood is told, and stops nobody else."""
    store = SqliteStore(tmp_path / "state")
    store.write_intent(intent())
    other = "00000000-0000-4000-8000-000000000099"
    (tmp_path / "state" / "intents" / f"{other}.json").write_text(text, "utf-8")
    assert store.intents() == [intent()]
    (told,) = store.damage()
    assert other in told


def test_an_intent_under_another_name(tmp_path: Path) -> None:
    """The file's name says whose it is; one that was renamed or copied is nobody's."""
    store = SqliteStore(tmp_path / "state")
    store.write_intent(intent())
    (path,) = (tmp_path / "state" / "intents").glob("*.json")
    path.rename(path.with_name("00000000-0000-4000-8000-000000000099.json"))
    assert store.intents() == []
    assert len(store.damage()) == 1


@pytest.mark.parametrize("text", ["garbage", "[]", "{}", '{"uuid": "x"}'])
def test_damaged_rows(tmp_path: Path, text: str) -> None:
    """A row that can't be understood counts as unknown, which keeps its VM; the others are read."""
    store = SqliteStore(tmp_path / "state")
    store.save([Remember(record()), RememberSchedule(UUID, {"vm_name": "a"})])
    with closing(sqlite3.connect(str(tmp_path / "state" / "state.db"))) as database:
        database.execute("INSERT INTO vms VALUES ('odd', 1, ?)", (text,))
        database.execute("INSERT INTO clock VALUES (1, ?)", (text,))
        database.commit()
    assert store.records() == {UUID: record()}
    assert store.clock() == ClockMemory()


def test_a_lost_table_is_damage(tmp_path: Path) -> None:
    """The next writer sets such a database aside."""
    store = SqliteStore(tmp_path / "state")
    store.save([Remember(record())])
    with closing(sqlite3.connect(str(tmp_path / "state" / "state.db"))) as database:
        database.execute("DROP TABLE vms")
        database.commit()
    assert store.records() == {}
    store.save([Remember(record())])
    assert store.records() == {UUID: record()}
    assert list((tmp_path / "state").glob("state.db.damaged-1"))


WRITER = """
import sys
from pathlib import Path
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import LogOperation
store = SqliteStore(Path(sys.argv[1]))
for number in range(20):
    store.save([LogOperation(number, "u", sys.argv[2], "o", "done")])
"""


def test_two_writers(tmp_path: Path) -> None:
    """Two processes that create and write the same store lose nothing."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "state")]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins" / "module_utils")}
    writers = [subprocess.Popen([*command, name], env=environment) for name in ("a", "b")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    names = [line.name for line in SqliteStore(tmp_path / "state").operations(100)]
    assert (names.count("a"), names.count("b")) == (20, 20)
