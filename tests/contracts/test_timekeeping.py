"""Whether something keeps the clock right: as the kernel says, and as systemd says where the kernel may not be asked.

The refusal is the kernel's own, by a filter of system calls as ProtectClock= installs one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ENGINE = str(Path(__file__).parents[2] / "plugins" / "module_utils")
#: Takes adjtimex and clock_adjtime away, then asks at each of these seconds of a boot.
ASK = """
import ctypes, json, os, platform, struct, sys
sys.path.insert(0, sys.argv[1])
from vm_lifecycle.adapters import timekeeping
numbers = {"x86_64": (159, 305), "aarch64": (171, 266)}[platform.machine()]
code = [(0x20, 0, 0, 0)]  # load the number of the call
for left, number in zip((2, 1), numbers):
    code.append((0x15, left, 0, number))  # is it this one: go to the refusal
code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]  # allow; refuse with EPERM
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
refused = sys.argv[2] == "refused"
if refused:
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(len(code), ctypes.addressof(program)))) == 0
print(json.dumps([timekeeping.synchronised(second) for second in map(int, sys.argv[3:])]))
"""


def ask(bin_: Path, said: str, seconds: list[int], way: str = "refused") -> tuple[list[bool], int]:
    """What is said of these seconds of a boot on a host whose timedatectl does this, and how often it was asked."""
    bin_.mkdir()
    program, asked = bin_ / "timedatectl", bin_ / "asked"
    program.write_text(f'#!/bin/sh\n/usr/bin/env echo "$*" >>{asked}\n{said}\n')
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", ASK, ENGINE, way, *map(str, seconds)],
        env={"PATH": f"{bin_}:/usr/bin:/bin"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answers: Any = json.loads(done.stdout)
    questions = asked.read_text().splitlines() if asked.exists() else []
    assert set(questions) <= {"show --property=NTPSynchronized --value"}
    return answers, len(questions)


def test_the_kernel_is_asked_first(tmp_path: Path) -> None:
    """It needs nobody else, and it is what timedatectl says, too."""
    answers, questions = ask(tmp_path / "bin", "echo yes", [1, 2], "allowed")
    assert answers[0] is answers[1]
    assert questions == 0


@pytest.mark.parametrize(
    ("said", "expected"), [("echo yes", True), ("echo no", False), ("echo yes please", False), ("exit 1", False)]
)
def test_systemd_is_asked_where_the_kernel_may_not_be(tmp_path: Path, said: str, expected: bool) -> None:
    """Once for a moment, however often somebody wants to know. What is no yes is a no."""
    assert ask(tmp_path / "bin", said, [10, 10, 11, 69]) == ([expected] * 4, 1)


def test_a_no_is_asked_again_soon_and_a_yes_later(tmp_path: Path) -> None:
    """Clocks become right while a host boots; the kernel itself believes for hours in one that was."""
    turns = f"test -e {tmp_path}/right && echo yes || {{ echo no; >{tmp_path}/right; }}"
    assert ask(tmp_path / "bin", turns, [10, 69, 70, 200, 3669]) == ([False, False, True, True, True], 2)
    assert ask(tmp_path / "again", "echo yes", [10, 3609, 3610]) == ([True] * 3, 2)


def test_a_host_without_timedatectl(tmp_path: Path) -> None:
    """Nobody knows, so it is not."""
    assert ask(tmp_path / "bin", "exit 127", [10]) == ([False], 1)


def test_a_bus_that_hangs(tmp_path: Path) -> None:
    """It is waited for a few seconds, once a minute."""
    assert ask(tmp_path / "bin", "exec sleep 60", [10, 11, 69]) == ([False] * 3, 1)
