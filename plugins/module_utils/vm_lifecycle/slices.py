# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All VMs of a host, some at a time: a process that lasts as long as its host keeps the memory that its largest moment took."""

from __future__ import annotations

from typing import Collection, Iterator, List

from .model import Record
from .ports import Store

#: VMs that are read of at once.
SLICE = 25


def slices(uuids: Collection[str]) -> Iterator[List[str]]:
    """All of them, in their order."""
    ordered = sorted(uuids)
    for first in range(0, len(ordered), SLICE):
        yield ordered[first : first + SLICE]


def declared(store: Store) -> Iterator[Record]:
    """What is on record of each VM that is declared. What somebody writes meanwhile may or may not be seen. Raises EffectError."""
    for some in slices(store.recorded()):
        yield from (record for record in store.records(some).values() if record.document)
