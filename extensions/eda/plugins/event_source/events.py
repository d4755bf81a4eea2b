# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source of ansible-rulebook: reads what `vm-lifecycle events` prints on each host, over SSH, and remembers how far it came."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

DOCUMENTATION = r"""
---
short_description: Events of libvirt hosts and of the lifecycles of their VMs
description:
  - Runs C(vm-lifecycle events --follow) on each host and gives every line that it prints to the rules, as an event.
  - What the engine did on a host (C(operation)) and what it has to tell (C(notice)) is read from the store of the host,
    by a cursor. With O(state_file), nothing of it is lost while this source is down, for as long as the host keeps it
    (C(retention_days), 7 by default).
  - Events of libvirt (C(libvirt)) are told as they happen. libvirt keeps none, so after each new connection there is an
    event C(listed) with the state of every VM.
options:
  hosts:
    description: Hosts, as SSH knows them. Without any, the machine that this source runs on.
    type: list
    elements: str
    default: []
  command:
    description: How to call the command on a host; for a user who is not root, C([sudo, vm-lifecycle]).
    type: list
    elements: str
    default: [vm-lifecycle]
  ssh:
    description: How to call SSH.
    type: list
    elements: str
    default: [ssh, -o, BatchMode=yes, -o, ServerAliveInterval=15, -o, ConnectTimeout=15]
  arguments:
    description: More words for the command, such as C([--uri, "qemu:///session"]).
    type: list
    elements: str
    default: []
  kinds:
    description: Kinds of events that the rules get.
    type: list
    elements: str
    choices: [operation, notice, libvirt, stream]
    default: [operation, notice, libvirt, stream]
  state_file:
    description: A file to keep the cursors in. Without it, a restart of this source begins as O(first) says.
    type: path
  first:
    description: Of a host that there is no cursor of, only what is V(new), or V(all) that its store has.
    type: str
    choices: [new, all]
    default: new
  retry_seconds:
    description: Seconds between two connections to a host that can't be reached.
    type: float
    default: 10
  feedback:
    description: >-
      With the persistence of ansible-rulebook, a cursor moves only once the rules have dealt with its event. Without it,
      once they have taken it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What the hosts do
  vmops.lifecycle.events:
    hosts: [kvm1.example.com, root@kvm2.example.com]
    state_file: /var/lib/rulebook/vm-lifecycle.json
"""

KINDS = ("operation", "notice", "libvirt", "stream")
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ConnectTimeout=15")
#: Options, with their defaults. What ansible-rulebook itself adds begins with eda_.
DEFAULTS: Dict[str, Any] = {
    "hosts": [],
    "command": ["vm-lifecycle"],
    "ssh": SSH,
    "arguments": [],
    "kinds": KINDS,
    "state_file": None,
    "first": "new",
    "retry_seconds": 10.0,
    "feedback": False,
}
#: Bytes of the longest line that is read.
LONGEST = 2**22
#: Seconds between two looks at whether the rules have taken an event.
PACE = 0.02


class Cursors:
    """How far each host was read, in a file that is always whole; without a path, in memory alone."""

    def __init__(self, path: Optional[str]) -> None:
        self._path = Path(path) if path else None
        known = self._path is not None and self._path.exists()
        self._known: Dict[str, str] = json.loads(self._path.read_text("utf-8")) if known and self._path else {}

    def of(self, host: str) -> Optional[str]:
        """The cursor of a host, None for one that was never read."""
        return self._known.get(host)

    def move(self, host: str, cursor: str) -> None:
        """Everything up to this cursor was taken."""
        if self._known.get(host) == cursor:
            return
        self._known[host] = cursor
        if self._path is None:
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._known, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, self._path)


class Rules:
    """Where events go. taken returns once the rules have an event, or, with feedback, have dealt with it."""

    def __init__(self, queue: Any, kinds: List[str], feedback: Any) -> None:
        self._queue, self._kinds, self._feedback = queue, kinds, feedback
        self._turn = asyncio.Lock()

    async def taken(self, event: Dict[str, Any]) -> None:
        """Give the rules an event, if they want its kind, and wait for them."""
        if event["kind"] not in self._kinds:
            return
        async with self._turn:
            await self._queue.put(event)
            if self._feedback is not None:
                await self._feedback.get()
                return
            inner = getattr(self._queue, "queue", self._queue)
            while not inner.empty():
                await asyncio.sleep(PACE)


def checked(given: Dict[str, Any]) -> Dict[str, Any]:
    """The options with their defaults. Raises ValueError."""
    unknown = [name for name in given if name not in DEFAULTS and not name.startswith("eda_")]
    if unknown:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    options = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    lists = [name for name, value in DEFAULTS.items() if isinstance(value, (list, tuple))]
    wrong = [name for name in lists if not isinstance(options[name], (list, tuple))]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: give a list")
    if options["first"] not in ("new", "all"):
        raise ValueError(f"first: {options['first']} is not one of new, all")
    if any(kind not in KINDS for kind in options["kinds"]):
        raise ValueError(f"kinds: give some of {', '.join(KINDS)}")
    return options


def command_line(options: Dict[str, Any], host: str, cursor: Optional[str]) -> List[str]:
    """What to run for a host, "" for this machine. SSH hands its words to a shell, so they are quoted for it."""
    words = [*options["command"], "events", "--follow", *options["arguments"]]
    after = cursor if cursor is not None else {"new": "end", "all": ""}[options["first"]]
    words += ["--after", after] if after else []
    return [*options["ssh"], host, shlex.join(words)] if host else words


async def read(host: str, options: Dict[str, Any], cursors: Cursors, rules: Rules) -> str:
    """The events of a host, until its stream ends; returns why."""
    command = command_line(options, host, cursors.of(host))
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE, "stdin": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(*command, limit=LONGEST, **pipes)
    assert process.stdout is not None and process.stderr is not None
    words = asyncio.create_task(last_words(process.stderr))
    try:
        while line := await process.stdout.readline():
            event = json.loads(line)
            await rules.taken({**event, "host": host})
            cursors.move(host, event["cursor"])
        return f"the stream ended with {await process.wait()}: {await words}"
    finally:
        words.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def last_words(stream: asyncio.StreamReader) -> str:
    """The end of what a program complains of; it is read to its end, or the program would wait for that."""
    kept = b""
    while piece := await stream.read(4096):
        kept = (kept + piece)[-2000:]
    return kept.decode("utf-8", "replace").strip()


async def follow(host: str, options: Dict[str, Any], cursors: Cursors, rules: Rules) -> None:
    """A host, for ever. That it can't be reached is an event, too, once for as long as it stays the same."""
    said = ""
    while True:
        begin = cursors.of(host)
        try:
            problem = await read(host, options, cursors, rules)
        except (OSError, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem != said or cursors.of(host) != begin:
            await rules.taken({"kind": "stream", "event": "lost", "host": host, "message": problem})
        said = problem
        await asyncio.sleep(float(options["retry_seconds"]))


async def main(queue: Any, args: Dict[str, Any]) -> None:
    """What ansible-rulebook calls."""
    options = checked(args)
    cursors = Cursors(options["state_file"])
    rules = Rules(queue, list(options["kinds"]), args.get("eda_feedback_queue"))
    await asyncio.gather(*(follow(host, options, cursors, rules) for host in options["hosts"] or [""]))
