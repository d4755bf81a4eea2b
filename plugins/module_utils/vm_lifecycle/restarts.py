# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of restarts: what is on record of a VM that the supervisor starts again, what happened to it, and what is declared."""

from __future__ import annotations

from .frozen import dataclass


@dataclass(frozen=True)
class RestartRecord:
    """Where a VM is between its stop and its restart, and how often it was restarted. Moments are seconds of the boot boot_id."""

    uuid: str
    name: str
    #: A word of policy.restart.PHASES.
    phase: str = "up"
    #: Restarts that took place since the VM was declared.
    restart_count: int = 0
    #: Starts that were tried in a row, since somebody else started it, or since it ran for long enough.
    in_row: int = 0
    #: Seconds that the last restart waited for; 0 when the next one waits for the least time.
    delay: float = 0.0
    #: Moment at which its restart is due, while it waits for that.
    due: float = 0.0
    #: Moment since which it runs, while it is up.
    since: float = 0.0
    boot_id: str = ""
    #: Why it waits or stays down: a code of reasons_order.RESTART_REASONS, and what there is to say of it.
    reason: str = ""
    message: str = ""
    #: Epoch seconds at which that became so, for people.
    at_unix: int = 0


@dataclass(frozen=True)
class Happening:
    """What was heard, seen or tried of a VM.

    kind: started (it runs, whoever did it), stopped, crashed (and was preserved, or stops next), due, what became of our own start:
    succeeded, failed, refused, postponed or lost (with its process), relieved (its host is not short any more), and seen (it is off).
    why: for stopped a word of policy.power.STOPS, else a code; message: what there is to say of it.
    """

    kind: str
    why: str = ""
    message: str = ""


@dataclass(frozen=True)
class RestartRule:
    """What a VM declares. policy: no, always or on-failure. reset: seconds of running after which the count begins anew, 0 for never.

    barrier: a code of reasons_order.RESTART_REASONS that keeps it down whatever its policy says, "" for none.
    """

    policy: str
    retries: int
    reset: float = 600.0
    barrier: str = ""


@dataclass(frozen=True)
class Moment:
    """Now: seconds of the boot, by which everything is measured, and of the epoch, which is only told to people."""

    boottime: float
    boot_id: str
    now: float
    going_down: bool = False
