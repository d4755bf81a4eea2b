"""Jobs whose owner waits for whatever ends first: the same cases in virtual time and in threads."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.jobs import ThreadJobs
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.ports import Host, Jobs

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

#: A unit of time in which a thread surely gets its turn, in seconds.
STEP = 0.2


@pytest.fixture(params=["fake", "linux"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A machine."""
    return FakeHost(Machine(build({}))) if request.param == "fake" else LinuxHost(tmp_path / "claims", tmp_path)


def after(host: Host, steps: float, result: Any = None) -> Any:
    """A job's result, so many steps later."""
    host.sleep(steps * STEP)
    return result


def all_of(jobs: Jobs, count: int) -> list[tuple[str, Any]]:
    """The first results, in the order in which they are told."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        ended = jobs.wait(60.0)
        assert ended, "nothing ended in a minute"
        found += ended
    assert len(found) == count
    return found


def test_whatever_ends_first(host: Host) -> None:
    """With its key and its result, whatever that is; once each."""
    with host.jobs() as jobs:
        for key, steps, result in (("a", 4, "x"), ("b", 2, ("y", 1)), ("c", 6, None)):
            jobs.submit(key, partial(after, host, steps, result))
        assert jobs.wait(None) == [("b", ("y", 1))]
        assert jobs.wait(60.0) == [("a", "x")]
        assert jobs.wait(None) == [("c", None)]
        assert jobs.wait(0.0) == []


def test_each_is_told_once(host: Host) -> None:
    """Also when several end at the same time."""
    with host.jobs() as jobs:
        for number in range(20):
            jobs.submit(str(number), partial(after, host, 1, number))
        assert sorted(result for _key, result in all_of(jobs, 20)) == list(range(20))
        assert jobs.wait(STEP) == []


def test_one_key_twice(host: Host) -> None:
    """A VM is started, and then probed."""
    with host.jobs() as jobs:
        jobs.submit("a", lambda: "started")
        assert jobs.wait(None) == [("a", "started")]
        jobs.submit("a", lambda: "probed")
        assert jobs.wait(None) == [("a", "probed")]


def test_waiting_in_vain(host: Host) -> None:
    """As long as was asked for: while a job goes on, and while none does."""
    with host.jobs() as jobs:
        began = host.clock().boottime
        assert jobs.wait(STEP) == []
        jobs.submit("a", partial(after, host, 10, "x"))
        assert jobs.wait(STEP) == []
        assert jobs.wait(0.0) == []
        assert 1.9 * STEP < host.clock().boottime - began < 9 * STEP
        assert jobs.wait(None) == [("a", "x")]


def test_jobs_go_on_together(host: Host) -> None:
    """As many as there are: who waits for SSH must not keep others from starting."""
    with host.jobs() as jobs:
        began = host.clock().boottime
        for number in range(50):
            jobs.submit(str(number), partial(after, host, 3, number))
        assert sorted(result for _key, result in all_of(jobs, 50)) == list(range(50))
        assert host.clock().boottime - began < 10 * 3 * STEP


def test_jobs_that_are_added(host: Host) -> None:
    """While others go on."""
    with host.jobs() as jobs:
        jobs.submit("long", partial(after, host, 6))
        jobs.submit("a", partial(after, host, 1))
        assert jobs.wait(None) == [("a", None)]
        jobs.submit("b", partial(after, host, 1))
        assert jobs.wait(None) == [("b", None)]
        assert jobs.wait(None) == [("long", None)]


def test_what_hangs_is_left(host: Host) -> None:
    """The context ends at once; another one begins with nothing of it."""
    with host.jobs() as jobs:
        jobs.submit("hangs", partial(after, host, 3000 if isinstance(host, FakeHost) else 10, "late"))
        jobs.submit("a", lambda: "x")
        assert jobs.wait(None) == [("a", "x")]
        began = time.monotonic()
    assert time.monotonic() - began < 5 * STEP
    with host.jobs() as jobs:
        jobs.submit("b", lambda: "y")
        assert jobs.wait(None) == [("b", "y")]
        assert jobs.wait(STEP) == []


class Ended(BaseException):
    """What ends a run from within."""


def test_a_job_that_ends_the_run(host: Host) -> None:
    """It ends in the owner, as itself: nobody waits for ever for a job that is no more."""

    def job() -> None:
        host.sleep(STEP)
        raise Ended

    with pytest.raises(Ended), host.jobs() as jobs:
        jobs.submit("a", partial(after, host, 10))
        jobs.submit("bad", job)
        for _round in range(3):
            jobs.wait(None)


# Threads' own.


def test_waiting_for_nothing() -> None:
    """Without a limit it would last for ever, which is a defect of whoever asks."""
    with pytest.raises(RuntimeError):
        ThreadJobs().wait(None)


def test_threads_that_hang_keep_no_process() -> None:
    """They are daemons, each with its VM's name for whoever looks."""
    enough, jobs = threading.Event(), ThreadJobs()
    hang: Callable[[], Any] = partial(enough.wait, 20)
    jobs.submit("ci-1", hang)
    (thread,) = [each for each in threading.enumerate() if "ci-1" in each.name]
    assert thread.daemon
    enough.set()
    assert jobs.wait(10.0) == [("ci-1", True)]
    thread.join(10)
    assert not thread.is_alive()


def test_more_jobs_than_descriptors(tmp_path: Path) -> None:
    """Each has connections of its own; on a host with hundreds of VMs these are more than a process has by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    together = threading.Barrier(200)

    def job() -> str:
        with socket.socket(), socket.socket():
            together.wait(30)
        return "done"

    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 100, hard))
    try:
        with LinuxHost(tmp_path / "claims", tmp_path).jobs() as jobs:
            for number in range(200):
                jobs.submit(str(number), job)
            assert {result for _key, result in all_of(jobs, 200)} == {"done"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
