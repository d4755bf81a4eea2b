"""Names of files that are no text: a removal that meets one ends as any other. libvirt's test driver, real files, the real store."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.changes import NoticeTried, QueueNotice
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.ports import World
from vm_lifecycle.removals import Notice
from vm_lifecycle.run import run
from vm_lifecycle.tasks import cleanup

from tests.fakes.build import NOW, build, declaration, uuid_of
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

from .conftest import LibvirtBench

ODD = "base-\udcfc.img"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LibvirtBench]:
    """libvirt's test driver, and a pool below a directory of its own."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    (tmp_path / "pool").mkdir()
    made = LibvirtBench(tmp_path / "pool")
    yield made
    made.hypervisor.close()  # type: ignore[attr-defined]


def overlay(own: LibvirtBench, name: str, backing: bytes) -> Path:
    """A volume whose qcow2 header names a backing file by bytes."""
    path = own.directory / name
    pool = own.connection.storagePoolLookupByName("bench")
    pool.createXML(f"<volume><name>{name}</name><capacity>1</capacity><target><path>{path}</path></target></volume>", 0)
    head = b"QFI\xfb" + struct.pack(">IQIIQ", 2, 72, len(backing), 16, 1 << 20) + b"\0\0\0\0" + struct.pack(">I", 1)
    path.write_bytes((head.ljust(72, b"\0") + backing).ljust(65536, b"\0"))
    return path


def due(own: LibvirtBench, disk: Path) -> None:
    """A VM whose time is over."""
    source = f"<driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda'/>"
    own.connection.defineXML(
        f"<domain type='test'><name>ci</name><uuid>{uuid_of(1)}</uuid><memory>8192</memory><os><type>hvm</type></os>"
        f"<devices><disk type='file' device='disk'>{source}</disk></devices></domain>"
    )
    document = declaration(uuid_of(1), {"mode": "temporary", "ttl_hours": 4}, NOW)
    own.hypervisor.write_metadata(uuid_of(1), json.dumps(document))


def test_a_backing_file_whose_name_is_no_text(own: LibvirtBench, tmp_path: Path) -> None:
    """The log names it with its odd bytes written out."""
    (own.directory / ODD).write_bytes(b"\0" * 4096)
    due(own, overlay(own, "ci.qcow2", b"base-\xfc.img"))
    machine = Machine(build({"configuration": {"cleanup": {"cleanup_in_window_only": False}}}))
    store = SqliteStore(tmp_path / "state")

    def sweep() -> dict[str, Any]:
        machine.advance(1)
        return run(cleanup.TASK, {}, World(own.hypervisor, store, FakeHost(machine)))

    sweep()
    (row,) = sweep()["vms"]
    assert (row["decision"], row["reason"]) == ("removed", "expired")
    assert store.intents() == []
    assert "base-\\udcfc.img [backing_file]" in store.operations(1)[0].message


def test_words_that_are_no_text_are_kept(tmp_path: Path) -> None:
    """In every column of the log and of notices that a name gets into."""
    store = SqliteStore(tmp_path / "state")
    store.save([LogOperation(NOW, "u", ODD, "remove", "done", ODD)])
    store.save([QueueNotice(Notice(ODD, "failed", "u", ODD, ODD, NOW)), NoticeTried(ODD, NOW, ODD)])
    (line,), (notice,) = store.operations(9), store.notices()
    assert {line.name, line.message, notice.key, notice.name, notice.message, notice.error} == {"base-\\udcfc.img"}
    assert notice.attempts == 1
