# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handing an event to whoever is to be told: a command, a web address. Bounded in time, and never an exception."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from typing import Callable, List, Mapping, Optional, Tuple

from ..removals import Hooks

#: Seconds that each hook has.
TIME_LIMIT = 10.0
#: Characters of a command's last words that are kept.
LAST_WORDS = 300


def deliver(hooks: Hooks, event: Mapping[str, object], limit: float = TIME_LIMIT) -> str:
    """Hand an event to every hook; returns what went wrong, "" when it arrived everywhere."""
    data = json.dumps(event, sort_keys=True).encode()
    said: List[str] = []
    if hooks.command:
        said.append(_bounded(lambda: _run(hooks.command, data, limit), limit + 2.0))
    if hooks.webhook:
        said.append(_bounded(lambda: _post(hooks.webhook, data, limit), limit))
    return "; ".join(filter(None, said))


def _bounded(work: Callable[[], str], limit: float) -> str:
    """The work's answer, or that it took too long: a name lookup, for one, knows no time limit of its own."""
    answers: List[str] = []

    def run() -> None:
        try:
            answers.append(work())
        except Exception as error:  # whatever a hook does, it is the hook's trouble
            answers.append(f"{type(error).__name__}: {error}")

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(limit)
    return answers[0] if answers else f"no answer within {limit:.0f} s"


def _run(command: Tuple[str, ...], data: bytes, limit: float) -> str:
    """In a process group of its own, so that what the command started in it ends with it when the time is over."""
    deadline = time.monotonic() + limit
    with tempfile.TemporaryFile() as given:  # no pipe: a file takes any event, whether the command reads it or not
        given.write(data)
        given.seek(0)
        # A hook is run by the host's own unit, without a module whose run_command could be asked.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(command), stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    with process:
        words = _last_words(process.stdout.fileno() if process.stdout else -1, deadline)
        try:
            if words is not None:
                process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            words = None
        if words is None:
            os.killpg(process.pid, signal.SIGKILL)  # the command was not waited for, so the number is still its own
            if process.wait() == -signal.SIGKILL:
                return f"{command[0]} did not end within {limit:.0f} s"
    return f"{command[0]} ended with {process.returncode}: {words or ''}" if process.returncode else ""


def _last_words(descriptor: int, deadline: float) -> Optional[str]:
    """The end of what is written until everybody has closed the pipe, None when the deadline comes before that.

    Holds no more than that end, however much is written.
    """
    kept = b""
    while select.select([descriptor], [], [], max(deadline - time.monotonic(), 0.0))[0]:
        piece = os.read(descriptor, 65536)
        if not piece:
            return kept.decode("utf-8", "replace").strip()[-LAST_WORDS:]
        if time.monotonic() > deadline:
            break
        kept = (kept + piece)[-4 * LAST_WORDS :]
    return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A web hook answers where it was configured, or not at all."""

    def redirect_request(self, *_arguments: object, **_options: object) -> None:
        return None


def _post(address: str, data: bytes, limit: float) -> str:
    if not address.startswith(("http://", "https://")):
        return f"{address}: only http and https addresses can be told"
    headers = {"Content-Type": "application/json", "User-Agent": "vm-lifecycle"}
    request = urllib.request.Request(address, data=data, headers=headers, method="POST")
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=limit):
        return ""
