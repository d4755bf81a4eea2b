"""What a supervisor that is killed must leave behind, as pure questions about what was seen. Each returns violations in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: What an event makes of a VM.
STATES = {"started": "running", "resumed": "running", "suspended": "paused", "stopped": "shutoff"}


@dataclass(frozen=True)
class Book:
    """The store at one moment, read as a whole: what it says of each VM, and every state that was ever committed, in order.

    A state is (state, reason); commits are (uuid, state, reason).
    """

    states: Mapping[str, tuple[str, str]]
    commits: Sequence[tuple[str, str, str]]


def lost(before: Book, after: Book) -> list[str]:
    """Nothing that a reader saw before a kill is gone after it, and no VM's state is older than the last that was committed."""
    found = []
    kept = list(after.commits[: len(before.commits)])
    if kept != list(before.commits):
        found.append(
            f"of {len(before.commits)} commits that were read before the kill, {len(kept)} are there, or others"
        )
    last = {uuid: (state, reason) for uuid, state, reason in after.commits}
    found += [
        f"{uuid}: {after.states.get(uuid)} is on record, and {state} was committed last"
        for uuid, state in last.items()
        if after.states.get(uuid) != state
    ]
    return found


def differing(book: Book, libvirt: Mapping[str, str]) -> list[str]:
    """What is on record is what libvirt says, of every VM."""
    return [
        f"{uuid}: {book.states.get(uuid, ('nothing', ''))[0]} is on record, and libvirt says {state}"
        for uuid, state in libvirt.items()
        if book.states.get(uuid, ("nothing", ""))[0] != state
    ]


def skipped(uuid: str, happened: Sequence[str], recorded: Sequence[str]) -> list[str]:
    """Kinds of events of a VM while somebody watched, all of them, against the states that were recorded of it meanwhile.

    Each is on record, in its order. Two events that leave a VM as it was are one.
    """
    expected = _changes([STATES[kind] for kind in happened if kind in STATES])
    found = _changes(recorded)
    if found == expected:
        return []
    where = next((n for n, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), len(found))
    return [
        f"{uuid}: {len(expected)} states came about and {len(found)} were recorded; they differ from number {where} on"
    ]


def _changes(states: Sequence[str]) -> list[str]:
    return [state for number, state in enumerate(states) if number == 0 or states[number - 1] != state]


def misnamed(book: Book, reasons: Mapping[str, Sequence[str]], unseen: set[str]) -> list[str]:
    """Why VMs that are off stopped. reasons: why each did, every time.

    Of those whose last stop was unseen it may be unknown, or that of an earlier one: they were off when they were last looked at.
    """
    found = []
    for uuid, all_of_them in reasons.items():
        state, known = book.states.get(uuid, ("", ""))
        true = ("unknown", *all_of_them) if uuid in unseen else all_of_them[-1:]
        if state == "shutoff" and known not in true:
            found.append(f"{uuid}: {known} is on record as its reason to stop, and it was {' or '.join(true)}")
    return found
