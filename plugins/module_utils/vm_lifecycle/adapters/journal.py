# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams to systemd: entries for the journal with fields to search by, and the state of a unit."""

from __future__ import annotations

import _socket  # what socket makes of it takes as much memory as a tenth of the engine, for as long as a supervisor lasts
import os
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Mapping

if TYPE_CHECKING:
    from ..host_changes import LogOperation

#: Where journald takes entries in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
SOCKET = "/run/systemd/journal/socket"
#: Every operation has this identifier, so that `journalctl MESSAGE_ID=...` finds all of them.
MESSAGE_ID = "6f1d3c5e9a2b4c7d8e0f1a2b3c4d5e6f"
#: syslog's priorities: an error, and information.
ERROR, INFORMATION = "3", "6"
#: Outcomes that somebody has to be told of.
FAILURES = ("failed", "gave_up")
#: Bytes of a value that are sent; a longer one loses its end, since a datagram that is too large is not sent at all.
LONGEST = 16384


def fields(line: LogOperation) -> Mapping[str, str]:
    """An operation as fields of a journal entry."""
    said = f"{line.name}: {line.operation} {line.outcome}" + (f": {line.message}" if line.message else "")
    return {
        "MESSAGE": said,
        "MESSAGE_ID": MESSAGE_ID,
        "PRIORITY": ERROR if line.outcome in FAILURES else INFORMATION,
        "SYSLOG_IDENTIFIER": "vm-lifecycle",
        "VM_NAME": line.name,
        "VM_UUID": line.uuid,
        "LIFECYCLE_OPERATION": line.operation,
        "LIFECYCLE_OUTCOME": line.outcome,
    }


def framed(entry: Mapping[str, str]) -> bytes:
    """The wire form: each value with its length, so that nothing in a VM's name can end a field or begin another."""
    parts = []
    for name, value in entry.items():
        data = value.encode("utf-8", "backslashreplace")
        if len(data) > LONGEST:
            data = data[:LONGEST].decode("utf-8", "ignore").encode()  # not within a character
        parts.append(name.encode("ascii") + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
    return b"".join(parts)


def write(line: LogOperation, path: str = SOCKET) -> None:
    """Send one operation. Never waits and never fails: the store has it too, and hosts without journald exist."""
    _send(path, framed(fields(line)))


def status(text: str) -> None:
    """What `systemctl status` shows of a run that systemd started (sd_notify)."""
    notify("STATUS=" + text.replace("\n", " "))


def notify(state: str) -> None:
    """One message to systemd, such as READY=1; nothing where nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        _send("\0" + path[1:] if path.startswith("@") else path, state.encode("utf-8", "backslashreplace"))


def _send(path: str, data: bytes) -> None:
    try:
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    except OSError:
        return
    with suppress(OSError), closing(sender):
        sender.setblocking(False)
        sender.connect(path)
        sender.send(data)
