# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that are tried again while libvirt's daemon is away: a restart of it is no failure of a VM."""

from __future__ import annotations

from typing import Callable, TypeVar

from .errors import EffectError
from .ports import World

#: Seconds between two looks at something that is waited for, and for which a removal or a start waits for its turn.
POLL, SLOT_WAIT = 0.5, 600.0
#: What a call says when the daemon did not answer.
AWAY = "connection_failed"

Answer = TypeVar("Answer")


def patiently(world: World, seconds: float, call: Callable[[], Answer]) -> Answer:
    """A call, and once more as long as the daemon is away, for so many seconds at the most. Raises EffectError."""
    began = world.host.clock().boottime
    while True:
        try:
            return call()
        except EffectError as error:
            if error.code != AWAY or world.host.clock().boottime - began >= seconds:
                raise
        world.host.sleep(POLL)
