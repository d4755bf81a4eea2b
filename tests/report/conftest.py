"""Two libvirt hosts with VMs of every kind, and one that can't be reached."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.boots import BootRun, StartRecord
from vm_lifecycle.host_changes import RememberBoot, RememberStart

from .hosts import GONE, Controller, LocalHost

HOUR = 3600
#: What somebody may call a VM who means harm.
HOSTILE = "<img src=x onerror=alert(1)>{{ lookup('pipe', 'id') }}"


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """kvm1 with VMs of every kind, kvm2 with some of the same names, and gone, which is a host that nobody reaches."""
    directory = tmp_path_factory.mktemp("controller")
    hosts: list[LocalHost] = []
    try:
        for name in ("kvm1", "kvm2"):
            hosts.append(LocalHost(name, directory))
        made = Controller(directory, hosts)
        populate(made, *hosts)
        made.hosts["gone"] = GONE
        made.write()
        yield made
    finally:
        for host in hosts:
            host.daemon.stop()


def populate(controller: Controller, kvm1: LocalHost, kvm2: LocalHost) -> None:
    """VMs by the modules; what only a boot of the host brings about is put on record by the engine's own store."""
    for name, running in (("db1", True), ("ci-1", True), ("ci-2", False), ("kept", False), (HOSTILE, False)):
        uuid = kvm1.define(name, running)
        if name == "db1":
            failed = uuid
    for name in ("db1", "kvm1", "10.1.2.3"):
        kvm2.define(name)
    born = int(time.time()) - 10 * HOUR
    expired = {"name": "ci-1", "mode": "temporary", "ttl_hours": 4, "created_at_unix": born}
    lives = {"name": "ci-2", "mode": "temporary", "ttl_hours": 72}
    controller.declare("kvm1", vms=[{"name": "db1", "auto_start": True}, expired, lives, {"name": "kept"}])
    controller.declare("kvm1", name="kept", state="held", reason="audit 4711")
    controller.declare("kvm2", name="db1")
    # what somebody left there is no record, and the host says so
    damaged = kvm2.store / "intents" / "00000000-0000-4000-8000-000000000001.json"
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_text("{")
    SqliteStore(Path(kvm1.store)).save([
        RememberBoot(BootRun("boot", born, born + 60)),
        RememberStart(StartRecord(failed, "db1", "boot", "failed", "start_failed", "no such disk", born + 5, 3, run_unix=born, ended=5.0)),
    ])  # fmt: skip
