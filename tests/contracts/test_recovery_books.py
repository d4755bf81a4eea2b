"""What is kept for recovery: the same cases on memory and on SQLite, and what damage of its files may never do."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from vm_lifecycle.adapters.sqlite_store import SCHEMA_VERSION, SqliteStore
from vm_lifecycle.boots import LastState
from vm_lifecycle.changes import Forget, ForgetRecovery, Prune, Remember, RememberRecovery
from vm_lifecycle.errors import EffectError
from vm_lifecycle.host_changes import RememberState
from vm_lifecycle.model import Record
from vm_lifecycle.policy.memory import mismatch
from vm_lifecycle.recoveries import Configuration, DiskMark, Machine, Manifest, Memory, MemoryFacts, Recovery

from .conftest import Reopen

UUID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NAMES = ["ci-1", "two\nlines", "quo\"te's", "\x1b[31mred", "../../etc", "${HOME} $(id)", "ü€𝄞", "x" * 200]
NOW = 1795575600
MACHINE = Machine(7002022, "pc-i440fx-7.2", "custom Nehalem")
MEMORY = Memory("/save/ü.save", 2**40, 2**62, managed=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The directory of a store on SQLite."""
    return tmp_path / "state"


def recovery(uuid: str = UUID, name: str = "ci-1") -> Recovery:
    """What is kept of a VM, with everything in it."""
    summary = {"name": name, "vcpus": 2, "disks": [{"target": "vda", "source": "/a"}], "nested": [1, None, True, 1.5]}
    xml = "<domain>\n<description>ü &amp; ]]&gt;</description></domain>\n"
    return Recovery(uuid, name, NOW, NOW + 1, Configuration(xml, True, summary), MEMORY)


def manifest(uuid: str = UUID, name: str = "ci-1") -> Manifest:
    """What memory was made with, with everything in it."""
    disks = (DiskMark("/a", 2**40, 2**62), DiskMark("/missing", -1, 0))
    return Manifest(uuid, name, NOW, MEMORY, MACHINE, disks)


def test_nothing_at_first(reopen: Reopen) -> None:
    """And dropping what is not there is no error."""
    reopen().drop_manifest(UUID)
    assert (reopen().recoveries(), reopen().manifests()) == ({}, {})
    reopen().save([ForgetRecovery(UUID)])
    assert reopen().recoveries() == {}


@pytest.mark.parametrize("name", NAMES)
def test_recoveries(reopen: Reopen, name: str) -> None:
    """All of it comes back, by UUID; the last word on a VM holds, also within one save."""
    reopen().save([RememberRecovery(recovery(OTHER)), RememberRecovery(recovery(name="before"))])
    reopen().save([RememberRecovery(recovery(name="too")), RememberRecovery(recovery(name=name))])
    assert reopen().recoveries() == {UUID: recovery(name=name), OTHER: recovery(OTHER)}
    assert reopen().recoveries([OTHER, "nobody"]) == {OTHER: recovery(OTHER)}
    least = Recovery(UUID, name, NOW, NOW, Configuration("<domain/>"))
    for each in (least, replace(least, removed=True)):
        reopen().save([RememberRecovery(each)])
        assert reopen().recoveries()[UUID] == each


def test_forgotten_recoveries(reopen: Reopen) -> None:
    """Alone, and with all that is known of a VM; in the order of the changes, and of that VM alone."""
    both = [RememberRecovery(recovery(uuid)) for uuid in (UUID, OTHER)]
    record = Record(UUID, "ci-1", 1, "digest", {"persistence": {"mode": "temporary"}})
    reopen().save([*both, Remember(record), ForgetRecovery(UUID)])
    assert (reopen().recoveries(), reopen().records()) == ({OTHER: recovery(OTHER)}, {UUID: record})
    assert (reopen().records([UUID]), reopen().records([OTHER])) == ({UUID: record}, {})
    reopen().save([RememberRecovery(recovery()), Forget(UUID), Forget("nobody")])
    assert (reopen().recoveries(), reopen().records()) == ({OTHER: recovery(OTHER)}, {})
    reopen().save([Forget(OTHER), RememberRecovery(recovery(OTHER, "again"))])
    assert reopen().recoveries() == {OTHER: recovery(OTHER, "again")}


def test_pruning_keeps_what_makes_vms_again(reopen: Reopen) -> None:
    """However old it is, and whoever knows nothing else of the VM: its definition may be lost."""
    reopen().save([RememberRecovery(recovery())])
    reopen().write_manifest(manifest())
    reopen().save([Prune(NOW * 2)])
    assert (reopen().recoveries(), reopen().manifests()) == ({UUID: recovery()}, {UUID: manifest()})


@pytest.mark.parametrize("name", NAMES)
def test_manifests(reopen: Reopen, name: str) -> None:
    """All of it comes back, to the nanosecond; one that has begun is replaced by the whole one."""
    begun = Manifest(UUID, name, NOW, Memory(""), MACHINE)
    for each in (begun, manifest(name=name)):
        reopen().write_manifest(each)
        assert reopen().manifests() == {UUID: each}
    reopen().write_manifest(manifest(OTHER))
    reopen().drop_manifest(UUID)
    reopen().drop_manifest(UUID)
    assert reopen().manifests() == {OTHER: manifest(OTHER)}


def test_what_is_returned_is_a_copy(reopen: Reopen) -> None:
    """Changing it changes no store."""
    store = reopen()
    store.save([RememberRecovery(recovery())])
    store.recoveries()[UUID].configuration.summary["name"] = "changed"
    assert store.recoveries() == {UUID: recovery()}


# SQLite's own: files.


def test_reading_creates_nothing(state: Path) -> None:
    """Check mode leaves no trace."""
    store = SqliteStore(state)
    assert (store.recoveries(), store.manifests(), store.damage()) == ({}, {}, [])
    assert not state.exists()


def test_modes_and_places(state: Path) -> None:
    """Definitions and memory are the owner's alone; a directory is made when it is asked for, its own name durable."""
    store = SqliteStore(state)
    assert store.directory("memory") == store.directory("memory") == str(state / "memory")
    store.write_manifest(manifest())
    store.save([RememberRecovery(recovery())])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [state, *state.rglob("*")]}
    assert {modes[name] for name in ("state", "memory", "manifests")} == {0o700}
    assert {modes[name] for name in (f"{UUID}.json", "state.db")} == {0o600}
    (state / "file").write_text("in the way")
    with pytest.raises(EffectError) as caught:
        SqliteStore(state / "file").directory("memory")
    assert caught.value.code == "store_unusable"


def test_a_lost_database_loses_no_manifest(state: Path) -> None:
    """Nor one that is damaged: memory outlives it, and must not be loaded over other disks."""
    store = SqliteStore(state)
    store.write_manifest(manifest())
    store.save([RememberRecovery(recovery())])
    for suffix in ("-wal", "-shm"):
        (state / f"state.db{suffix}").unlink(missing_ok=True)
    (state / "state.db").write_bytes(b"garbage" * 1000)
    assert (store.recoveries(), store.manifests()) == ({}, {UUID: manifest()})
    store.save([RememberRecovery(recovery(OTHER))])
    assert (store.recoveries(), store.manifests()) == ({OTHER: recovery(OTHER)}, {UUID: manifest()})


RECOVERY = asdict(recovery())
ODD_RECOVERIES = [
    *("garbage", "[]", "{}", "null", "7"),
    *(json.dumps(RECOVERY | odd) for odd in (
        {"name": None}, {"created_unix": "soon"}, {"checkpoint_unix": 10**30}, {"created_unix": True}, {"removed": 1},
        {"configuration": None}, {"configuration": {}}, {"configuration": RECOVERY["configuration"] | {"xml": None}},
        {"configuration": RECOVERY["configuration"] | {"xml": "<domain>"}},
        {"configuration": RECOVERY["configuration"] | {"omitted_secrets": "no"}},
        {"configuration": RECOVERY["configuration"] | {"summary": []}},
        {"memory": {}}, {"memory": {"path": 1}}, {"memory": asdict(MEMORY) | {"size": "1"}}, {"memory": "x"}, {"more": 1},
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_RECOVERIES)
def test_recoveries_that_nobody_understands(state: Path, text: str) -> None:
    """Count as unknown, and the others are read; the next word on the VM replaces them."""
    store = SqliteStore(state)
    store.save([RememberRecovery(recovery(OTHER))])
    with closing(sqlite3.connect(state / "state.db")) as database:
        database.execute("INSERT INTO recoveries VALUES (?, ?)", (UUID, text))
        database.commit()
    assert store.recoveries() == {OTHER: recovery(OTHER)}
    store.save([RememberRecovery(recovery())])
    assert store.recoveries() == {UUID: recovery(), OTHER: recovery(OTHER)}


MANIFEST = asdict(manifest())
ODD_MANIFESTS = [
    *("", "{", "[]", "{}", "null", "7", "[" * 100000, "\xff"),
    *(json.dumps(MANIFEST | odd) for odd in (
        {"uuid": OTHER}, {"name": 1}, {"made_unix": "x"}, {"made_unix": 10**30}, {"memory": None}, {"memory": {}},
        {"memory": asdict(MEMORY) | {"size": None}}, {"memory": asdict(MEMORY) | {"modified_ns": 1.5}},
        {"machine": {"qemu": "7"}}, {"machine": []}, {"machine": {"cpu": None}}, {"disks": None}, {"disks": [{}]},
        {"disks": [["/a", 1, 1]]}, {"disks": [{"path": "/a", "size": "1", "modified_ns": 0}]}, {"more": 1},
    )),
]  # fmt: skip
FACTS = MemoryFacts(Memory("/save/a.save", 5, 5), MACHINE)


@pytest.mark.parametrize("text", ODD_MANIFESTS)
def test_manifests_that_nobody_understands(state: Path, text: str) -> None:
    """They forbid to load what they may have been of, they stop no sweep, and the next one replaces them."""
    store = SqliteStore(state)
    store.write_manifest(manifest(OTHER))
    path = state / "manifests" / f"{UUID}.json"
    path.write_text(text, "utf-8")
    found = store.manifests()
    assert (found[OTHER], store.damage()) == (manifest(OTHER), [])
    assert found[UUID].uuid == UUID
    assert mismatch(None, FACTS) == ""
    assert str(path) in mismatch(found[UUID], FACTS)
    store.write_manifest(manifest())
    assert store.manifests() == {UUID: manifest(), OTHER: manifest(OTHER)}
    path.write_text(text, "utf-8")
    store.drop_manifest(UUID)
    assert store.manifests() == {OTHER: manifest(OTHER)}


def test_an_upgrade_keeps_what_was_last_seen(state: Path) -> None:
    """From a release whose database has no recoveries yet, nor what came later."""
    store = SqliteStore(state)
    last = LastState(UUID, "a", "running")
    store.save([RememberState(last)])
    with closing(sqlite3.connect(state / "state.db")) as database:
        for table in ("recoveries", "restarts", "snapshots", "counters", "sweeps", "pressed"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version=3")
        database.commit()
    assert (store.recoveries(), store.states()) == ({}, {UUID: last})
    store.save([RememberRecovery(recovery())])
    assert (store.recoveries(), store.states()) == ({UUID: recovery()}, {UUID: last})
    with closing(sqlite3.connect(state / "state.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
