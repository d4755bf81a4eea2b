"""What journald and systemd are told, byte by byte, and the kernel's pressure: on sockets and files of the test."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vm_lifecycle.adapters import journal, linux_host
from vm_lifecycle.adapters.linux_host import LinuxHost, TalkingHost
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.model import Pressure

UUID = "00000000-0000-4000-8000-000000000001"
HOSTILE = [
    "ci-1",
    "two\nPRIORITY=0\n",
    "\x1b[31mred",
    "MESSAGE_ID\n\x08\x00\x00\x00\x00\x00\x00\x00aaaaaaaa\n",
    "ü€𝄞",
    "\ud800",
    "",
    "=",
    "\0",
]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket such as journald's, at <tmp_path>/socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "socket"))
        made.settimeout(5)
        yield made


def parsed(datagram: bytes) -> dict[str, bytes]:
    """Fields of an entry, as journald reads them. A field that comes twice, or anything left over, is an error."""
    found: dict[str, bytes] = {}
    while datagram:
        line, _newline, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", datagram[:8])
            value, end, datagram = datagram[8 : 8 + length], datagram[8 + length : 9 + length], datagram[9 + length :]
            assert (len(value), end) == (length, b"\n")
        assert name.isascii()
        assert name.decode() not in found
        found[name.decode()] = value
    return found


def line(name: str = "ci-1", outcome: str = "done", message: str = "") -> LogOperation:
    """An operation."""
    return LogOperation(1795575600, UUID, name, "remove", outcome, message)


FIELDS = {
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "VM_NAME",
    "VM_UUID",
    "LIFECYCLE_OPERATION",
    "LIFECYCLE_OUTCOME",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_entry(receiver: socket.socket, tmp_path: Path, name: str) -> None:
    """Exactly our fields, whatever a VM is called or an error says."""
    journal.write(line(name, "failed", name), str(tmp_path / "socket"))
    entry = parsed(receiver.recv(1 << 20))
    assert set(entry) == FIELDS
    assert entry["VM_NAME"] == name.encode("utf-8", "backslashreplace")
    assert entry["MESSAGE"].startswith(entry["VM_NAME"] + b": remove failed")
    expected = (b"vm-lifecycle", UUID.encode(), b"remove", b"failed")
    assert (
        entry["SYSLOG_IDENTIFIER"],
        entry["VM_UUID"],
        entry["LIFECYCLE_OPERATION"],
        entry["LIFECYCLE_OUTCOME"],
    ) == expected


@pytest.mark.parametrize(("outcome", "priority"), [("failed", b"3"), ("done", b"6"), ("begun", b"6")])
def test_priority(receiver: socket.socket, tmp_path: Path, outcome: str, priority: bytes) -> None:
    """Failures are errors; and the id is one that `journalctl MESSAGE_ID=` takes."""
    journal.write(line(outcome=outcome), str(tmp_path / "socket"))
    entry = parsed(receiver.recv(1 << 20))
    assert entry["PRIORITY"] == priority
    assert len(entry["MESSAGE_ID"]) == 32
    assert int(entry["MESSAGE_ID"], 16)


@pytest.mark.parametrize("character", ["x", "ü", "€", "𝄞", "\ud800"])
def test_a_long_entry(receiver: socket.socket, tmp_path: Path, character: str) -> None:
    """Its values lose their ends, at a character: a datagram that is too large would not arrive at all."""
    whole = LogOperation(1, *(character * 300000 for _field in range(5)))
    journal.write(whole, str(tmp_path / "socket"))
    entry = parsed(receiver.recv(1 << 20))
    assert set(entry) == FIELDS
    for value in entry.values():
        assert len(value) <= journal.LONGEST
        value.decode("utf-8")
    assert len(entry["VM_NAME"]) > journal.LONGEST - 10


def nobody(_path: Path) -> None:
    """No socket."""


def nobody_listens(path: Path) -> None:
    """A socket whose owner is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(path))


def a_stream(path: Path) -> None:
    """A socket of another kind."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    made.detach()


@pytest.mark.parametrize("make", [nobody, nobody_listens, a_stream])
def test_no_journal(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Silence."""
    make(tmp_path / "socket")
    journal.write(line(), str(tmp_path / "socket"))
    journal.write(line(), str(tmp_path / ("x" * 200)))


def test_a_journal_that_does_not_read(receiver: socket.socket, tmp_path: Path) -> None:
    """Nobody waits for it."""
    began = time.monotonic()
    for _entry in range(2000):
        journal.write(line(message="x" * 1000), str(tmp_path / "socket"))
    assert time.monotonic() - began < 10
    receiver.settimeout(0)
    received = 0
    with pytest.raises(BlockingIOError):
        while receiver.recv(1 << 20):
            received += 1
    assert 0 < received < 2000


def test_what_systemctl_status_shows(
    receiver: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, printable, so that a VM's name can't say READY=1 to systemd."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    TalkingHost(tmp_path, tmp_path).progress("ci\nREADY=1\x1b[31m: ü")
    assert receiver.recv(4096) == "STATUS=ci\\nREADY=1\\x1b[31m: ü".encode()
    assert capsys.readouterr().err == "ci\\nREADY=1\\x1b[31m: ü\n"


def test_an_abstract_notify_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its name begins with @ in the variable, with a null byte in the kernel."""
    name = f"vm-lifecycle-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0{name}")
        made.settimeout(5)
        TalkingHost(tmp_path, tmp_path).progress("hello")
        assert made.recv(4096) == b"STATUS=hello"


@pytest.mark.parametrize("address", [None, "", "/nowhere/socket", "@nobody", "relative", "x" * 500])
def test_no_notify_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str | None) -> None:
    """No error; what a module says reaches nobody, and not systemd either."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    TalkingHost(tmp_path, tmp_path).progress("hello")


def test_modules_tell_nobody(
    receiver: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their output is JSON, and they are no unit of ours."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    LinuxHost(tmp_path, tmp_path).progress("hello")
    receiver.settimeout(0)
    with pytest.raises(BlockingIOError):
        receiver.recv(4096)
    assert capsys.readouterr() == ("", "")


PSI = "some avg10=1.50 avg60=12.34 avg300=99.00 total=123\nfull avg10=0.00 avg60=5.00 avg300=0.00 total=12\n"


@pytest.fixture
def pressure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory instead of /proc/pressure."""
    monkeypatch.setattr(linux_host, "PRESSURE", tmp_path)
    return tmp_path


def test_pressure(pressure: Path) -> None:
    """The last minute of those who waited at all; each file by itself."""
    (pressure / "cpu").write_text(PSI)
    (pressure / "memory").write_text(PSI.replace("12.34", "0.00"))
    assert LinuxHost(pressure, pressure).pressure() == Pressure(12.34, None, 0.0)


@pytest.mark.parametrize(
    "text", ["", "full avg10=0.00 avg60=5.00\n", "some\n", "some avg10=1\n", "some avg60=x\n", "some avg60\n", "\xff"]
)
def test_pressure_that_nobody_understands(pressure: Path, text: str) -> None:
    """Is not known, and is not none."""
    (pressure / "cpu").write_text(text, "latin-1")
    (pressure / "io").mkdir()
    assert LinuxHost(pressure, pressure).pressure() == Pressure()


def test_pressure_of_a_kernel_that_refuses(pressure: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have the files and answer EOPNOTSUPP."""

    def refused(_path: Path, _encoding: str) -> str:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "read_text", refused)
    assert LinuxHost(pressure, pressure).pressure() == Pressure()
