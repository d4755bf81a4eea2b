# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the store that hold a noun of texts and numbers."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Type, TypeVar

from ..times import iso

Plain = TypeVar("Plain")
#: Annotation of a field -> types that JSON may have for it.
TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
#: Fields that are times.
MOMENTS = (
    "at_unix", "began_unix", "ended_unix", "created_unix", "confirmed_unix", "started_unix", "removed_unix", "until_unix",
    "undo_until", "last_state_change",
)  # fmt: skip


def plain(kind: Type[Plain], stored: Any) -> Plain:
    """A noun whose fields are texts and numbers, each of its own type. Raises ValueError, TypeError or KeyError."""
    return typed(kind(**stored))


def typed(value: Plain) -> Plain:
    """The same for a noun that was made already. Fields of other types are not looked at."""
    for field in fields(value):  # type: ignore[arg-type]
        found, types = getattr(value, field.name), TYPES.get(str(field.type))
        if types is None:
            continue
        if type(found) not in types or (isinstance(found, float) and not math.isfinite(found)):
            raise ValueError(f"{field.name} is not of its type")
        if field.name in MOMENTS:
            iso(found)  # a time that no calendar has is none
    return value
