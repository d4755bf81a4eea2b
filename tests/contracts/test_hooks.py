"""Handing events to real commands and web addresses: bounded in time and memory, and never an exception."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.hooks import LAST_WORDS, deliver
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.removals import Hooks

EVENT = {"event": "expiring", "vm_name": "two\nlines \x1b[31m ü€𝄞 \ud800 $(id)", "message": "m", "at": None}


def command(script: str, *arguments: str) -> Hooks:
    """A hook that is a shell script."""
    return Hooks(command=("sh", "-c", script, "hook", *arguments))


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether a process that was killed is gone soon."""
    for _wait in range(100):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


class Server(HTTPServer):
    """Answers as it is told, and keeps what it was given."""

    answer: tuple[int, dict[str, str]] = (204, {})
    drip = False
    closing = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.given: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_port}/hook?token=1"


class Handler(BaseHTTPRequestHandler):
    """Takes any method, so that a wrong one shows."""

    server: Server

    def do_POST(self) -> None:
        """Keep the request, give the answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.given.append((self.command, self.path, dict(self.headers), body))
        if self.server.drip:
            for byte in b"HTTP/1.1 204 No Content\r\nX-Slow: " + b"x" * 100:
                if self.server.closing:
                    return
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)
            return
        code, headers = self.server.answer
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_POST

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server, in a thread."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing = True
            server.shutdown()
            thread.join(20)


@pytest.fixture
def server() -> Iterator[Server]:
    """One."""
    with serving() as made:
        yield made


# Commands.


def test_a_command_reads_the_event(tmp_path: Path) -> None:
    """As JSON on its standard input, and nothing else: no terminal, no argument."""
    assert deliver(command('cat > "$1"; echo "$#" >> "$1"', str(tmp_path / "out")), EVENT) == ""
    event, count = (tmp_path / "out").read_text().rsplit("}", 1)
    assert json.loads(event + "}") == EVENT
    assert count.strip() == "1"


def test_no_shell(tmp_path: Path) -> None:
    """Arguments are given as they are."""
    touched = tmp_path / "touched"
    hooks = Hooks(
        command=(
            "python3",
            "-c",
            f"import sys; open({str(tmp_path / 'out')!r}, 'w').write(sys.argv[1])",
            f"; touch {touched}; $(id)",
        )
    )
    assert deliver(hooks, EVENT) == ""
    assert (tmp_path / "out").read_text() == f"; touch {touched}; $(id)"
    assert not touched.exists()


@pytest.mark.parametrize("script", ["exit 0", "exec <&-; exit 0", "head -c 1 > /dev/null"])
def test_a_command_that_does_not_read(script: str) -> None:
    """An event may be larger than a pipe holds; whoever does not want it has it all the same."""
    assert deliver(command(script), {"message": "x" * 1000000}) == ""


def test_the_last_words_of_a_command() -> None:
    """Both of its outputs, the end of them, and its exit code."""
    said = deliver(command("echo out; seq 100000; echo trouble >&2; exit 3"), EVENT)
    assert said.startswith("sh ended with 3: ")
    assert said.endswith("99999\n100000\ntrouble")
    assert len(said) == LAST_WORDS + len("sh ended with 3: ")


@pytest.mark.parametrize("output", [r"printf '\377\376'; exit 1", "exec >&- 2>&-; exit 1", "kill -9 $$"])
def test_odd_ends_of_commands(output: str) -> None:
    """No text, no output, no exit code."""
    assert deliver(command(output), EVENT).startswith("sh ended with ")


@pytest.mark.parametrize("path", ["/nowhere/hook", "/etc", "/etc/passwd", "a\0b"])
def test_no_such_command(path: str) -> None:
    """Told, not raised."""
    assert "Error" in deliver(Hooks(command=(path,)), EVENT)


def test_a_command_that_floods() -> None:
    """What it writes is not kept: an endless output must not take the host's memory."""
    tracemalloc.start()
    try:
        assert deliver(Hooks(command=("yes",)), EVENT, 1.0) == "yes did not end within 1 s"
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1000000


HANGS = {
    "itself": 'echo $$ > "$1"; exec sleep 60',
    "a child that holds the output": 'sleep 60 & echo $! > "$1"; exit 0',
    "a child, and it too": 'sleep 60 & echo $! > "$1"; wait',
    "silently": 'exec >&- 2>&-; echo $$ > "$1"; exec sleep 60',
    "deaf to SIGTERM": "trap '' TERM INT HUP; echo $$ > \"$1\"; while :; do sleep 1; done",
}


@pytest.mark.parametrize("how", HANGS)
def test_a_command_that_hangs(tmp_path: Path, how: str) -> None:
    """Its process group ends with its time; what had gone well before that stays so."""
    began = time.monotonic()
    said = deliver(command(HANGS[how], str(tmp_path / "pid")), EVENT, 1.0)
    assert time.monotonic() - began < 3
    assert said == ("" if how == "a child that holds the output" else "sh did not end within 1 s")
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_daemon_that_holds_the_output(tmp_path: Path) -> None:
    """It left the process group, so it lives on; nobody waits for it."""
    began = time.monotonic()
    assert deliver(command('setsid sleep 60 & echo $! > "$1"', str(tmp_path / "pid")), EVENT, 1.0) == ""
    assert time.monotonic() - began < 3
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    os.kill(pid, 9)


# Web addresses.


def test_a_web_address_is_told(server: Server) -> None:
    """By POST, as JSON."""
    assert deliver(Hooks(webhook=server.address), EVENT) == ""
    ((method, path, headers, body),) = server.given
    assert (method, path, headers["Content-Type"]) == ("POST", "/hook?token=1", "application/json")
    assert json.loads(body) == EVENT


@pytest.mark.parametrize("code", [400, 404, 500, 503])
def test_a_refusal(server: Server, code: int) -> None:
    """Is an error with its code."""
    server.answer = (code, {})
    assert str(code) in deliver(Hooks(webhook=server.address), EVENT)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http", "file", "ftp"])
def test_redirections_are_not_followed(server: Server, tmp_path: Path, code: int, scheme: str) -> None:
    """Neither to another scheme nor to another host: whoever was configured is told, or nobody."""
    (tmp_path / "secret").write_text("secret")
    with serving() as other:
        target = {"http": other.address, "file": f"file://{tmp_path}/secret", "ftp": "ftp://127.0.0.1:1/x"}[scheme]
        server.answer = (code, {"Location": target})
        assert str(code) in deliver(Hooks(webhook=server.address), EVENT)
        assert (len(server.given), other.given) == (1, [])


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "//127.0.0.1/x", "/etc/passwd"]
)
def test_other_schemes(address: str) -> None:
    """Are not addresses of ours."""
    assert "only http and https" in deliver(Hooks(webhook=address), EVENT)


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http://127.0.0.1:1/",
        "http://[::1",
        "http://127.0.0.1:x/",
        "http://a b/",
        "http://\n/",
        "http://nowhere.invalid/",
    ],
)
def test_no_such_address(address: str) -> None:
    """Told, not raised."""
    assert "Error" in deliver(Hooks(webhook=address), EVENT) or "InvalidURL" in deliver(Hooks(webhook=address), EVENT)


@pytest.mark.parametrize("how", ["silent", "drips"])
def test_a_server_that_hangs(server: Server, how: str) -> None:
    """The time is that of the whole call: a byte now and then does not buy more."""
    began = time.monotonic()
    if how == "drips":
        server.drip = True
        said = deliver(Hooks(webhook=server.address), EVENT, 1.0)
    else:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            said = deliver(Hooks(webhook=f"http://127.0.0.1:{mute.getsockname()[1]}/"), EVENT, 1.0)
    assert time.monotonic() - began < 3
    assert "no answer within 1 s" in said or "timed out" in said


# Both.


@pytest.mark.parametrize("fails", ["command", "webhook", "both", "none"])
def test_both_are_tried(server: Server, tmp_path: Path, fails: str) -> None:
    """Whatever becomes of the other one, and both errors are told."""
    code = 3 if fails in ("command", "both") else 0
    server.answer = (500 if fails in ("webhook", "both") else 204, {})
    script = command(f'cat > "$1"; exit {code}', str(tmp_path / "out"))
    said = LinuxHost(tmp_path, tmp_path).deliver(Hooks(script.command, server.address), EVENT)
    assert ("ended with 3" in said, "500" in said) == (fails in ("command", "both"), fails in ("webhook", "both"))
    assert bool(said) == (fails != "none")
    assert json.loads((tmp_path / "out").read_text()) == json.loads(server.given[0][3]) == EVENT
