"""The state machine: what hypothesis may do to a host, step by step, and shrinks when it finds a violation."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.fakes.world import ports

from .choices import JUMPS, MINUTES, WRONG, births, declarations, deeds, host_policies, sweeps, troubles
from .habits import HABITS
from .plot import Plot
from .quiesce import quiesce
from .story import NO_TROUBLE

#: Figures over all stories of this process.
TOTALS: Counter[str] = Counter()
#: Steps after which info is asked, as well as by its own rule.
INFO_EVERY = 4


class HostMachine(RuleBasedStateMachine):
    """One host, from its first day to the day on which all that was due is gone."""

    story: Plot | None = None
    steps = 0

    @initialize(kind=st.integers(0, 2), beginning=st.integers(0, 2), zone=st.integers(0, 1), policy=host_policies)
    def begin(self, kind: int, beginning: int, zone: int, policy: dict[str, Any]) -> None:
        """A host with VMs, and its policy."""
        self.story = Plot(kind, beginning, zone, policy)

    @rule(wish=sweeps, trouble=troubles)
    def sweep(self, wish: dict[str, Any], trouble: Any) -> None:
        """Any call of vm_cleanup, with any trouble."""
        self._story.sweep(wish, trouble)

    @rule(trouble=troubles)
    def timer(self, trouble: Any) -> None:
        """The timer's sweep."""
        self._story.call("vm_cleanup", {}, False, trouble)

    @rule(wish=declarations, trouble=st.one_of(st.just(NO_TROUBLE), troubles))
    def declare(self, wish: dict[str, Any], trouble: Any) -> None:
        """Any call of vm_persistence."""
        self._story.declare(wish, trouble)

    @rule(number=st.integers(0, 5), purge=st.sampled_from([False, False, True]), trouble=troubles)
    def undo(self, number: int, purge: bool, trouble: Any) -> None:
        """A VM is brought back, or its disks are given up."""
        if self._story.machine.store["undo"]:
            self._story.undo(number, purge, trouble)

    @rule(number=st.integers(0, 5), trouble=troubles)
    def confirm(self, number: int, trouble: Any) -> None:
        """A person confirms a plan."""
        if self._story.machine.store["plans"]:
            self._story.confirm(number, trouble)

    @rule(habit=st.integers(0, len(HABITS) - 1), number=st.integers(0, 11))
    def habit(self, habit: int, number: int) -> None:
        """Several steps that belong together."""
        HABITS[habit](self._story, number)

    @rule(births=births, trouble=st.one_of(st.just(NO_TROUBLE), st.just(NO_TROUBLE), troubles))
    def create(self, births: list[tuple[str, int, int]], trouble: Any) -> None:
        """New VMs, declared as temporary."""
        self._story.create(births, trouble)

    @rule(minutes=st.sampled_from(MINUTES))
    def wait(self, minutes: int) -> None:
        """Time goes by."""
        self._story.pass_time(minutes * 60.0)

    @rule(seconds=st.sampled_from(JUMPS), boot=st.booleans(), synchronised=st.booleans())
    def wrong_clock(self, seconds: int, boot: bool, synchronised: bool) -> None:
        """A wrong clock, or another boot with one."""
        self._story.wrong_clock(seconds, boot, synchronised)

    @rule(accept=st.booleans())
    def right_clock(self, accept: bool) -> None:
        """It is synchronised, or a person accepts it as it is."""
        self._story.right_clock(accept, ports(self._story.machine))

    @rule(done=st.lists(deeds, min_size=1, max_size=3))
    def people(self, done: list[tuple[str, int, int]]) -> None:
        """Somebody acts on the host."""
        for deed in done:
            self._story.people.act(deed)

    @rule(policy=st.one_of(host_policies, host_policies, host_policies, st.sampled_from(WRONG)))
    def configure(self, policy: dict[str, Any]) -> None:
        """The role writes another policy."""
        self._story.machine.state["configuration"]["cleanup"] = policy

    @rule(refused=st.booleans())
    def notify(self, refused: bool) -> None:
        """Notices are delivered, or the hook is down."""
        self._story.notify(refused)

    @rule()
    def info(self) -> None:
        """Somebody looks."""
        self._story.call("vm_lifecycle_info", {})

    @property
    def _story(self) -> Plot:
        assert self.story is not None
        return self.story

    @invariant()
    def unharmed(self) -> None:
        """Nothing broke an invariant so far."""
        if self.story is None:
            return
        self.steps += 1
        TOTALS["steps"] += 1
        if self.steps % INFO_EVERY == 0:
            self.story.call("vm_lifecycle_info", {})
        assert not self.story.judge.violations, self._told()

    def teardown(self) -> None:
        """The host comes to rest; a story that broke an invariant already is not told to its end."""
        story = self.story
        if story is None:
            return
        TOTALS["stories"] += 1
        told = bool(story.judge.violations)
        if not told:
            quiesce(story)
        TOTALS.update(story.judge.counts)
        assert told or not story.judge.violations, self._told()

    def _told(self) -> str:
        """The violations, and the last effects before them."""
        story = self._story
        lines = [*story.judge.violations[:5], "last effects:", *story.machine.effects[-12:]]
        if os.environ.get("FUZZ_VERBOSE"):
            lines += ["host:", repr(story.machine.state)]
        return "\n".join(lines)
