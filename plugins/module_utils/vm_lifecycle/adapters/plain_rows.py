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
TYPES = {"str": (str,), "int": (int,), "float": (int, float)}
#: Fields that are times.
MOMENTS = ("at_unix", "began_unix", "ended_unix")


def plain(kind: Type[Plain], stored: Any) -> Plain:
    """A noun whose fields are texts and numbers, each of its own type. Raises ValueError, TypeError or KeyError."""
    value = kind(**stored)
    for field in fields(kind):  # type: ignore[arg-type]
        found = getattr(value, field.name)
        if type(found) not in TYPES[str(field.type)] or (isinstance(found, float) and not math.isfinite(found)):
            raise ValueError(f"{field.name} is not of its type")
        if field.name in MOMENTS:
            iso(found)  # a time that no calendar has is none
    return value
