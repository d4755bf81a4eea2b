"""Several jobs in virtual time: one runs at a time, and the order is always the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

#: How long a test waits for a job before it counts as stuck, in real seconds.
STUCK = 60.0


class Left(BaseException):
    """Nobody waits for this job any more."""


class Turns:
    """Jobs take turns: the one that runs goes on until it waits; then time advances to the earliest that wakes.

    Each job has a thread of its own, but all others are blocked while it runs, so a run is as repeatable as one thread.
    When a job ends with an exception (a power cut), the others get the same one at their next wait, and nothing more happens.
    """

    def __init__(self, advance: Callable[[float], None], now: Callable[[], float]) -> None:
        self._advance, self._now = advance, now
        self._wakes: dict[int, float] = {}
        self._baton = {-1: threading.Semaphore(0)}
        self._failure: BaseException | None = None
        self._here = threading.local()

    def sleep(self, seconds: float) -> None:
        """Wait in virtual time; the others go on meanwhile."""
        number = getattr(self._here, "number", None)
        if number is None:
            self._advance(seconds)
            return
        self._wakes[number] = self._now() + seconds
        self._baton[-1].release()
        self._take(number)
        if self._failure is not None:
            raise self._failure

    def run(self, jobs: Sequence[Callable[[], None]], workers: int) -> None:
        """Run all jobs, at most workers of them begun at once."""
        self._failure, waiting = None, list(range(len(jobs)))
        threads: dict[int, threading.Thread] = {}
        self._wakes = {}
        while waiting or self._wakes:
            while waiting and len(self._wakes) < max(workers, 1) and self._failure is None:
                number = waiting.pop(0)
                self._wakes[number] = self._now()
                self._baton[number] = threading.Semaphore(0)
                threads[number] = threading.Thread(target=self._job, args=(number, jobs[number]), daemon=True)
                threads[number].start()
            if not self._wakes:
                break
            self._next()
        for thread in threads.values():
            thread.join(STUCK)
        if self._failure is not None:
            raise self._failure

    def submit(self, job: Callable[[], None]) -> None:
        """Begin one job; it runs while its owner waits."""
        number = len(self._baton)
        self._wakes[number] = self._now()
        self._baton[number] = threading.Semaphore(0)
        threading.Thread(target=self._job, args=(number, job), daemon=True).start()

    def wait(self, ended: Callable[[], bool], seconds: float | None) -> None:
        """Let jobs run until one has ended, or until so many seconds have passed."""
        deadline = None if seconds is None else self._now() + seconds
        while not ended():
            first = min(self._wakes.values(), default=None)
            if deadline is not None and (first is None or first > deadline):
                self._advance(max(deadline - self._now(), 0.0))
                return
            assert first is not None, "nothing is going on that could end"
            self._next()
            if self._failure is not None:
                raise self._failure

    def enter(self) -> None:
        """What ended an earlier run is over."""
        self._failure, self._wakes = None, {}

    def leave(self) -> None:
        """Jobs that still go on end where they wait."""
        self._failure = self._failure or Left()
        while self._wakes:
            self._next()
        self._failure = None

    def _next(self) -> None:
        """The job that wakes first, the earlier one among equals, has the baton until it waits or ends."""
        number = min(self._wakes, key=lambda each: (self._wakes[each], each))
        if self._failure is None and self._wakes[number] > self._now():
            self._advance(self._wakes[number] - self._now())
        del self._wakes[number]
        self._baton[number].release()
        self._take(-1)

    def _job(self, number: int, job: Callable[[], None]) -> None:
        self._here.number = number
        self._take(number)
        try:
            if self._failure is None:
                job()
        except BaseException as error:  # it ends in the caller of run
            self._failure = self._failure or error
        finally:
            self._wakes.pop(number, None)
            self._baton[-1].release()

    def _take(self, number: int) -> None:
        assert self._baton[number].acquire(timeout=STUCK), "a job neither waits nor ends"
