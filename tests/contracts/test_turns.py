"""Jobs that take turns in virtual time: the order is always the same, and a cut ends all of them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from vm_lifecycle.ports import Host

from tests.fakes.build import NOW, build
from tests.fakes.host import FakeHost
from tests.fakes.turns import Turns
from tests.fakes.world import Machine, PowerCut


class Story:
    """A machine whose jobs say what they do, with the time since its beginning."""

    def __init__(self, domains: Sequence[dict[str, object]] = ()) -> None:
        self.machine = Machine(build({"domains": list(domains)}))
        self.host: Host = FakeHost(self.machine)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """A line."""
        self.lines.append(f"{self.machine.clock['now'] - NOW:g} {text}")

    def steps(self, name: str, *waits: float) -> Callable[[], None]:
        """A job that waits several times."""

        def job() -> None:
            self.say(f"{name} begins")
            for wait in waits:
                self.host.sleep(wait)
                self.say(name)

        return job


def test_the_one_that_wakes_first_goes_on() -> None:
    """And time advances to it, not by each wait."""
    story = Story()
    story.host.parallel([story.steps("a", 3, 3), story.steps("b", 2, 2), story.steps("c", 1)], 3)
    expected = ["0 a begins", "0 b begins", "0 c begins", "1 c", "2 b", "3 a", "4 b", "6 a"]
    assert story.lines == expected


def test_equals_go_on_in_the_order_of_the_jobs() -> None:
    """Whatever order they went to sleep in; a wait of nothing lets the others go first only if they wake by then."""
    story = Story()
    story.host.parallel([story.steps("a", 1, 1), story.steps("b", 2), story.steps("c", 0, 0)], 3)
    assert story.lines == ["0 a begins", "0 b begins", "0 c begins", "0 c", "0 c", "1 a", "2 a", "2 b"]


def test_one_that_ends_makes_room() -> None:
    """The next one begins at that moment, before anybody who wakes later."""
    story = Story()
    story.host.parallel([story.steps("a", 5), story.steps("b", 2), story.steps("c", 1), story.steps("d")], 2)
    assert story.lines == ["0 a begins", "0 b begins", "2 b", "2 c begins", "3 c", "3 d begins", "5 a"]


def test_the_same_each_time() -> None:
    """However the threads are scheduled."""

    def told() -> list[str]:
        story = Story()
        waits = [[(7 * job + 3 * step) % 5 for step in range(6)] for job in range(12)]
        story.host.parallel([story.steps(str(job), *each) for job, each in enumerate(waits)], 5)
        return story.lines

    assert {tuple(told()) for _round in range(10)} == {tuple(told())}


def test_one_at_a_time() -> None:
    """Between two waits nobody else runs: no lock is needed, and a lost update shows a defect of ours only."""
    story, total = Story(), 0

    def job() -> None:
        nonlocal total
        for _round in range(20):
            seen = total
            for _pause in range(50):
                threading.Event().wait(0)  # gives the processor away
            total = seen + 1
            story.host.sleep(0.5)

    story.host.parallel([job] * 8, 8)
    assert total == 160
    assert story.machine.clock["now"] - NOW == 10


def test_guests_stop_while_jobs_wait() -> None:
    """A guest that obeys within a wait is off when its job looks again, and not before."""
    story = Story([{"name": "quick", "obeys_after": 2}, {"name": "slow", "obeys_after": 4}])

    def job(name: str) -> None:
        domain = story.machine.named(name)
        domain["stops_at"] = story.machine.clock["boottime"] + domain["obeys_after"]
        while domain["state"] != "shutoff":
            story.host.sleep(0.5)
        story.say(f"{name} is off")

    story.host.parallel([partial(job, "slow"), partial(job, "quick")], 2)
    assert story.lines == ["2 quick is off", "4 slow is off"]


def test_outside_of_jobs_waiting_is_waiting() -> None:
    """Before, between and after."""
    story = Story()
    for _round in range(2):
        story.host.sleep(1)
        story.host.parallel([story.steps("a", 1)], 1)
    assert story.machine.clock["now"] - NOW == 4


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_power_cut_ends_all(cut: int) -> None:
    """No effect follows it, nobody begins after it, nobody is left, and time stands still."""
    story, ends = Story(), []
    story.machine.cut_after = cut

    def job(number: int) -> None:
        try:
            for step in range(3):
                with story.machine.effect("power_off", f"{number}.{step}"):
                    pass
                story.host.sleep(1)
        except PowerCut:
            ends.append((number, story.machine.clock["now"] - NOW))
            raise

    threads = threading.active_count()
    with pytest.raises(PowerCut):
        story.host.parallel([partial(job, number) for number in range(4)], 2)
    assert len(story.machine.effects) == cut
    assert threading.active_count() == threads
    moment = (cut - 1) // 2
    begun = 1 if cut == 1 else 2
    assert sorted(ends) == [(number, moment) for number in range(begun)]
    assert story.machine.clock["now"] - NOW == moment


def test_after_a_cut_the_host_goes_on() -> None:
    """The next run of the same host is not told about the cut again."""
    story = Story()
    story.machine.cut_after = 1

    def job() -> None:
        story.host.sleep(1)
        with story.machine.effect("power_off", "x"):
            pass

    with pytest.raises(PowerCut):
        story.host.parallel([job, job], 2)
    story.machine.kill_run()
    story.host.parallel([job, story.steps("a", 1)], 2)
    assert len(story.machine.effects) == 2
    assert story.lines == ["1 a begins", "2 a"]


def test_a_job_that_never_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a defect that a test tells, and does not hang on."""
    monkeypatch.setattr("tests.fakes.turns.STUCK", 0.2)
    enough = threading.Event()
    turns = Turns(lambda _seconds: None, lambda: 0.0)

    def job() -> None:
        enough.wait(20)

    try:
        with pytest.raises(AssertionError, match="neither waits nor ends"):
            turns.run([job], 1)
    finally:
        enough.set()
