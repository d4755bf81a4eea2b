# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of a terminal: how many of them a text takes, and tables of texts that anybody may have chosen."""

from __future__ import annotations

from typing import List, Sequence

from ..adapters.linux_host import printable

#: Categories of characters that take no column of their own.
MARKS = ("Mn", "Me", "Cf")
#: What a text ends with that was cut.
CUT = "…"
#: Characters that pictures are made of -> what stands for them where only ASCII can be printed.
PLAIN = str.maketrans(
    {"├": "|", "└": "`", "─": "-", "│": "|", "▒": "=", "█": "#", "·": ".", "●": "o", "✗": "x", "…": "~", "→": ">"}
)


def width(text: str) -> int:
    """Columns that a printable text takes: two for each wide character, none for a mark on the one before it."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    import unicodedata  # for tables alone, and what it knows takes memory

    if unicodedata.category(character) in MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def fit(text: str, columns: int) -> str:
    """A text made printable, cut to so many columns, and filled up to them."""
    shown = printable(text)
    if width(shown) > columns:
        room = columns - width(CUT)
        kept: List[str] = []
        for character in shown:
            room -= _width(character)
            if room < 0:
                break
            kept.append(character)
        shown = "".join(kept) + CUT
    return shown + " " * (columns - width(shown))


def table(rows: Sequence[Sequence[str]], most: int = 0) -> List[str]:
    """A line for each row, its columns aligned; the last one is as long as it is. most: columns that one cell may take, 0 for any."""
    widths = [max(width(printable(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    if most:
        widths = [min(each, most) for each in widths]
    return [
        "  ".join([*(fit(cell, each) for cell, each in zip(row, widths)), printable(row[-1])]).rstrip() for row in rows
    ]


def encodable(text: str, encoding: str) -> str:
    """Text as a terminal of that encoding can show it: pictures made of ASCII, other characters escaped."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
