# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to systemd over its own socket, as systemctl asks it for root: what state the machine is in.

The supervisor asks it at nearly every stop of a VM, and a process of systemctl takes twenty times as long. The socket
speaks D-Bus (its specification, chapters 'Message Protocol' and 'Authentication Protocol'), peer to peer, without a daemon.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Tuple

SOCKET = "/run/systemd/private"
#: Seconds for each step of the conversation, which takes thousandths.
LIMIT = 2.0
#: Bytes of an answer; a state is one word.
MOST = 65536

CALL, ANSWER, REFUSAL = 1, 2, 3
#: Fields of a message's head: number -> (type of its value, what is asked).
HEAD = (
    (1, "o", "/org/freedesktop/systemd1"),
    (2, "s", "org.freedesktop.DBus.Properties"),
    (3, "s", "Get"),
    (6, "s", "org.freedesktop.systemd1"),
    (8, "g", "ss"),
)
PROPERTY = ("org.freedesktop.systemd1.Manager", "SystemState")


def system_state() -> str:
    """systemd's word for the machine's state, such as running or stopping; "" when it can't be had here. Never raises."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(LIMIT)
            peer.connect(SOCKET)
            return _conversation(peer)
    except (OSError, ValueError, struct.error):
        return ""


def _conversation(peer: socket.socket) -> str:
    identity = str(os.geteuid()).encode("ascii").hex().encode("ascii")
    # systemd looks at what follows BEGIN in the same piece only when more has come: the question is a piece of its own
    peer.sendall(b"\0AUTH EXTERNAL " + identity + b"\r\nBEGIN\r\n")
    said = b""
    while not said.endswith(b"\r\n"):
        said += _exactly(peer, 1)
        if len(said) > 512:
            raise ValueError("no authentication is answered like that")
    if not said.startswith(b"OK "):
        raise ValueError("not authenticated")
    peer.sendall(question())
    while True:
        kind, body = _message(peer)
        if kind == ANSWER:
            return _word(body)
        if kind == REFUSAL:
            raise ValueError("refused")


def question() -> bytes:
    """The call, in this machine-independent order of bytes: little-endian."""
    body = b""
    for text in PROPERTY:
        body = _padded(body, 4) + _text(text)
    fields = b""
    for number, kind, value in HEAD:
        signature = struct.pack("<B", len(value)) + value.encode("ascii") + b"\0"
        fields = _padded(fields, 8) + struct.pack("<BB", number, 1) + kind.encode("ascii") + b"\0"
        fields += signature if kind == "g" else _text(value)  # four bytes of head: a text is aligned already
    start = struct.pack("<cBBBIII", b"l", CALL, 0, 1, len(body), 1, len(fields))
    return _padded(start + fields, 8) + body


def _message(peer: socket.socket) -> Tuple[int, bytes]:
    """(kind, body) of the next message."""
    start = _exactly(peer, 16)
    order, kind, _flags, _version, body, _serial, fields = struct.unpack("<cBBBIII", start)
    if order != b"l" or body + fields > MOST:
        raise ValueError("not an answer to this")
    _exactly(peer, fields + -fields % 8)
    return kind, _exactly(peer, body)


def _word(body: bytes) -> str:
    """The text in a variant."""
    if body[:3] != b"\1s\0":
        raise ValueError("not a text")
    (length,) = struct.unpack_from("<I", body, 4)
    return body[8 : 8 + length].decode("ascii")


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode("ascii") + b"\0"


def _padded(data: bytes, width: int) -> bytes:
    return data + b"\0" * (-len(data) % width)


def _exactly(peer: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        piece = peer.recv(length - len(found))
        if not piece:
            raise ValueError("it ended")
        found += piece
    return found
