"""The files of the store on SQLite: modes, versions, damage, and several runs and threads at once."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from vm_lifecycle.adapters.sqlite_store import SCHEMA_VERSION, SqliteStore
from vm_lifecycle.boots import BootRun, LastState, StartRecord
from vm_lifecycle.changes import (
    Prune,
    QueueNotice,
    Remember,
    RememberPlan,
    RememberPools,
    RememberRecovery,
    RememberSchedule,
    RememberSweep,
)
from vm_lifecycle.disks import SavedDomain
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import LogOperation, RememberBoot, RememberStart, RememberState
from vm_lifecycle.model import Record
from vm_lifecycle.recoveries import Configuration, Recovery
from vm_lifecycle.removals import Intent, Notice, SweepPlan, UndoRecord
from vm_lifecycle.snapshots import SweepRun

NOW = 1795575600
#: The database as the first release made it; never changed, since hosts have it.
FIRST_RELEASE = """
CREATE TABLE vms (uuid TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE schedules (uuid TEXT PRIMARY KEY, schedule TEXT NOT NULL);
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), memory TEXT NOT NULL);
CREATE TABLE operations (
    id INTEGER PRIMARY KEY, at_unix INTEGER NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,
    operation TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL);
PRAGMA user_version=1;
"""

#: What the second release made besides, likewise.
SECOND_RELEASE = """
CREATE TABLE plans (plan_id TEXT PRIMARY KEY, created_unix INTEGER NOT NULL, plan TEXT NOT NULL);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,
    message TEXT NOT NULL, queued_unix INTEGER NOT NULL, delivered_unix INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE TABLE pools (name TEXT PRIMARY KEY, missed_since INTEGER NOT NULL);
PRAGMA user_version=2;
"""
#: And the third one.
THIRD_RELEASE = """
CREATE TABLE states (uuid TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE starts (uuid TEXT PRIMARY KEY, start TEXT NOT NULL);
CREATE TABLE boot (id INTEGER PRIMARY KEY CHECK (id = 1), run TEXT NOT NULL);
PRAGMA user_version=3;
"""
#: And the fourth one.
FOURTH_RELEASE = """
CREATE TABLE recoveries (uuid TEXT PRIMARY KEY, recovery TEXT NOT NULL);
PRAGMA user_version=4;
"""
FIFTH_RELEASE = """
CREATE TABLE restarts (uuid TEXT PRIMARY KEY, restart TEXT NOT NULL);
PRAGMA user_version=5;
"""
SIXTH_RELEASE = """
CREATE TABLE snapshots (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, taken_unix INTEGER NOT NULL, snapshot TEXT NOT NULL);
CREATE INDEX snapshots_of_vm ON snapshots (uuid, id);
CREATE TABLE counters (uuid TEXT PRIMARY KEY, counters TEXT NOT NULL);
CREATE TABLE sweeps (id INTEGER PRIMARY KEY CHECK (id = 1), sweep TEXT NOT NULL);
PRAGMA user_version=6;
"""
PLAN, NOTICE = SweepPlan("p", "d", NOW), Notice("k", "failed", "u", "n", "m", NOW)


def uuid_of(number: int) -> str:
    """A VM's."""
    return f"00000000-0000-4000-8000-{number:012}"


def record(number: int = 1) -> Record:
    """What is known of a VM."""
    return Record(uuid_of(number), "ci-1", 1, "digest", {"persistence": {"mode": "temporary"}}, "running", NOW)


def undo(number: int = 1) -> UndoRecord:
    """A removed VM with a password in its definition."""
    saved = SavedDomain("<domain><graphics type='vnc' passwd='secret'/></domain>")
    return UndoRecord(uuid_of(number), "ci-1", NOW, NOW + 60, saved, "digest", {"revision": 1})


def intent(number: int = 1) -> Intent:
    """A removal that has begun."""
    return Intent(uuid_of(number), "ci-1", "digest", "<domain/>")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The store's directory, which nothing has made yet."""
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> SqliteStore:
    """On it."""
    return SqliteStore(state)


def first_release(state: Path) -> None:
    """A store that the first release left."""
    state.mkdir(0o700)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(FIRST_RELEASE)
        database.execute("INSERT INTO vms VALUES (?, 1, ?)", (uuid_of(1), json.dumps(vars(record()))))
        database.execute("INSERT INTO operations VALUES (1, 7, 'u', 'ci-1', 'declare', 'done', '')")
        database.commit()


def second_release(state: Path) -> None:
    """A store that the second release left, upgraded from the first and used since."""
    first_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.executescript(SECOND_RELEASE)
        database.execute("INSERT INTO plans VALUES ('p', ?, ?)", (NOW, json.dumps(asdict(PLAN))))
        database.execute(
            "INSERT INTO notices (key, kind, uuid, name, message, queued_unix) VALUES ('k', 'failed', 'u', 'n', 'm', ?)",
            (NOW,),
        )
        database.execute("INSERT INTO pools VALUES ('default', 0)")
        database.commit()


def third_release(state: Path) -> None:
    """A store that the third release left, before any VM was seen to run."""
    second_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.executescript(THIRD_RELEASE)


def fourth_release(state: Path) -> None:
    """A store that the fourth release left, before anything was kept for recovery."""
    third_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.executescript(FOURTH_RELEASE)


def fifth_release(state: Path) -> None:
    """A store that the fifth release left, before any VM was restarted."""
    fourth_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.executescript(FIFTH_RELEASE)


def sixth_release(state: Path) -> None:
    """A store that the sixth release left, before any VM gave way."""
    fifth_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.executescript(SIXTH_RELEASE)


RELEASES = {
    1: first_release, 2: second_release, 3: third_release, 4: fourth_release, 5: fifth_release, 6: sixth_release,
}  # fmt: skip


def version(state: Path) -> int:
    """Of the database."""
    with closing(sqlite3.connect(state / "state.db")) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


# Who may read it.


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_secrets_are_the_owners(store: SqliteStore, state: Path, mask: int) -> None:
    """Whatever the process would let others read."""
    before = os.umask(mask)
    try:
        store.write_undo(undo())
        store.write_undo(undo())
        store.write_intent(intent())
        store.save([Remember(record())])
    finally:
        os.umask(before)
    assert "secret" in (state / "undo" / f"{uuid_of(1)}.json").read_text()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [state, *state.rglob("*")]}
    assert {modes[state], modes[state / "undo"], modes[state / "intents"]} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert len(modes) == 6


def test_secrets_that_a_killed_run_left(store: SqliteStore, state: Path) -> None:
    """Half a file goes when its VM's record is written or dropped; that of another VM may be in the making."""
    ends: list[Callable[[], None]] = [lambda: store.write_undo(undo()), lambda: store.drop_undo(uuid_of(1))]
    for end in ends:
        store.write_undo(undo(2))
        own, other = (state / "undo" / f".{uuid_of(number)}.json.abcdefgh" for number in (1, 2))
        own.write_text("half")
        other.write_text("half")
        assert store.damage() == []
        end()
        assert (own.exists(), other.exists()) == (False, True)


# What is durable.


def test_reading_creates_nothing(store: SqliteStore, tmp_path: Path) -> None:
    """Of the new tables and files neither."""
    assert (store.plans(), store.notices(), store.pools(), store.undo_records(), store.damage()) == ([], [], {}, [], [])
    store.drop_undo(uuid_of(1))
    assert list(tmp_path.iterdir()) == []


def test_reads_in_one_go(store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One opening for all of them, of one moment, for this thread alone; afterwards each opens anew."""
    opened: list[str] = []
    connect = sqlite3.connect

    def counted(name: str, **given: object) -> sqlite3.Connection:
        opened.append(threading.current_thread().name)
        return connect(name, **given)  # type: ignore[call-overload,no-any-return]

    store.save([RememberBoot(BootRun("first", NOW))])
    monkeypatch.setattr(sqlite3, "connect", counted)
    with store.together(), store.together():
        assert [store.boot(), store.states(), store.starts()] == [BootRun("first", NOW), {}, {}]
        assert len(opened) == 1
        with ThreadPoolExecutor(1) as other:
            other.submit(store.save, [RememberBoot(BootRun("second", NOW))]).result()
            assert other.submit(store.boot).result() == BootRun("second", NOW)
        assert store.boot() == BootRun("first", NOW)
    assert store.boot() == BootRun("second", NOW)
    assert opened.count(threading.current_thread().name) == 2
    assert not state.joinpath("state.db-wal").exists()


@pytest.mark.parametrize("text", [b"", b"no database", None])
def test_reads_in_one_go_of_no_database(store: SqliteStore, state: Path, text: bytes | None) -> None:
    """One that is not there, or no database, reads as it does otherwise, and nothing is made."""
    if text is not None:
        state.mkdir(mode=0o700)
        state.joinpath("state.db").write_bytes(text)
    before = sorted(state.glob("*"))
    with store.together():
        assert [store.boot(), store.states(), store.records()] == [None, {}, {}]
    assert sorted(state.glob("*")) == before


def test_a_lost_database_loses_no_undo(store: SqliteStore, state: Path) -> None:
    """Nor one that is damaged."""
    store.save([Remember(record())])
    store.write_undo(undo())
    (state / "state.db").write_bytes(b"garbage" * 1000)
    store.save([Remember(record(2))])
    assert store.undo_records() == [undo()]
    for path in state.glob("state.db*"):
        path.unlink()
    assert (store.records(), store.undo_records()) == ({}, [undo()])


class PowerCut(BaseException):
    """Ends a run where it stands."""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_cut_while_writing(store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The old record is there, whole."""
    store.write_undo(undo())

    def cut(*_arguments: object) -> None:
        raise PowerCut

    newer = UndoRecord(uuid_of(1), "newer", NOW, NOW, SavedDomain("<x/>"), "", {"revision": 2})
    with monkeypatch.context() as patch:
        patch.setattr(os, step, cut)
        with pytest.raises(PowerCut):
            store.write_undo(newer)
    assert (store.undo_records(), store.damage()) == ([undo()], [])


def test_files_and_their_directories_are_synced(
    store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content before it gets its name, then the name; a new directory's own name too."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), state.parent))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.write_undo(undo())
    parent, top, content, names = synced
    assert (parent, top, names) == (".", "state", "state/undo")
    assert content.startswith(f"state/undo/.{uuid_of(1)}.json.")
    synced.clear()
    store.drop_undo(uuid_of(1))
    store.drop_undo(uuid_of(1))
    assert synced == ["state/undo"]


def commits(state: Path, work: Callable[[], None]) -> bool:
    """Whether work committed anything: SQLite counts each commit of others."""
    with closing(sqlite3.connect(state / "state.db")) as database:
        before = database.execute("PRAGMA data_version").fetchone()
        work()
        return bool(database.execute("PRAGMA data_version").fetchone() != before)


def test_pruning_nothing_writes_nothing(store: SqliteStore, state: Path) -> None:
    """Every sweep prunes, and hosts with nothing to prune wait for no disk."""
    store.save(
        [
            Remember(record()),
            LogOperation(NOW, "u", "n", "o", "done"),
            RememberSchedule("u", {"cleanup_status": "failed"}),
        ]
    )
    assert not commits(state, lambda: store.save([Prune(NOW)]))
    assert commits(state, lambda: store.save([Prune(NOW + 1)]))


# Versions.


@pytest.mark.parametrize("release", RELEASES)
def test_reading_an_older_release(store: SqliteStore, state: Path, release: int) -> None:
    """What is there is read, the rest is empty, and nothing is upgraded by looking."""
    RELEASES[release](state)
    assert store.records() == {uuid_of(1): record()}
    there = ([PLAN], [NOTICE], {"default": 0}) if release >= 2 else ([], [], {})
    assert (store.plans(), store.notices(), store.pools()) == there
    assert (store.undo_records(), store.states(), store.starts(), store.boot()) == ([], {}, {}, None)
    assert (store.recoveries(), store.manifests()) == ({}, {})
    assert (store.snapshots(5), store.counters(), store.sweep()) == ({}, {}, None)
    assert [line.operation for line in store.operations(5)] == ["declare"]
    assert version(state) == release


@pytest.mark.parametrize("release", RELEASES)
def test_upgrading_an_older_release(store: SqliteStore, state: Path, release: int) -> None:
    """Where it stands, with all that it holds, and once."""
    RELEASES[release](state)
    inode = (state / "state.db").stat().st_ino
    last, start, run = (
        LastState(uuid_of(1), "a", "running"),
        StartRecord(uuid_of(1), "a", "b", "ready"),
        BootRun("b", NOW),
    )
    kept = Recovery(uuid_of(1), "a", NOW, NOW, Configuration("<domain/>"))
    swept = SweepRun(NOW, "done")
    for _round in range(2):
        store.save([RememberRecovery(kept), RememberSweep(swept)])
        assert (store.recoveries(), store.sweep()) == ({uuid_of(1): kept}, swept)
        store.save([RememberPlan(PLAN), QueueNotice(NOTICE), RememberPools({"default": 0}), Remember(record(2))])
        store.save([RememberState(last), RememberStart(start), RememberBoot(run)])
        assert store.records() == {uuid_of(1): record(), uuid_of(2): record(2)}
        assert (store.plans(), store.notices(), store.pools()) == ([PLAN], [NOTICE], {"default": 0})
        assert (store.states(), store.starts(), store.boot()) == ({uuid_of(1): last}, {uuid_of(1): start}, run)
        assert [line.operation for line in store.operations(5)] == ["declare"]
        assert (version(state), (state / "state.db").stat().st_ino) == (SCHEMA_VERSION, inode)
    assert list(state.glob("state.db.damaged*")) == []


@pytest.mark.parametrize("release", RELEASES)
def test_an_upgraded_database_is_that_of_a_new_host(
    store: SqliteStore, state: Path, tmp_path: Path, release: int
) -> None:
    """Column by column."""
    RELEASES[release](state)
    SqliteStore(tmp_path / "new").save([Remember(record())])
    store.save([Remember(record())])

    def columns(directory: Path) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(directory / "state.db")) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: database.execute(f"PRAGMA table_info({name})").fetchall() for name in names}

    assert columns(state) == columns(tmp_path / "new")
    assert {"states", "starts", "boot", "recoveries", "restarts", "snapshots", "counters", "sweeps"} <= set(
        columns(state)
    )


@pytest.mark.parametrize("release", RELEASES)
def test_many_upgrade_at_once(store: SqliteStore, state: Path, release: int) -> None:
    """One of them does, and nobody's change is lost."""
    RELEASES[release](state)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.save([Remember(record(number))]), range(2, 34)))
    assert set(store.records()) == {uuid_of(number) for number in range(1, 34)}
    assert version(state) == SCHEMA_VERSION


def test_an_upgrade_that_fails_changes_nothing(store: SqliteStore, state: Path) -> None:
    """A name that is taken: the tables before it are not made either."""
    first_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.execute("CREATE TABLE pools (something TEXT)")
    with pytest.raises(EffectError) as caught:
        store.save([Remember(record(2))])
    assert caught.value.code == "store_unusable"
    with closing(sqlite3.connect(state / "state.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"vms", "schedules", "clock", "operations", "pools"}
    assert (version(state), store.records()) == (1, {uuid_of(1): record()})


def test_an_upgrade_of_the_second_release_that_fails(store: SqliteStore, state: Path) -> None:
    """Likewise: it goes on as it was, and the next writer tries again."""
    second_release(state)
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.execute("CREATE TABLE boot (something TEXT)")
    with pytest.raises(EffectError) as caught:
        store.save([RememberState(LastState(uuid_of(1), "a", "running"))])
    assert caught.value.code == "store_unusable"
    assert (version(state), store.records(), store.states()) == (2, {uuid_of(1): record()}, {})
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.execute("DROP TABLE boot")
    store.save([RememberState(LastState(uuid_of(1), "a", "running"))])
    assert (version(state), set(store.states())) == (SCHEMA_VERSION, {uuid_of(1)})


# A full disk.


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_reading_on_a_full_disk(store: SqliteStore, state: Path) -> None:
    """What nobody has open is read as it is, again and again; nothing is written, and later it goes on."""
    store.save([Remember(record())])
    with full_disk():
        for _again in range(2):
            assert (store.records(), store.states()) == ({uuid_of(1): record()}, {})
            with pytest.raises(EffectError) as caught:
                store.save([Remember(record(2))])
            assert caught.value.code == "store_unusable"
    store.save([Remember(record(2))])
    assert set(store.records()) == {uuid_of(1), uuid_of(2)}
    assert not list(state.glob("state.db.damaged*"))


def test_reading_half_a_database_on_a_full_disk(store: SqliteStore, state: Path) -> None:
    """What is in the journal still would be missing."""
    store.save([Remember(record())])
    with closing(sqlite3.connect(state / "state.db")) as other:
        other.execute("SELECT count(*) FROM vms").fetchone()  # so that the journal stays
        store.save([Remember(record(2))])
        kept = state / "kept"
        kept.mkdir()
        for name in ("state.db", "state.db-wal"):
            shutil.copy(state / name, kept / name)
    with full_disk(), pytest.raises(EffectError) as caught:
        SqliteStore(kept).records()
    assert caught.value.code == "store_unusable"
    assert set(SqliteStore(kept).records()) == {uuid_of(1), uuid_of(2)}


# Damage.


STATE = asdict(LastState(uuid_of(1), "a", "running", "", NOW, "boot", "paused"))
START = asdict(StartRecord(uuid_of(1), "a", "boot", "ready", at_unix=NOW, attempts=1, turn=0.5, started=1.5, ended=2.0))
BOOT = asdict(BootRun("boot", NOW))
ODD_ROWS = [
    *(("states", text) for text in ("garbage", "[]", "{}", "null", '"x"', "7")),
    *(("states", json.dumps(STATE | odd)) for odd in (
        {"state": None}, {"state": 1}, {"name": ["a"]}, {"at_unix": "soon"}, {"at_unix": 10**30}, {"at_unix": True},
        {"before": {}}, {"boot_id": 7}, {"a_field_of": "a newer version"},
    )),
    *(("starts", json.dumps(START | odd)) for odd in (
        {"outcome": None}, {"attempts": 1.5}, {"turn": "0"}, {"ended": float("nan")}, {"started": float("inf")},
        {"at_unix": -(10**30)}, {"after": 1}, {"message": False},
    )),
    *(("boot", json.dumps(BOOT | odd)) for odd in (
        {"boot_id": 1}, {"began_unix": "x"}, {"ended_unix": None}, {"began_unix": 10**30}, {"more": 1},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("table", "text"), ODD_ROWS)
def test_rows_of_a_boot_that_nobody_understands(store: SqliteStore, state: Path, table: str, text: str) -> None:
    """Count as unknown, and the others are read; the next word on the VM replaces them."""
    others = LastState(uuid_of(2), "b", "shutoff", "guest", NOW, "boot"), StartRecord(uuid_of(2), "b", "boot", "ready")
    store.save([RememberState(others[0]), RememberStart(others[1])])
    with closing(sqlite3.connect(state / "state.db")) as database:
        key = 1 if table == "boot" else uuid_of(1)
        database.execute(f"INSERT INTO {table} VALUES (?, ?)", (key, text))
        database.commit()
    assert (store.states(), store.starts(), store.boot()) == ({uuid_of(2): others[0]}, {uuid_of(2): others[1]}, None)
    store.save([Prune(NOW * 2)])
    mine = LastState(**STATE), StartRecord(**START), BootRun(**BOOT)
    store.save([RememberState(mine[0]), RememberStart(mine[1]), RememberBoot(mine[2])])
    assert (store.states()[uuid_of(1)], store.starts()[uuid_of(1)], store.boot()) == mine


def unreadable(path: Path) -> None:
    """Nobody can read it as a file, not even root."""
    path.unlink()
    path.mkdir()


def not_ascii(path: Path) -> None:
    """A byte that we never write; read generously, it would silently be another path or name."""
    path.write_bytes(path.read_bytes().replace(b"secret", b"s\xe9cret"))


def emptied(path: Path) -> None:
    """As some file systems leave it after a power cut."""
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [unreadable, not_ascii, emptied])
def test_an_undo_record_that_can_not_be_read(store: SqliteStore, state: Path, spoil: Callable[[Path], None]) -> None:
    """It is told and stays where it is; the others are read."""
    store.write_undo(undo(1))
    store.write_undo(undo(2))
    spoil(state / "undo" / f"{uuid_of(1)}.json")
    assert store.undo_records() == [undo(2)]
    (told,) = store.damage()
    assert str(state / "undo" / f"{uuid_of(1)}.json") in told
    assert "all that is left of a VM" in told
    assert (state / "undo" / f"{uuid_of(1)}.json").exists()


def test_a_directory_that_can_not_be_listed(store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is not the same as an empty one: the disks of its VMs would look unused."""
    store.write_undo(undo())

    def broken(_directory: Path) -> list[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "listdir", broken)
    for look in (store.undo_records, store.damage):
        with pytest.raises(EffectError) as caught:
            look()
        assert caught.value.code == "store_unusable"


def test_the_journal_of_a_lost_database(store: SqliteStore, state: Path) -> None:
    """Somebody deletes state.db after a power cut and leaves its journal: nothing of it comes back."""
    store.save([Remember(record(1))])
    with closing(sqlite3.connect(state / "state.db")) as reader:
        reader.execute("SELECT * FROM vms").fetchall()  # while somebody reads, closing leaves the journal
        store.save([Remember(record(2))])
        shutil.copy(state / "state.db-wal", state / "left")
    for path in state.glob("state.db*"):
        path.unlink()
    (state / "left").rename(state / "state.db-wal")
    store.save([Remember(record(3))])
    assert set(store.records()) == {uuid_of(3)}


def test_a_cut_while_a_database_is_set_aside(store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of its steps: what was damaged counts as lost, and never as the journal of the next one."""
    real = os.replace
    for steps in range(3):
        for path in state.glob("state.db*"):
            path.unlink()
        store.save([Remember(record(1))])
        with closing(sqlite3.connect(state / "state.db")) as reader:
            reader.execute("SELECT * FROM vms").fetchall()
            store.save([Remember(record(2))])
            for suffix in ("-wal", "-shm"):
                shutil.copy(state / f"state.db{suffix}", state / f"left{suffix}")
        (state / "state.db").write_bytes(b"garbage" * 1000)
        for suffix in ("-wal", "-shm"):
            (state / f"left{suffix}").rename(state / f"state.db{suffix}")
        left = iter(range(steps))

        def replace(source: Path, target: Path, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise PowerCut
            real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(PowerCut):
                store.save([Remember(record(3))])
        store.save([Remember(record(4))])
        assert set(store.records()) == {uuid_of(4)}


@contextmanager
def everybody_waits(monkeypatch: pytest.MonkeyPatch, runs: int) -> Iterator[None]:
    """All runs find the damage before the first of them acts on it."""
    barrier, real = threading.Barrier(runs), SqliteStore._set_aside

    def late(store: SqliteStore, damaged: int) -> None:
        barrier.wait(30)
        real(store, damaged)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "_set_aside", late)
        yield


def test_damage_that_several_runs_find(store: SqliteStore, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set aside once, and nobody sets aside what another one wrote since."""
    store.save([Remember(record())])
    (state / "state.db").write_bytes(b"garbage" * 1000)
    with everybody_waits(monkeypatch, 6), ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: SqliteStore(state).save([Remember(record(number))]), range(6)))
    assert set(store.records()) == {uuid_of(number) for number in range(6)}
    assert [path.name for path in state.glob("state.db.damaged*")] == ["state.db.damaged-1"]


# Threads.


def test_threads_write_files_of_many_vms(store: SqliteStore, state: Path) -> None:
    """Each its own, with one store object, first of all at once: none is lost, and nothing is left over."""

    def remove(number: int) -> None:
        for _round in range(5):
            store.write_intent(intent(number))
            store.write_undo(undo(number))
            store.save([LogOperation(NOW, uuid_of(number), "n", "remove", "done")])
            store.drop_intent(uuid_of(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(remove, range(8)))
    assert [each.uuid for each in store.undo_records()] == [uuid_of(number) for number in range(8)]
    assert (store.intents(), store.damage(), len(store.operations(100))) == ([], [], 40)
    assert len(list((state / "undo").iterdir())) == 8
    assert list((state / "intents").iterdir()) == []


def test_files_that_go_while_others_look(store: SqliteStore) -> None:
    """A removal that ends meanwhile is neither an error nor damage."""
    store.write_undo(undo(100))
    stop = threading.Event()

    def churn(first: int) -> None:
        number = first
        while not stop.is_set():
            store.write_undo(undo(number))
            store.drop_undo(uuid_of(number))
            number = first + (number + 1 - first) % 5

    def look() -> None:
        for _round in range(300):
            assert undo(100) in store.undo_records()
            assert store.damage() == []

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(churn, first) for first in (0, 10)]
        try:
            for looker in [pool.submit(look) for _number in range(2)]:
                looker.result()
        finally:
            stop.set()
        for each in busy:
            each.result()


def test_what_is_saved_is_on_the_disk(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write returns when the disk has it: with less than FULL, SQLite's journal may lose the last of them with the power."""
    levels: list[int] = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def close(self) -> None:
            levels.append(self.execute("PRAGMA synchronous").fetchone()[0])
            super().close()

    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Watched))
    for number in (1, 2):
        store.save([Remember(record(number))])
    full = 2
    assert set(levels) == {full}


def test_copy_as_documented(store: SqliteStore, state: Path, tmp_path: Path) -> None:
    """The command of docs/hosts.md, while others have the database open and some of it is in its journal; and put back."""
    page = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text("utf-8")
    command = next(line for line in page.splitlines() if ".backup(" in line).partition("# ")[2]
    copy = tmp_path / "copy.db"
    interpreter, option, program, _source, _copy = shlex.split(command)
    words = [sys.executable, option, program, str(state / "state.db"), str(copy)]
    assert interpreter == "python3"
    store.save([Remember(record(1))])
    with closing(sqlite3.connect(state / "state.db")) as reader:
        reader.execute("SELECT * FROM vms").fetchall()
        store.save([Remember(record(2))])
        assert (state / "state.db-wal").stat().st_size > 0
        subprocess.run(words, check=True)
    store.save([Remember(record(3))])
    for left in state.glob("state.db*"):
        left.unlink()
    shutil.copy(copy, state / "state.db")
    assert set(store.records()) == {uuid_of(1), uuid_of(2)}
