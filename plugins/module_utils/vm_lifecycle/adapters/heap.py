# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process that runs as long as its host does about the memory that the C library keeps for it."""

from __future__ import annotations

import ctypes
import gc

#: mallopt(3): how many heaps there may be. By default each thread gets its own, of which little is used here.
M_ARENA_MAX = -8


def one_heap() -> None:
    """All threads share one from now on. Nothing happens with a C library that knows no such thing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def settle() -> None:
    """What importing left over is given up. The command keeps it, which ends soon as a rule and has no time to look for it."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """The kernel gets back what is free, as after a look at a host with many VMs."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
