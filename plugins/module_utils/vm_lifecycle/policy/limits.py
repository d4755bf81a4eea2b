# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a VM: how high they are, which of them are set or lifted, and which are left because they are somebody else's.

A limit in a definition keeps the VM from starting where the host can't apply it, so it gets there only when the host can.
"""

from __future__ import annotations

from dataclasses import field
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ..frozen import dataclass
from ..limits import CPU, KINDS, MEMORY, PERIOD, Controllers, LimitsSeen, Side, Size
from ..model import Document

MIB = 1024
#: Limit -> the option of the policy, and where the declaration keeps what was set.
OPTIONS = {MEMORY: "enforce_memory_limit", CPU: "enforce_cpu_limit"}
KEYS = {MEMORY: "memory_kib", CPU: "cpu_quota"}

#: Head-room for QEMU beside the guest's memory, in KiB: for any VM, for each virtual processor, for each disk (caches of its
#: image, requests in flight), for each process beside QEMU, and for the translated code of a guest that is emulated.
BASE, PER_PROCESSOR, PER_DISK, PER_HELPER, TRANSLATION = 512 * MIB, 16 * MIB, 64 * MIB, 512 * MIB, 1024 * MIB
#: Parts of the guest's memory that its page tables, and QEMU's own books of it, may take.
BOOKS = 16


def headroom(size: Size) -> int:
    """What QEMU and its helpers may take beside the guest's memory, in KiB. Generous: a limit that is too low kills VMs."""
    parts = (
        BASE,
        size.memory_kib // BOOKS,
        2 * size.video_kib,
        PER_PROCESSOR * size.processors,
        PER_DISK * size.disks,
        PER_HELPER * size.helpers,
        TRANSLATION if size.emulated else 0,
    )
    return sum(parts)


def needed(kind: str, size: Size) -> int:
    """The limit of a VM: KiB in whole MiB, or microseconds of each PERIOD."""
    if kind == CPU:
        return size.processors * PERIOD
    return -(-(size.memory_kib + headroom(size)) // MIB) * MIB


@dataclass(frozen=True)
class Outcome:
    """What becomes of one limit. reason: of LIMIT_REASONS. live, persistent: the amount to set, 0 to lift it, None to leave it."""

    kind: str
    reason: str
    message: str = ""
    live: Optional[int] = None
    persistent: Optional[int] = None
    #: What is kept of it in the declaration.
    recorded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Settlement:
    """What becomes of a VM's limits, and what they were."""

    seen: LimitsSeen
    outcomes: Tuple[Outcome, ...]

    @property
    def recorded(self) -> Optional[Document]:
        """The declaration's VmLimits; None when there is nothing to keep."""
        return {key: value for outcome in self.outcomes for key, value in outcome.recorded.items()} or None

    def changes(self) -> List[Tuple[str, int, bool]]:
        """(limit, amount, whether persistent): the running VM first, since it shows whether the host can apply it."""
        found = []
        for outcome in self.outcomes:
            for amount, persistent in ((outcome.live, False), (outcome.persistent, True)):
                if amount is not None:
                    found.append((outcome.kind, amount, persistent))
        return found

    def rows(self, done: bool) -> Document:
        """Limit -> how it stands, as results show it. done: after the changes, else before them."""
        return {outcome.kind: _row(self.seen, outcome, done) for outcome in self.outcomes}


def settle(policy: Optional[Document], kept: Document, seen: LimitsSeen, host: Controllers) -> Settlement:
    """What a VM's limits have to become. policy: its VmLifecyclePolicy, complete. kept: its VmLimits as declared before."""
    wanted = policy or {}
    outcomes = tuple(_outcome(kind, bool(wanted.get(OPTIONS[kind])), kept, seen, host) for kind in KINDS)
    return Settlement(seen, outcomes)


def _outcome(kind: str, wanted: bool, kept: Document, seen: LimitsSeen, host: Controllers) -> Outcome:
    own = _own(kind, kept, seen)
    persistent, live = _amount(kind, seen.persistent), _amount(kind, seen.live)
    if not wanted:
        return Outcome(kind, "limit_off", "", 0 if live in own else None, 0 if persistent in own else None)
    foreign = [amount for amount in (live, persistent) if amount is not None and amount not in own]
    if foreign:
        message = f"somebody else set {_text(kind, seen, foreign[0])}, which is left as it is"
        return Outcome(kind, "limit_foreign", message, recorded=_kept(kind, kept))
    problem, due = _problem(kind, seen, host), needed(kind, seen.persistent.size)
    return Outcome(
        kind,
        "limit_not_applicable" if problem else "limit_enforced",
        problem,
        _change(live, needed(kind, seen.live.size), problem) if seen.live else None,
        _change(persistent, due, problem),
        _recorded(kind, kept, 0 if problem else due),
    )


def _change(amount: Optional[int], due: int, problem: str) -> Optional[int]:
    """What has to be set: nothing when it is right, 0 when a limit of ours must go because it can't be applied."""
    if problem:
        return None if amount is None else 0
    return None if amount == due else due


def _problem(kind: str, seen: LimitsSeen, host: Controllers) -> str:
    """Why neither the running VM nor its definition may have the limit; "" when they may."""
    size = seen.persistent.size
    locked_for = size.locked_for or (seen.live.size.locked_for if seen.live else "")
    if kind == MEMORY and locked_for:
        return f"its memory may have to be locked for {locked_for}, which a limit would bound, too"
    refused = seen.refused.get(kind, "")
    group = (refused and (host.problem(kind) or refused)) if seen.live else host.problem(kind)
    if kind == MEMORY and not group and host.lockable_kib < needed(MEMORY, size):
        return (
            "libvirt may not let a process lock so much memory on this host (RLIMIT_MEMLOCK), so with the limit in its"
            " definition, or in what is saved of its memory, the VM would not start"
        )
    return group


def _amount(kind: str, side: Optional[Side]) -> Optional[int]:
    """The limit that is set; None for none. A quota over another period than ours is nobody's amount of ours."""
    if side is None:
        return None
    if kind == MEMORY:
        return side.bounds.memory_kib
    cpu = side.bounds.cpu
    return None if cpu is None else cpu[0] if cpu[1] == PERIOD else -1


def _own(kind: str, kept: Document, seen: LimitsSeen) -> FrozenSet[int]:
    """Amounts that count as ours: what was set here, and what would be set here."""
    sides = [side for side in (seen.persistent, seen.live) if side is not None]
    return frozenset([*_kept(kind, kept).values(), *(needed(kind, side.size) for side in sides)])


def _kept(kind: str, kept: Document) -> Dict[str, int]:
    return {key: kept[key] for key in (KEYS[kind], f"{KEYS[kind]}_before") if key in kept}


def _recorded(kind: str, kept: Document, amount: int) -> Dict[str, int]:
    """The amount, and the one before it: a run that is killed between declaring and setting leaves that one in force."""
    earlier, key = _kept(kind, kept), KEYS[kind]
    if not amount or earlier.get(key) == amount:
        return earlier if amount else {}
    return {key: amount, **({f"{key}_before": earlier[key]} if key in earlier else {})}


def _row(seen: LimitsSeen, outcome: Outcome, done: bool) -> Document:
    row: Document = {"reason": outcome.reason, "message": outcome.message}
    if not done and (outcome.live is not None or outcome.persistent is not None):
        row["reason"] = "limit_pending"
    for name, side, change in (("live", seen.live, outcome.live), ("persistent", seen.persistent, outcome.persistent)):
        changed = done and change is not None
        if outcome.kind == MEMORY:
            amount = change if changed else side.bounds.memory_kib if side else None
            row[f"{name}_mib"] = amount // MIB if amount else None
        else:
            cpu = (change or 0, PERIOD) if changed else side.bounds.cpu if side else None
            row[f"{name}_processors"] = round(cpu[0] / cpu[1], 2) if cpu and cpu[0] else None
    return row


def _text(kind: str, seen: LimitsSeen, amount: int) -> str:
    if kind == MEMORY:
        return f"a memory limit of {amount // MIB} MiB"
    cpu = (seen.live.bounds.cpu if seen.live else None) or seen.persistent.bounds.cpu
    return f"a CPU quota of {cpu[0] / cpu[1]:.2f} processors" if cpu else "a CPU quota"


def remarks(vms: Sequence[Tuple[str, Document]]) -> List[str]:
    """Warnings about limits that are not as declared, one for all VMs of which the same is to be said. vms: (name, rows)."""
    said: Dict[Tuple[str, str, str], List[str]] = {}
    for name, rows in vms:
        for kind, row in rows.items():
            if row["reason"] in QUALIFIED:
                said.setdefault((row["reason"], kind, row["message"]), []).append(name)
    return [
        f"{', '.join(names)}: {_word(kind)} {QUALIFIED[reason]}: {message} [{reason}]"
        for (reason, kind, message), names in said.items()
    ]


def _word(kind: str) -> str:
    return "memory limit" if kind == MEMORY else "CPU limit"


#: Reasons that a person should hear of -> how it is said.
QUALIFIED = {
    "limit_not_applicable": "not set",
    "limit_foreign": "not set",
}
