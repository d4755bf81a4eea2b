"""A hundred events a second for a minute, and a supervisor that is killed again and again: nothing committed is lost.

The guests are real QEMU processes of half a kilobyte each, under a libvirtd of the test's own: ten of them are suspended and
resumed all the time, which two slow cores can do 130 times a second, and three are powered off, killed and started again. libvirt's
`test` driver would be faster, but its events come from the process that listens, so that no daemon would queue and send them.
The supervisor is a process as the unit runs it, with the store as it is on a host and a table more in which a trigger keeps every
state that is ever committed: so what a reader saw before a kill is compared with what is there after it, commit by commit.

Right is what does not depend on how fast the machine is. The rate is printed; the stream goes on until there were 6,000 events.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.contracts.real_qemu import Daemon

from .host import Supervisor, prepare, present, read
from .judge import Book, differing, lost, misnamed, skipped
from .stream import Listener, Stream

RATE, SECONDS, EVENTS, KILLS = 100.0, 60.0, 6000, 15
QUICK, ROUGH = 10, 3
#: Seconds for which the supervisor is let work before it is killed, and in which it must have recorded what it heard.
LIVES, CATCH_UP = (0.0, 5.0), 120.0


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """libvirt with real QEMU."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    made = Daemon()
    made.start()
    yield made
    made.stop()


class Trial:
    """Lives of a supervisor, and what was found wrong after each of them."""

    def __init__(self, daemon: Daemon, state: Path, seed: int) -> None:
        self.state = state
        self.chance = random.Random(seed)
        self.guests = list(prepare(daemon, state, QUICK + ROUGH))
        self.listener, self.supervisor = Listener(daemon), Supervisor(daemon.uri, state)
        self.stream = Stream(daemon, self.guests[:QUICK], self.guests[QUICK:], RATE, seed)
        self.connection = daemon.open()
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        #: How much was heard, stopped and committed when the supervisor watched from the present life's beginning; None: in a storm.
        self.since: tuple[int, dict[str, int], int] | None = None

    def begin(self, calm: bool) -> None:
        """The supervisor starts, while nothing happens or in the middle of everything. In a calm its look is judged."""
        self.since = None
        if not calm:
            self.supervisor.start()
            return
        self.stream.pause()
        self.supervisor.start()
        assert self.supervisor.watches(CATCH_UP), self.supervisor.said[-5:]
        book = read(self.state)
        self.counts["looks compared"] += 1
        stops = self._stops()
        self.judge(self._right(book, stops))
        self.since = self.listener.hear_all(), stops, len(book.commits)
        self.stream.go_on()

    def end(self, calm: bool) -> None:
        """SIGKILL: in the middle of everything, or when all that happened is on record."""
        if calm:
            self.stream.pause()
            self.settle()
        before = read(self.state)
        self.supervisor.kill()
        after = read(self.state)
        self.counts["kills"] += 1
        self.counts["commits while being killed"] += len(after.commits) - len(before.commits)
        self.judge(lost(before, after))
        self.counts["states compared"] += len(after.states)
        if calm:
            self.stream.go_on()

    def settle(self) -> None:
        """What was heard is recorded, sooner or later, all of it, in its order, and with its reason."""
        heard, deadline = self.listener.hear_all(), time.monotonic() + CATCH_UP
        assert self.supervisor.watches(CATCH_UP), self.supervisor.said[-5:]
        while True:
            book = read(self.state)
            found = self._unrecorded(book, heard)
            if not found or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.counts["calms compared"] += 1
        self.judge(found)

    def _unrecorded(self, book: Book, heard: int) -> list[str]:
        found = self._right(book, self.since[1] if self.since else self._stops())
        if self.since is not None:
            for guest in self.guests:
                happened = [kind for uuid, kind in self.listener.heard[self.since[0] : heard] if uuid == guest]
                recorded = [state for uuid, state, _reason in book.commits[self.since[2] :] if uuid == guest]
                found += skipped(guest, happened, recorded)
        return found

    def _stops(self) -> dict[str, int]:
        return {uuid: len(reasons) for uuid, reasons in self.stream.reasons.items()}

    def _right(self, book: Book, unseen_stops: dict[str, int]) -> list[str]:
        """unseen_stops: how often each VM had stopped when the supervisor was seen to watch."""
        reasons = self.stream.reasons
        unseen = {uuid for uuid, each in reasons.items() if len(each) <= unseen_stops[uuid]}
        return [
            *differing(book, {uuid: state for uuid, state in present(self.connection).items() if uuid in self.guests}),
            *misnamed(book, reasons, unseen),
        ]

    def judge(self, found: list[str]) -> None:
        if found:
            self.violations += [f"after {self.counts['kills']} kills: {each}" for each in found]

    def close(self) -> None:
        self.stream.end()
        self.connection.close()


def test_a_supervisor_that_is_killed(daemon: Daemon, tmp_path: Path) -> None:
    """Whenever that is: no commit is lost, and the next one's look makes the record right again."""
    seed = int(os.environ.get("SEED") or time.time())
    trial = Trial(daemon, tmp_path, seed)
    chance, stream = trial.chance, trial.stream
    try:
        stream.go_on()
        while stream.seconds < SECONDS or trial.listener.count() < EVENTS or trial.counts["kills"] < KILLS:
            trial.begin(calm=chance.random() < 0.5)
            time.sleep(chance.uniform(*LIVES))
            trial.end(calm=chance.random() < 0.4)
        trial.begin(calm=True)
        time.sleep(1.0)
        trial.end(calm=True)
    finally:
        trial.close()
    events, recorded = trial.listener.count(), len(read(tmp_path).commits)
    counts = ", ".join(f"{number} {what}" for what, number in trial.counts.items())
    print(f"\nseed {seed}: {events} events in {stream.seconds:.0f} s, which is {events / stream.seconds:.0f} a second; "
          f"{recorded} states recorded; {counts}; {len(trial.violations)} violations")  # fmt: skip
    assert trial.violations == []
    assert events >= EVENTS
