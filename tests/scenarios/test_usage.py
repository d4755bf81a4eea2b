"""The command's verb snapshot, on a host in virtual time: what it prints, publishes and keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.agent import cli, usage
from vm_lifecycle.errors import EffectError, refuse

from tests.fakes.build import build
from tests.fakes.world import Machine, ports
from tests.prometheus_text import parse

from .player import HERE

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host that publishes metrics."""
    (tmp_path / "metrics").mkdir()
    policy = {"textfile_directory": str(tmp_path / "metrics"), "retention_count": 5}
    return Machine(
        build({
            "configuration": {"snapshots": policy, "cleanup": {"cleanup_in_window_only": False}},
            "domains": [
                {"name": "db1", "load": 0.5, "declared": {"mode": "permanent"}, "files": ["/pool/db1.qcow2"]},
                {"name": "\x1b[31mred\n", "declared": {"mode": "temporary", "ttl_hours": 4}},
                {"name": "stranger", "load": 1.0},
            ],
        })
    )  # fmt: skip


@pytest.fixture
def run(machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on that host: (exit code, standard output, standard error)."""
    world = ports(machine)
    monkeypatch.setattr(cli, "open_world", lambda *_arguments, **_more: world)
    monkeypatch.setattr(cli, "open_books", lambda *_arguments, **_more: (world.store, world.host))

    def command(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        return (code, *capsys.readouterr())

    return command


def published(tmp_path: Path) -> dict[str, Any]:
    """The metrics that are there."""
    return parse((tmp_path / "metrics" / "vm_lifecycle.prom").read_text("utf-8"))


def test_snapshot(run: Run, machine: Machine, tmp_path: Path) -> None:
    """A table for people, a file for the exporter, a row of the store for each managed VM."""
    code, out, err = run("snapshot")
    path = tmp_path / "metrics" / "vm_lifecycle.prom"
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "VM             STATE    CPU     MEMORY   DISK   UP FOR       ADDRESSES",
        "\\x1b[31mred\\n  running  0.0 %   100 MiB  0 GiB  83 min 20 s  10.0.0.2",
        "db1            running  50.0 %  100 MiB  1 GiB  83 min 20 s  10.0.0.1",
        f"2 snapshots put on record, metrics in {path}",
    ]
    found = published(tmp_path)
    names = {dict(labels)["vm"] for labels in found["vm_lifecycle_vm_info"]}
    assert names == {"db1", "\x1b[31mred\n"}
    assert found["vm_lifecycle_vms"][(("state", "unmanaged"),)] == 1
    assert "vm_lifecycle_last_sweep_success" not in found
    assert {len(each) for each in machine.store["snapshots"].values()} == {1}


def test_some_vms(run: Run, machine: Machine, tmp_path: Path) -> None:
    """Are looked at without a word to the exporter, whose file is of all of them."""
    assert run("snapshot", "db1")[1].splitlines()[-1] == "1 snapshot put on record"
    assert list((tmp_path / "metrics").iterdir()) == []
    assert len(machine.store["snapshots"]) == 1


def test_dry_run(run: Run, machine: Machine, tmp_path: Path) -> None:
    """Shows the same, and keeps and publishes nothing."""
    before = len(machine.effects)
    assert "put on record" not in run("snapshot", "--dry-run")[1]
    assert (len(machine.effects), list((tmp_path / "metrics").iterdir())) == (before, [])


def test_json(run: Run) -> None:
    """As the module returns it."""
    result = json.loads(run("snapshot", "--json")[1])
    assert result["vms"][1]["snapshot"]["cpu_usage_percent"] == 50.0
    assert result["changed"] is False


def test_a_directory_that_is_not_there(run: Run, machine: Machine) -> None:
    """What was measured is on record all the same, and the unit fails."""
    machine.state["configuration"]["snapshots"]["textfile_directory"] = "/nowhere/at/all"
    code, out, err = run("snapshot")
    assert (code, out) == (4, "")
    assert "/nowhere/at/all/vm_lifecycle.prom can't be written" in err
    assert len(machine.store["snapshots"]) == 2


def test_no_directory(run: Run, machine: Machine) -> None:
    """Nothing is published unless that is asked for."""
    del machine.state["configuration"]["snapshots"]
    assert run("snapshot")[1].splitlines()[-1] == "2 snapshots put on record"


def test_no_vm(run: Run, machine: Machine, tmp_path: Path) -> None:
    """A host without managed VMs has metrics, too: that there are none."""
    machine.state["domains"].clear()
    assert run("snapshot")[1] == "no VM of this host is managed\n"
    assert published(tmp_path)["vm_lifecycle_vms"][(("state", "managed"),)] == 0


def test_status(run: Run) -> None:
    """With the option, the VMs' use below the table of what is declared; without it as ever."""
    lines = run("status", "--snapshot")[1].splitlines()
    assert [line.split()[0] for line in lines if line] == [
        "VM",
        "\\x1b[31mred\\n",
        "db1",
        "stranger",
        "VM",
        "\\x1b[31mred\\n",
        "db1",
    ]
    assert run("status")[1].splitlines() == lines[:4]


def test_sweeps_of_the_timer(run: Run, machine: Machine, tmp_path: Path) -> None:
    """How the last one ended is told; sweeps of people are not the timer's, and a dry run is no sweep."""
    run("cleanup")
    run("cleanup", "--scheduled", "--dry-run")
    assert machine.store["sweep"] is None
    run("cleanup", "--scheduled")
    assert machine.store["sweep"]["outcome"] == "done"
    run("snapshot")
    found = published(tmp_path)
    assert found["vm_lifecycle_last_sweep_success"] == {(): 1}
    assert found["vm_lifecycle_last_sweep_timestamp_seconds"][()] == int(machine.clock["now"])


def test_a_sweep_that_fails(run: Run, machine: Machine) -> None:
    """In one VM."""
    machine.state["refuse"]["undefine"] = "internal error"
    code, _out, _err = run("cleanup", "--scheduled")
    assert (code, machine.store["sweep"]["outcome"], machine.store["sweep"]["failed"]) == (1, "failed", 1)


def test_a_sweep_that_is_refused(run: Run, machine: Machine, tmp_path: Path) -> None:
    """As a whole, because of a policy that is not valid."""
    machine.state["configuration"]["cleanup"] = {"cleanup_batch_size": 0}
    assert run("cleanup", "--scheduled")[0] == 3
    assert machine.store["sweep"]["outcome"] == "refused"
    assert "cleanup_batch_size" in machine.store["sweep"]["message"]
    result = json.loads(run("snapshot", "--json")[1])
    assert result["last_sweep"]["outcome"] == "refused"
    assert published(tmp_path)["vm_lifecycle_last_sweep_success"] == {(): 0}


def test_a_sweep_that_can_not_be_recorded(run: Run, machine: Machine) -> None:
    """It took place all the same, and says what is missing."""
    machine.state["domains"] = machine.state["domains"][:1]  # nothing is due

    def refused(_machine: Machine, kind: str, subject: Any) -> None:
        if kind == "save" and any(type(change).__name__ == "RememberSweep" for change in subject):
            raise EffectError("store_unusable", "disk full")

    machine.before_effect = refused
    code, _out, err = run("cleanup", "--scheduled")
    assert (code, machine.store["sweep"]) == (0, None)
    assert "it is not recorded how the sweep ended: disk full" in err


def test_libvirt_that_does_not_answer(run: Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a sweep that was refused."""

    def away(*_arguments: object, **_more: object) -> None:
        raise refuse("connection_failed", "no such file")

    monkeypatch.setattr(cli, "open_world", away)
    assert run("cleanup", "--scheduled")[0] == 4
    assert machine.store["sweep"]["outcome"] == "refused"


def test_validate(run: Run, tmp_path: Path) -> None:
    """A policy before it is used."""
    path = tmp_path / "snapshots.json"
    path.write_text('{"interval_minutes": 10, "textfile_directory": "/var/lib/x"}')
    assert run("validate", "snapshots", str(path)) == (0, f"{path} is valid\n", "")
    path.write_text('{"interval_minutes": 0, "textfile_directory": "x"}')
    code, _out, err = run("validate", "snapshots", str(path))
    assert code == 3
    assert "snapshots.interval_minutes: Snapshot interval must be 1-1440 minutes" in err
    assert "snapshots.textfile_directory: must be an absolute path" in err


def test_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What it shows is what the command prints."""
    files = {"/pool/ci-1.qcow2": {"size": 5 * 2**20}, "/pool/db1.qcow2": {"size": 7 * 2**30}}
    temporary, permanent = {"mode": "temporary", "ttl_hours": 72}, {"mode": "permanent", "restart_policy": "no"}
    shown = Machine(
        build({
            "files": files,
            "domains": [
                {"name": "ci-1", "load": 0.031, "resident_mib": 412, "declared": temporary, "files": ["/pool/ci-1.qcow2"],
                 "address": "192.168.122.41"},
                {"name": "db1", "load": 1.9, "processors": 4, "resident_mib": 3810, "declared": permanent,
                 "files": ["/pool/db1.qcow2"], "address": "192.168.122.40"},
            ],
        })
    )  # fmt: skip
    monkeypatch.setattr(cli, "open_world", lambda *_arguments, **_more: ports(shown))
    assert cli.main(["status", "--snapshot"]) == 0
    page = (HERE.parents[1] / "docs" / "monitoring.md").read_text("utf-8")
    assert page.split("# vm-lifecycle status --snapshot\n", 1)[1].split("```")[0] == capsys.readouterr().out


def test_rows_without_a_snapshot_are_left_out() -> None:
    """Of VMs that are not managed."""
    assert usage.usage([{"name": "stranger", "snapshot": None}]) == ["VM  STATE  CPU  MEMORY  DISK  UP FOR  ADDRESSES"]
