# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands run for the lab, and processes that stay recognisable by more than their number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


class LabError(Exception):
    """Something the user can act on; its text is the whole message."""


def say(message: str) -> None:
    """Progress goes to standard error: standard output belongs to the verb's result."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


def run(command: Sequence[str], *, input_text: str | None = None, timeout: float | None = None) -> str:
    """Standard output of a command; LabError with its standard error when it fails. `timeout` in seconds."""
    try:
        done = subprocess.run(
            list(command), input=input_text, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"no answer after {timeout:g} s: {' '.join(command)}") from error
    if done.returncode != 0:
        detail = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}: {detail}")
    return done.stdout


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command exits with 0; its output is dropped."""
    return subprocess.run(list(command), capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether the condition came true within the given seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@dataclass(frozen=True)
class ProcessIdentity:
    """A process number alone may be reused; with its start time (clock ticks since boot) it names one process."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return _started(self.pid) == self.started

    def commanded(self, word: str) -> bool:
        """Whether the process is alive and has `word` among its arguments."""
        try:
            arguments = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return self.alive() and word.encode() in arguments

    def send(self, signal_number: signal.Signals) -> None:
        """Signal the process if it is still this one."""
        if self.alive():
            os.kill(self.pid, signal_number)


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a running process, or None if there is none."""
    started = _started(pid)
    return None if started is None else ProcessIdentity(pid, started)


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name may contain blanks and brackets: fields count from the last bracket.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
