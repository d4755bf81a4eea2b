"""Whether the machine goes down and SSH answers: on the fake, on a real socket, and by the words of systemctl."""

from __future__ import annotations

import math
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vm_lifecycle.adapters import machine, service_manager
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.ports import Host

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

# SSH.

#: What a server says, in pieces, each followed by a pause in seconds.
Talk = list[tuple[bytes, float]]


@contextmanager
def server(talk: Talk, address: str = "127.0.0.1") -> Iterator[int]:
    """A server on a free port, which says this to each client and hangs up."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _peer = listener.accept()
                except OSError:
                    return
                with client:
                    for piece, pause in talk:
                        try:
                            client.sendall(piece)
                        except OSError:
                            break
                        time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
ANSWERS: list[Talk] = [
    [(BANNER, 0)],
    [(b"SSH-1.99-dropbear\n", 0)],
    [(b"S", 0.2), (b"SH", 0.2), (b"-2.0-x", 0)],
    [(b"be welcome\r\nor not\r\n", 0.1), (BANNER, 0)],
]
#: The last ones say nothing in time, or too much before it.
SILENCES: list[Talk] = [
    [],
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", 0)],
    [(b"220 mail SSH-2.0\r\n", 0)],
    [(b"ssh-2.0\r\n", 0)],
    [(b"x" * 100000, 0), (b"\n" + BANNER, 0)],
    [(b"", 1.0), (BANNER, 0)],
    [(b"a\n", 0.2)] * 5 + [(BANNER, 0)],
]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second is enough for a test."""
    monkeypatch.setattr(machine, "SSH_LIMIT", 0.5)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("talk", ANSWERS)
def test_a_banner(talk: Talk, address: str, hurried: None) -> None:
    """In pieces, and after other lines too, as RFC 4253 has it."""
    with server(talk, address) as port:
        assert machine.answers_ssh(address, port)


@pytest.mark.parametrize("talk", SILENCES)
def test_no_banner(talk: Talk, hurried: None) -> None:
    """Within its time, whatever is said instead."""
    with server(talk) as port:
        began = time.monotonic()
        assert not machine.answers_ssh("127.0.0.1", port)
        assert time.monotonic() - began < 2.0


def test_nobody_listens() -> None:
    """The guest's system runs, its server does not yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not machine.answers_ssh("127.0.0.1", port)


def test_nobody_takes_the_connection(hurried: None) -> None:
    """A listener whose queue is full is as silent as a guest that is not up yet."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _number in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        began = time.monotonic()
        assert not machine.answers_ssh("127.0.0.1", port)
        assert 0.4 < time.monotonic() - began < 2.0
        for client in waiting:
            client.close()


@pytest.mark.parametrize(
    "address", ["", "localhost", "nowhere.invalid", "10.0.0", "1.2.3.4.5", "::g", "a\0b", "\ud800", "fe80::1%nowhere"]
)
def test_no_address(address: str) -> None:
    """No name server is asked, and nothing is raised."""
    began = time.monotonic()
    assert not machine.answers_ssh(address)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("kind", ["fake", "linux"])
def test_ssh_of_a_host(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server answers, and where none does."""
    with server([(BANNER, 0)]) as port:
        monkeypatch.setattr(machine.answers_ssh, "__defaults__", (port,))
        guest = {"name": "a", "address": "127.0.0.1", "ssh_after": 0}
        host: Host = (
            FakeHost(Machine(build({"domains": [guest]})))
            if kind == "fake"
            else LinuxHost(tmp_path / "claims", tmp_path)
        )
        assert host.answers_ssh("127.0.0.1")
        assert not host.answers_ssh("127.0.0.2")


def test_own_addresses() -> None:
    """As the ip command lists them, and no other."""
    said = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    listed = {line.split()[3].split("/")[0] for line in said.splitlines()}
    assert {"127.0.0.1"} <= machine.own_addresses() == listed


FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.168.122.0/24 2 0 2
        |-- 192.168.122.0
           /24 link UNICAST
        |-- 192.168.122.1
           /32 link UNICAST
           /32 host LOCAL
        |-- 192.168.122.255
           /32 link BROADCAST
        |-- 192.168.122.7
           /32 link UNICAST
Local:
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
"""


def test_addresses_among_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that is reached by a route of its own is not the host; without IPv6 there is none."""
    (tmp_path / "trie").write_text(FIB_TRIE)
    monkeypatch.setattr(machine, "ROUTES_4", tmp_path / "trie")
    monkeypatch.setattr(machine, "ADDRESSES_6", tmp_path / "nowhere")
    assert machine.own_addresses() == {"192.168.122.1", "127.0.0.1"}
    (tmp_path / "six").write_text("20010db8000000000000000000000001 02 40 00 80     eth0\n")
    monkeypatch.setattr(machine, "ADDRESSES_6", tmp_path / "six")
    assert machine.own_addresses() == {"192.168.122.1", "127.0.0.1", "2001:db8::1"}


# The machine's end.

#: Puts a systemctl in the place of this machine's: a verb's output, and what it exits with.
Systemctl = Callable[[dict[str, str]], None]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Answers that systemd 252 and 257 gave on lab hosts."""

    def install(answers: dict[str, str]) -> None:
        program = tmp_path / "bin" / "systemctl"
        program.parent.mkdir()
        cases = "".join(f"{verb}) {said} ;;\n" for verb, said in answers.items())
        program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")
        monkeypatch.setattr(service_manager, "SOCKET", str(tmp_path / "nowhere"))

    return install


LIST = """cat <<'EOF'
1234 vm-lifecycle-host.service stop running
1277 {job}
EOF
"""
GOING_DOWN: list[tuple[dict[str, str], bool]] = [
    ({"is-system-running": "echo running"}, False),
    ({"is-system-running": "echo degraded; exit 1"}, False),
    ({"is-system-running": "echo stopping; exit 1"}, True),
    ({"is-system-running": "echo starting; exit 1"}, False),
    ({"is-system-running": "exit 1", "list-jobs": LIST.format(job="reboot.target start waiting")}, True),
    ({"is-system-running": "echo starting", "list-jobs": LIST.format(job="poweroff.target start waiting")}, True),
    ({"is-system-running": "echo x", "list-jobs": LIST.format(job="soft-reboot.target start waiting")}, True),
    ({"is-system-running": "echo x", "list-jobs": LIST.format(job="shutdown.target stop waiting")}, False),
    ({"is-system-running": "echo x", "list-jobs": LIST.format(job="my-reboot.target start waiting")}, False),
    ({"is-system-running": "echo x", "list-jobs": "echo No jobs running."}, False),
    (
        {"is-system-running": "echo offline; exit 1", "list-jobs": "echo 'System has not been booted' >&2; exit 1"},
        False,
    ),
    ({"is-system-running": "printf '\\377\\376'", "list-jobs": "printf '\\377 \\376 \\375 x\\n'"}, False),
]


@pytest.mark.parametrize(("answers", "expected"), GOING_DOWN)
def test_going_down(systemctl: Systemctl, tmp_path: Path, answers: dict[str, str], expected: bool) -> None:
    """Only when that was ordered: a restart of our own unit, or an upgrade, takes no VM down."""
    systemctl(answers)
    assert LinuxHost(tmp_path / "claims", tmp_path).going_down() is expected


#: What systemd 252 sends for a state, and before it a signal that nobody asked for.
SIGNAL = struct.pack("<cBBBIII", b"l", 4, 1, 1, 4, 1, 8) + b"\1\1o\0\0\0\0\0" + b"abcd"
STRANGE = [b"", b"REJECTED\r\n", b"OK 1234\r\n", b"x" * 600, b"OK 1\r\n" + b"l\3\0\1" + b"\0" * 12, b"OK 1\r\n" + b"B\2\0\1" + b"\0" * 12,
           b"OK 1\r\nl\2\0\1\xff\xff\xff\xff\1\0\0\0\0\0\0\0", b"OK 1\r\nl\2\0\1\4\0\0\0\1\0\0\0\0\0\0\0\1u\0\0"]  # fmt: skip


def answer(word: str) -> bytes:
    """A method's return: its serial is answered to, and its body is a variant."""
    body = b"\1s\0\0" + struct.pack("<I", len(word)) + word.encode() + b"\0"
    fields = b"\5\1u\0\1\0\0\0" + b"\x08\1g\0\1v\0"
    start = struct.pack("<cBBBIII", b"l", 2, 1, 1, len(body), 7, len(fields))
    return start + fields + b"\0" * (-len(fields) % 8) + body


@contextmanager
def manager(path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """systemd's socket, which says this when it is spoken to, a few bytes at a time; yields what it heard."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        monkeypatch.setattr(service_manager, "SOCKET", str(path))

        def serve() -> None:
            client, _peer = listener.accept()
            with client:
                client.settimeout(5.0)
                greeting, _end, rest = said.partition(b"\r\n")
                for piece in (greeting + _end, rest):  # what is asked in one piece with BEGIN is not seen by systemd
                    heard.append(client.recv(4096))
                    for start in range(0, len(piece), 7):
                        client.sendall(piece[start : start + 7])
                    if not rest:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join()


@pytest.mark.parametrize("word", ["running", "stopping", "starting", "degraded"])
def test_asking_systemd_itself(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over its own socket, with no process, when it answers there; the job is looked for only while the machine is starting."""
    monkeypatch.setenv("PATH", str(tmp_path))
    said = b"OK 2f1d\r\n" + SIGNAL + answer(word)
    with manager(tmp_path / "private", said, monkeypatch) as heard:
        assert service_manager.system_state() == word
    assert heard[0] == b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n"
    assert heard[1].startswith(b"l\1\0\1")
    assert heard[1].endswith(b"org.freedesktop.systemd1.Manager\0\0\0\0\x0b\0\0\0SystemState\0")
    (tmp_path / "private").unlink()
    with manager(tmp_path / "private", said, monkeypatch):
        assert machine.going_down() is (word == "stopping")


@pytest.mark.parametrize("said", STRANGE)
def test_a_systemd_that_says_something_else(said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing: then nothing is known, and systemctl is asked."""
    monkeypatch.setattr(service_manager, "LIMIT", 0.3)
    with manager(tmp_path / "private", said, monkeypatch):
        assert service_manager.system_state() == ""


BUDGETS: list[tuple[str, float]] = [
    ("LoadState=loaded\nTimeoutStopUSec=1min 30s", 90),
    ("TimeoutStopUSec=10min\nLoadState=loaded", 600),
    ("LoadState=loaded\nTimeoutStopUSec=1h 1min 1s 500ms", 3661.5),
    ("LoadState=loaded\nTimeoutStopUSec=1d 2h", 93600),
    ("LoadState=loaded\nTimeoutStopUSec=1month 1w", 2629800 + 604800),
    ("LoadState=loaded\nTimeoutStopUSec=infinity", math.inf),
    ("LoadState=not-found\nTimeoutStopUSec=1min 30s", math.inf),
    ("LoadState=loaded", math.inf),
    ("LoadState=loaded\nTimeoutStopUSec=3 fortnights", math.inf),
    ("", math.inf),
]


@pytest.mark.parametrize(("said", "expected"), BUDGETS)
def test_stop_budget(systemctl: Systemctl, tmp_path: Path, said: str, expected: float) -> None:
    """In seconds; what nobody knows limits nothing."""
    systemctl({"show": f"cat <<'EOF'\n{said}\nEOF\n"})
    assert LinuxHost(tmp_path / "claims", tmp_path).stop_budget() == expected


def test_the_unit_that_is_asked_for(systemctl: Systemctl) -> None:
    """By its name."""
    systemctl(
        {"show": 'case "$*" in *vm-lifecycle-host.service) printf "LoadState=loaded\\nTimeoutStopUSec=5s\\n" ;; esac'}
    )
    assert (machine.stop_budget(), machine.stop_budget("other.service")) == (5, math.inf)


def test_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known, so nothing goes down and nothing is limited."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(service_manager, "SOCKET", str(tmp_path / "nowhere"))
    assert (machine.going_down(), machine.stop_budget()) == (False, math.inf)


def test_a_systemd_that_does_not_answer(systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(machine, "ANSWER_LIMIT", 0.3)
    systemctl(
        {
            "is-system-running": "exec sleep 20",
            "list-jobs": LIST.format(job="halt.target start waiting"),
            "show": "exec sleep 20",
        }
    )
    began = time.monotonic()
    assert (machine.going_down(), machine.stop_budget()) == (True, math.inf)
    assert time.monotonic() - began < 3.0


def test_the_fake_goes_down() -> None:
    """By the same words."""
    host = FakeHost(Machine(build({"going_down": True, "stop_budget": 60})))
    assert (host.going_down(), host.stop_budget()) == (True, 60.0)
    assert FakeHost(Machine(build({}))).going_down() is False
