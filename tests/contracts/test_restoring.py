"""Removals and restorations on libvirt's test driver, with the store of a host: what a process leaves that is killed in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.ports import World
from vm_lifecycle.run import run
from vm_lifecycle.tasks import cleanup

from tests.fakes.build import NOW, build, declaration, uuid_of
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

from .conftest import LibvirtBench

UUID = uuid_of(1)
SNAPSHOTS = ("before", "after")


class Killed(BaseException):
    """The process ends here."""


class Host:
    """A host whose clock the test turns. Its libvirt and its state are real."""

    def __init__(self, own: LibvirtBench, directory: Path) -> None:
        self.own = own
        self.state = directory / "state"
        policy = {"cleanup_in_window_only": False, "undo_hours": 24}
        self.machine = Machine(build({"configuration": {"cleanup": policy}}))

    def clean_up(self, **arguments: Any) -> list[tuple[str, str]]:
        """A call of a process of its own."""
        self.machine.advance(1)
        world = World(self.own.hypervisor, SqliteStore(self.state), FakeHost(self.machine))
        return [(row["decision"], row["reason"]) for row in run(cleanup.TASK, arguments, world)["vms"]]

    def removed(self) -> None:
        """A VM with snapshots and an autostart flag is gone and can be brought back."""
        self.own.define(UUID, "ci", [self.own.file("ci.img")])
        for name in SNAPSHOTS:
            self.domain().snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
        self.domain().setAutostart(1)
        document = declaration(UUID, {"mode": "temporary", "ttl_hours": 4}, NOW)
        self.own.hypervisor.write_metadata(UUID, json.dumps(document))
        self.clean_up()
        assert self.clean_up() == [("removed", "expired")]
        assert self.own.hypervisor.domain(UUID) is None

    def domain(self) -> Any:
        """libvirt's handle of it."""
        return self.own.connection.lookupByUUIDString(UUID)

    def whole(self) -> bool:
        """It is as it was, held, and its record is gone."""
        there = sorted(each.getName() for each in self.domain().listAllSnapshots()) == sorted(SNAPSHOTS)
        current = there and self.domain().snapshotCurrent().getName() == SNAPSHOTS[-1]
        held = '"hold"' in (self.own.hypervisor.metadata(UUID) or "")
        return bool(current and held and self.domain().autostart() and not SqliteStore(self.state).undo_records())


@pytest.mark.parametrize("arguments", [{"name": "ci", "state": "restored"}, {}], ids=["asked again", "next sweep"])
@pytest.mark.parametrize(("step", "calls"), [("snapshotCreateXML", 0), ("snapshotCreateXML", 1), ("setAutostart", 0)])
def test_a_restoration_that_was_killed_is_finished(
    own: LibvirtBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, step: str, calls: int
) -> None:
    """Killed between the definition and the last of what belongs to it; the record is the only place that knows the rest."""
    host = Host(own, tmp_path)
    host.removed()
    real = getattr(libvirt.virDomain, step)
    made: list[Any] = []

    def killed(*given: Any) -> Any:
        if len(made) == calls:
            raise Killed
        made.append(given)
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(libvirt.virDomain, step, killed)
        with pytest.raises(Killed):
            host.clean_up(name="ci", state="restored")
    assert not host.whole()
    assert ("restored", "restored") in host.clean_up(**arguments)
    assert host.whole()


def test_what_is_there_stays_when_the_rest_is_completed(own: LibvirtBench, tmp_path: Path) -> None:
    """A snapshot that a person took meanwhile stays the current one."""
    host = Host(own, tmp_path)
    host.removed()
    (record,) = SqliteStore(host.state).undo_records()
    own.connection.defineXML(record.saved.xml)
    host.domain().snapshotCreateXML("<domainsnapshot><name>mine</name></domainsnapshot>")
    assert own.hypervisor.complete(UUID, record.saved)
    assert sorted(each.getName() for each in host.domain().listAllSnapshots()) == sorted([*SNAPSHOTS, "mine"])
    assert host.domain().snapshotCurrent().getName() == "mine"
    assert not own.hypervisor.complete(UUID, record.saved)
