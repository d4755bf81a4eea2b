"""Saves while the database stays open: the same for everybody else, whatever becomes of the file meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vm_lifecycle.adapters import sqlite_store
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Remember
from vm_lifecycle.model import Record


def record(number: int) -> Record:
    """What is known of a VM."""
    uuid = f"00000000-0000-4000-8000-{number:012}"
    return Record(uuid, f"ci-{number}", 1, "digest", {"persistence": {"mode": "temporary"}}, "running", number)


def numbers(state: Path) -> list[int]:
    """Of the VMs that anybody else finds on record."""
    return sorted(each.last_state_change for each in SqliteStore(state).records().values())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The store's directory, which nothing has made yet."""
    return tmp_path / "state"


def test_only_the_journal_is_written(state: Path) -> None:
    """From the first save, which makes the database; others read what was saved, then and afterwards."""
    store, database, journal = SqliteStore(state), state / "state.db", state / "state.db-wal"
    with store.staying_open():
        store.save([Remember(record(1))])
        before = database.read_bytes()
        for number in range(2, 6):
            store.save([Remember(record(number))])
            assert numbers(state) == list(range(1, number + 1))
        assert database.read_bytes() == before and journal.stat().st_size > 0
    assert (database.read_bytes() != before, journal.exists()) == (True, False)
    assert numbers(state) == [1, 2, 3, 4, 5]
    store.save([Remember(record(6))])
    assert (numbers(state), journal.exists()) == ([1, 2, 3, 4, 5, 6], False)


def test_nothing_is_made_without_a_save(state: Path) -> None:
    """Nor by reading."""
    store = SqliteStore(state)
    with store.staying_open():
        assert store.records() == {}
    assert not state.exists()


@pytest.mark.parametrize("damage", ["deleted", "deleted_alone", "replaced", "garbage"])
def test_the_file_meanwhile(state: Path, damage: str) -> None:
    """A database that was lost is made anew, and saves to that one are whole, and as quick."""
    store, database = SqliteStore(state), state / "state.db"
    with store.staying_open():
        store.save([Remember(record(1))])
        store.save([Remember(record(2))])
        if damage == "deleted":
            for path in state.glob("state.db*"):
                path.unlink()
        elif damage == "deleted_alone":
            database.unlink()
        elif damage == "replaced":
            shutil.copy(database, state / "other")
            os.replace(state / "other", database)
            for suffix in ("-wal", "-shm"):
                (state / f"state.db{suffix}").unlink()
        else:
            database.write_bytes(b"garbage" * 10_000)
        store.save([Remember(record(3))])
        store.save([Remember(record(4))])
        assert {3, 4} <= set(numbers(state))
        assert (state / "state.db-wal").stat().st_size > 0
    assert {3, 4} <= set(numbers(state))
    store.save([Remember(record(5))])
    assert {3, 4, 5} <= set(numbers(state))


def test_the_journal_is_bounded(state: Path) -> None:
    """What stays open reads nothing on and on, which would keep SQLite from using the journal's space again."""
    store = SqliteStore(state)
    with store.staying_open():
        for number in range(1500):
            store.save([Remember(record(number))])
        written = 1500 * 2 * 4096
        assert (state / "state.db-wal").stat().st_size < written // 2


def test_garbage_is_not_mended(state: Path) -> None:
    """What is left of a damaged database is not written into it in the end."""
    store, database = SqliteStore(state), state / "state.db"
    with store.staying_open():
        store.save([Remember(record(1))])
        store.save([Remember(record(2))])
        database.write_bytes(b"garbage" * 10_000)
    assert database.read_bytes() == b"garbage" * 10_000
    store.save([Remember(record(3))])
    assert numbers(state) == [3]


def test_a_save_that_is_late(state: Path) -> None:
    """One of a job that hangs, after the end: nothing is opened any more that nobody would close."""
    store = SqliteStore(state)
    with store.staying_open():
        store.save([Remember(record(1))])
    store.save([Remember(record(2))])
    assert (numbers(state), (state / "state.db-wal").exists()) == ([1, 2], False)


def test_many_threads(state: Path) -> None:
    """The one that ends it may be another than the one whose save was first."""
    store = SqliteStore(state)
    with store.staying_open(), ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.save([Remember(record(number))]), range(40)))
    assert numbers(state) == list(range(40))


def test_a_database_that_stays_closed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be opened once more, saves are what they are otherwise."""
    store, connect = SqliteStore(state), sqlite_store.sqlite3.connect

    def refused(name: str, **given: object) -> object:
        if "mode=" in name:
            raise sqlite_store.sqlite3.OperationalError("unable to open database file")
        return connect(name, **given)  # type: ignore[call-overload]

    monkeypatch.setattr(sqlite_store.sqlite3, "connect", refused)
    with store.staying_open():
        store.save([Remember(record(1))])
        assert not (state / "state.db-wal").exists()
    assert numbers(state) == [1]


KILLED = """
import sys
from pathlib import Path
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Remember
from vm_lifecycle.model import Record
store = SqliteStore(Path(sys.argv[1]))
with store.staying_open():
    for number in range(1000):
        uuid = f"00000000-0000-4000-8000-{number:012}"
        store.save([Remember(Record(uuid, "ci", 1, "d", {}, "running", number))])
        print(number, flush=True)
"""


def test_a_kill(state: Path) -> None:
    """What was said to be saved is there."""
    words = [sys.executable, "-c", KILLED, str(state)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _each in range(20)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().splitlines()]
    assert len(said) >= 20
    assert set(said) <= set(numbers(state))
