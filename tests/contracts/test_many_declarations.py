"""Many VMs in one call, with real threads, on libvirt's `test` driver with the real store and the real host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.apply import MANY
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks.persistence import TASK

from tests.fakes.build import uuid_of

from .conftest import LibvirtBench

COUNT = 3 * MANY


def test_many_declarations(own: LibvirtBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each VM has the declaration that is its own, in metadata, store and log, whichever thread wrote it."""
    names = {uuid_of(number): f"vm-{number:03}" for number in range(1, COUNT + 1)}
    for uuid, name in names.items():
        own.define(uuid, name)
    host = LinuxHost(tmp_path / "claims", tmp_path / "configuration")
    world = World(own.hypervisor, SqliteStore(tmp_path / "state"), host)
    hours = {name: number for number, name in enumerate(names.values(), start=1)}
    vms = [{"name": name, "ttl_hours": hours[name]} for name in names.values()]
    result = run(TASK, {"mode": "temporary", "vms": vms}, world)
    assert [row["name"] for row in result["vms"]] == list(names.values())
    assert {row["changed"] for row in result["vms"]} == {True}
    records = world.store.records()
    for uuid, name in names.items():
        written = json.loads(own.hypervisor.metadata(uuid) or "")
        assert written["persistence"]["ttl_hours"] == hours[name], name
        assert records[uuid].name == name
    logged = [(line.uuid, line.name) for line in world.store.operations(2 * COUNT)]
    assert sorted(logged) == sorted(names.items())
    assert run(TASK, {"mode": "temporary", "vms": vms}, world)["changed"] is False
    assert "vm-001" not in capsys.readouterr().out  # results are the module's only output
