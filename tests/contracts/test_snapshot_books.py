"""What is kept of what VMs use: the same cases on memory and on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import Forget, Prune, Remember, RememberSnapshot, RememberSweep
from vm_lifecycle.model import Record
from vm_lifecycle.snapshots import Counters, Sample, SweepRun
from vm_lifecycle.times import iso

from .conftest import Reopen

UUID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NOW = 1795575600
COUNTERS = Counters(UUID, 7, "boot", 1234.5, 2**60, 12.34, 99.5)
SWEEP = SweepRun(NOW, "failed", 1, 2, 3, 4, 'why "so"\n')


def sample(at: int, uuid: str = UUID, name: str = "ci-1") -> Sample:
    """A snapshot of so many seconds after NOW."""
    document = {
        "vm_name": name,
        "snapshot_time": iso(NOW + at),
        "vm_state": "running",
        "cpu_usage_percent": 1.5,
        "ip_addresses": ["::1"],
    }
    return Sample(uuid, NOW + at, document, replace(COUNTERS, uuid=uuid, boottime=float(at)), 1, 2)


def times(found: list[dict[str, object]]) -> list[int]:
    """Seconds after NOW of what was found."""
    known = {iso(NOW + at): at for at in range(-100, 1000)}
    return [known[str(each["snapshot_time"])] for each in found]


def test_nothing_at_first(reopen: Reopen) -> None:
    assert (reopen().snapshots(10), reopen().counters(), reopen().sweep()) == ({}, {}, None)


@pytest.mark.parametrize("name", ["ci-1", "two\nlines", "quo\"te's", "\x1b[31mred", "ü€𝄞", "x" * 200])
def test_snapshots(reopen: Reopen, name: str) -> None:
    """They come back by VM, the newest first, as many as are asked for."""
    for at in range(4):
        reopen().save([RememberSnapshot(sample(at, name=name), 10), RememberSnapshot(sample(at + 100, OTHER), 10)])
    found = reopen().snapshots(3)
    assert {uuid: times(each) for uuid, each in found.items()} == {UUID: [3, 2, 1], OTHER: [103, 102, 101]}
    assert found[UUID][0] == sample(3, name=name).snapshot
    assert reopen().counters() == {UUID: sample(3).counters, OTHER: sample(103, OTHER).counters}
    assert [len(each) for each in reopen().snapshots(100).values()] == [4, 4]
    assert reopen().snapshots(0) == {}


def test_retention(reopen: Reopen) -> None:
    """The newest of that VM stay; a policy that keeps fewer drops at once what is too much, and others' are left alone."""
    reopen().save([RememberSnapshot(sample(0, OTHER), 1)])
    for at in range(5):
        reopen().save([RememberSnapshot(sample(at), 3)])
    assert times(reopen().snapshots(10)[UUID]) == [4, 3, 2]
    reopen().save([RememberSnapshot(sample(5), 1)])
    assert {uuid: times(each) for uuid, each in reopen().snapshots(10).items()} == {UUID: [5], OTHER: [0]}


def test_a_clock_that_went_back(reopen: Reopen) -> None:
    """The order is that in which they were taken."""
    for at in (50, 60, -50):
        reopen().save([RememberSnapshot(sample(at), 2)])
    assert times(reopen().snapshots(10)[UUID]) == [-50, 60]


def test_forgotten(reopen: Reopen) -> None:
    """With all that is known of a VM, and of that one alone."""
    reopen().save([RememberSnapshot(sample(0), 5), RememberSnapshot(sample(0, OTHER), 5), Forget(UUID)])
    assert (set(reopen().snapshots(5)), set(reopen().counters())) == ({OTHER}, {OTHER})


def test_pruned(reopen: Reopen) -> None:
    """What is old goes; of a VM that is known or there, the last reading stays, and of any other everything goes."""
    record = Record(UUID, "ci-1", 1, "digest", {"persistence": {"mode": "temporary"}})
    third = "00000000-0000-4000-8000-000000000003"
    reopen().save([Remember(record), *(RememberSnapshot(sample(0, uuid), 5) for uuid in (UUID, OTHER, third))])
    reopen().save([RememberSnapshot(sample(10), 5)])
    reopen().save([Prune(NOW + 5, frozenset({third}))])
    assert {uuid: times(each) for uuid, each in reopen().snapshots(5).items()} == {UUID: [10]}
    assert set(reopen().counters()) == {UUID, third}


def test_the_last_sweep(reopen: Reopen) -> None:
    """There is one."""
    reopen().save([RememberSweep(replace(SWEEP, ended_unix=1))])
    reopen().save([RememberSweep(SWEEP)])
    assert reopen().sweep() == SWEEP


def test_what_is_returned_is_a_copy(reopen: Reopen) -> None:
    """Changing it changes no store."""
    store = reopen()
    store.save([RememberSnapshot(sample(0), 5)])
    store.snapshots(5)[UUID][0]["vm_name"] = "changed"
    assert store.snapshots(5)[UUID][0]["vm_name"] == "ci-1"


# SQLite's own.


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"snapshot_time": 5}', '{"run": "x"}', "null"])
def test_damaged_rows(tmp_path: Path, text: str) -> None:
    """They are passed over: rates begin anew, and the others are shown."""
    store = SqliteStore(tmp_path / "state")
    store.save([RememberSnapshot(sample(0), 5), RememberSnapshot(sample(1), 5), RememberSweep(SWEEP)])
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as database:
        database.execute("UPDATE snapshots SET snapshot = ? WHERE id = 1", (text,))
        database.execute("UPDATE counters SET counters = ?", (text,))
        database.execute("UPDATE sweeps SET sweep = ?", (text,))
        database.commit()
    assert {uuid: times(each) for uuid, each in store.snapshots(5).items()} == {UUID: [1]}
    assert (store.counters(), store.sweep()) == ({}, None)
    store.save([RememberSnapshot(sample(2), 5), RememberSweep(SWEEP)])
    assert (store.counters()[UUID].boottime, store.sweep()) == (2.0, SWEEP)


def test_many(tmp_path: Path) -> None:
    """A large host's look is one transaction, and reading what is shown of it takes no longer than the rest of a look."""
    store = SqliteStore(tmp_path / "state")
    uuids = [f"00000000-0000-4000-8000-{number:012}" for number in range(300)]
    for at in range(8):
        store.save([RememberSnapshot(sample(at, uuid), 5) for uuid in uuids])
    found = store.snapshots(100)
    assert (len(found), {len(each) for each in found.values()}) == (300, {5})
    assert len(store.counters()) == 300
