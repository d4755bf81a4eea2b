"""What is kept of VMs that are restarted: the same cases on memory and on SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from vm_lifecycle.adapters.sqlite_store import SCHEMA_VERSION, SqliteStore
from vm_lifecycle.boots import LastState
from vm_lifecycle.changes import Forget, Prune, Remember, RememberRestart
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import RememberState
from vm_lifecycle.model import Record
from vm_lifecycle.restarts import RestartRecord

from .conftest import Reopen

UUID, OTHER, THIRD = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
NOW = 1795575600


def restart(uuid: str = UUID, name: str = "web\n1 ü") -> RestartRecord:
    """Everything in it."""
    return RestartRecord(
        uuid, name, "waiting", 7, 3, 0.4, 123456.5, 123000.25, "boot-1", "restart_waits", "its process died", NOW
    )


def test_nothing_at_first(reopen: Reopen) -> None:
    """Of nobody."""
    assert reopen().restarts() == {}


def test_restarts(reopen: Reopen) -> None:
    """All of it comes back, by UUID; the last word on a VM holds."""
    reopen().save([RememberRestart(restart(OTHER)), RememberRestart(restart(name="before"))])
    reopen().save([RememberRestart(restart())])
    assert reopen().restarts() == {UUID: restart(), OTHER: restart(OTHER)}
    assert reopen().restarts({OTHER, THIRD}) == {OTHER: restart(OTHER)}
    assert reopen().restarts(()) == {}
    least = RestartRecord(UUID, "a")
    reopen().save([RememberRestart(least)])
    assert reopen().restarts()[UUID] == least


def test_forgotten(reopen: Reopen) -> None:
    """With all else that is known of the VM: one that is declared anew counts from 0."""
    reopen().save([RememberRestart(restart()), RememberRestart(restart(OTHER)), Forget(UUID)])
    assert set(reopen().restarts()) == {OTHER}


def test_pruned(reopen: Reopen) -> None:
    """Of VMs that neither exist nor are known."""
    known = Record(OTHER, "ci-1", 7, "digest", {"version": 1, "persistence": {"mode": "permanent"}})
    reopen().save([*(RememberRestart(restart(uuid)) for uuid in (UUID, OTHER, THIRD)), Remember(known)])
    reopen().save([Prune(NOW * 2, frozenset({THIRD}))])
    assert set(reopen().restarts()) == {OTHER, THIRD}


def test_together_or_not_at_all(tmp_path: Path) -> None:
    """A stop and what follows from it: with the one, the other is lost, and seen again by the next look."""
    store = SqliteStore(tmp_path / "state")
    last = LastState(UUID, "a", "running")
    store.save([RememberState(last), RememberRestart(replace(restart(), phase="up"))])
    unwritable = replace(restart(), uuid=object())  # type: ignore[arg-type]
    with pytest.raises(EffectError):
        store.save([RememberState(replace(last, state="shutoff")), RememberRestart(unwritable)])
    assert (store.states()[UUID], store.restarts()[UUID].phase) == (last, "up")


@pytest.mark.parametrize(
    "damage",
    [
        {"phase": "flying"}, {"phase": 1}, {"restart_count": -1}, {"restart_count": "1"}, {"due": "soon"}, {"due": 1e999},
        {"more": 1}, {"at_unix": 10**12}, {"since": None},
    ],
    ids=str,
)  # fmt: skip
def test_damage(tmp_path: Path, damage: dict[str, object]) -> None:
    """A row that is not understood is nobody's, and the others are as they were."""
    store = SqliteStore(tmp_path / "state")
    store.save([RememberRestart(restart()), RememberRestart(restart(OTHER))])
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as database:
        text = json.dumps({**asdict(restart()), **damage})
        database.execute("UPDATE restarts SET restart = ? WHERE uuid = ?", (text, UUID))
        database.commit()
    assert store.restarts() == {OTHER: restart(OTHER)}
    store.save([RememberRestart(restart())])
    assert set(store.restarts()) == {UUID, OTHER}


def test_an_upgrade_keeps_what_was_last_seen(tmp_path: Path) -> None:
    """From the release before, whose database has no restarts yet."""
    store = SqliteStore(tmp_path / "state")
    last = LastState(UUID, "a", "running")
    store.save([RememberState(last)])
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as database:
        for table in ("restarts", "snapshots", "counters", "sweeps", "pressed"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version=4")
        database.commit()
    assert (store.restarts(), store.states()) == ({}, {UUID: last})
    store.save([RememberRestart(restart())])
    assert (store.restarts(), store.states()) == ({UUID: restart()}, {UUID: last})
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
