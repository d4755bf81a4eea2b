"""What a reader of a host's events gets: each line once, wherever it left off and whatever became of the store meanwhile."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.event_log import Cursor, EventLog, cursor_of
from vm_lifecycle.adapters.libvirt.events import EventSource
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.agent.event_stream import Stream
from vm_lifecycle.changes import Prune, QueueNotice
from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.removals import Notice

from .conftest import QemuBench
from .real_qemu import wait_for

A = "00000000-0000-4000-8000-00000000000a"


def line(at: int, outcome: str = "done") -> LogOperation:
    return LogOperation(at, A, "a", "remove", outcome, f"at {at}")


def notice(at: int) -> QueueNotice:
    return QueueNotice(Notice(f"expiring:{A}:{at}", "expiring", A, "a", f"notice at {at}", at))


def told(log: EventLog, cursor: Cursor) -> tuple[list[str], Cursor]:
    """Messages after a cursor, and the cursor after them, by way of its text."""
    found = log.since(cursor)
    return [event["message"] for event, after in found], cursor_of(str(found[-1][1])) if found else cursor


def test_each_line_once(tmp_path: Path) -> None:
    """From the beginning, from a place between, and from the end; both tables."""
    log, store = EventLog(tmp_path / "state"), SqliteStore(tmp_path / "state")
    assert (log.since(Cursor()), log.end()) == ([], Cursor())
    assert not (tmp_path / "state").exists()
    store.save([line(100, "begun"), notice(150)])
    early = log.end()
    words, cursor = told(log, Cursor())
    assert (words, cursor) == (["at 100", "notice at 150"], early)
    store.save([line(90), notice(80)])  # the clock went back
    words, cursor = told(log, cursor)
    assert (words, log.since(cursor)) == (["at 90", "notice at 80"], [])
    assert cursor == log.end()
    first, second = log.since(Cursor())[:2]
    assert told(log, first[1])[0] == ["at 90", "notice at 150", "notice at 80"]
    expected = {
        "kind": "operation", "event": "remove", "outcome": "begun", "message": "at 100", "vm_name": "a", "vm_uuid": A,
        "at": "1970-01-01T00:01:40Z",
    }  # fmt: skip
    assert (first[0], second[0]["outcome"]) == (expected, "done")


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_reader_outlives_the_store(tmp_path: Path, more: int) -> None:
    """All lines were dropped, or the store was lost, and numbers began anew: fewer than the reader had, as many, or more."""
    directory = tmp_path / "state"
    log, store = EventLog(directory), SqliteStore(directory)
    for forget in (lambda: store.save([Prune(10_000)]), lambda: shutil.rmtree(directory)):
        store.save([line(at) for at in range(100, 103)])
        cursor = told(log, Cursor())[1]
        forget()
        store.save([line(20_000 + number) for number in range(more)])
        assert told(log, cursor)[0] == [f"at {20_000 + number}" for number in range(more)]
        store.save([Prune(30_000)])


def test_lines_that_were_dropped_are_not_missed(tmp_path: Path) -> None:
    """Those before the reader's place, and the one at it."""
    log, store = EventLog(tmp_path / "state"), SqliteStore(tmp_path / "state")
    store.save([line(at) for at in (100, 200, 300)])
    cursor = log.since(Cursor())[1][1]
    store.save([Prune(250), line(400)])
    assert told(log, cursor)[0] == ["at 300", "at 400"]


def test_damage(tmp_path: Path) -> None:
    """Is said, and nothing is set aside by a reader."""
    (tmp_path / "state.db").write_text("no database" * 100)
    with pytest.raises(EffectError, match="file is not a database"):
        EventLog(tmp_path).since(Cursor())
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]


@pytest.mark.parametrize("text", ["7", "1.2-x.y", "1.2-3.4-5.6", "now"])
def test_no_cursor(text: str) -> None:
    with pytest.raises(LifecycleError, match="is no cursor"):
        cursor_of(text)


class Reader:
    """A stream in a thread, and what it told."""

    def __init__(self, qemu: QemuBench, directory: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._over, self._uri = threading.Event(), qemu.daemon.uri
        stream = Stream(EventLog(directory), Cursor(), self.events.append, self._opened, qemu.hypervisor.domains)
        self._thread = threading.Thread(target=stream.follow, args=(self._over.is_set,))
        self._thread.start()
        self.until("stream", "watching")

    def _opened(self) -> EventSource:
        return EventSource(self._uri)

    def until(self, kind: str, event: str, **more: Any) -> dict[str, Any]:
        """Wait for an event."""
        wanted = {"kind": kind, "event": event, **more}
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [each for each in self.events if wanted.items() <= each.items()]
            return bool(found)

        wait_for(is_there)
        return found[-1]

    def end(self) -> None:
        self._over.set()
        self._thread.join(20.0)
        assert not self._thread.is_alive()


def test_stream_of_a_host(qemu: QemuBench, tmp_path: Path) -> None:
    """Libvirt's events and the store's lines; a daemon that dies is told of, and after it comes back every VM is listed again."""
    store = SqliteStore(tmp_path / "state")
    qemu.define(A, "a")
    reader = Reader(qemu, tmp_path / "state")
    try:
        assert reader.until("libvirt", "listed")["power_state"] == "shutoff"
        domain = qemu.connection.lookupByUUIDString(A)
        domain.create()
        reader.until("libvirt", "started", vm_name="a", vm_uuid=A)
        store.save([line(100, "failed")])
        assert reader.until("operation", "remove", outcome="failed")["cursor"] == "1.100-0.0"
        domain.destroy()
        assert reader.until("libvirt", "stopped", detail=1)["cursor"] == "1.100-0.0"
        qemu.daemon.kill()
        reader.until("stream", "trouble")
        store.save([line(200)])
        reader.until("operation", "remove", outcome="done")  # without libvirt
        qemu.daemon.start()
        reader.events.clear()
        reader.until("libvirt", "listed", power_state="shutoff")
    finally:
        reader.end()


def test_a_reader_that_is_gone_ends_the_command(tmp_path: Path) -> None:
    """Also while nothing happens, and without libvirt."""
    environment = {
        **os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2] / "plugins" / "module_utils"),
    }  # fmt: skip
    script = "import sys; from vm_lifecycle.agent.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "events", "--follow", "--uri", "qemu:///session"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kinds = [json.loads(process.stdout.readline())["event"] for line_number in range(2)]
        assert "watching" in kinds
        assert select.select([process.stdout], [], [], 1.0)[0] == []
        process.stdout.close()
        assert process.wait(20) == 0
