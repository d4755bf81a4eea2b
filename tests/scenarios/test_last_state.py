"""Random stories of hosts that go down and come up, in order or not: the VMs that ran are those that come back."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.fakes.build import build
from tests.fakes.manager import act

from .player import call, interrupted
from .test_supervised import BOOT, Watched

SHUTDOWN: dict[str, Any] = {"task": "shutdown"}
#: Name -> what is declared, and whether it is to come up in any case (True), never (False), or as it was (None).
VMS: dict[str, tuple[dict[str, Any], bool | None]] = {
    "plain": ({}, None),
    "other": ({"policy": {"on_host_shutdown": "destroy"}}, None),
    "saved": ({"policy": {"on_host_shutdown": "save-state"}}, None),
    "guest": ({"mode": "temporary", "ttl_hours": 999}, None),
    "auto": ({"auto_start": True}, True),
    "first": ({"autostart": {"vm_name": "first", "start_order": 1}}, True),
    "never": ({"policy": {"on_host_reboot": "keep-stopped"}}, False),
}
TOTALS: Counter[str] = Counter()


class Story:
    """A host, and what is known of it without the engine."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        vms = [{"name": name, "declared": declared, "state": "shutoff"} for name, (declared, _always) in VMS.items()]
        self.host = Watched(build({"domains": vms, "features": ["boot", "supervisor"]}), self.random.random() < 0.5)
        self.told: list[str] = []
        #: Who came up with the host, and who died since, by itself.
        self.came_up: set[str] = set()
        self.crashed: set[str] = set()
        self.boot()

    def up(self) -> set[str]:
        """Who runs now."""
        return {domain["name"] for domain in self.host.state["domains"] if domain["state"] != "shutoff"}

    def say(self, what: str) -> None:
        self.told.append(what)
        TOTALS[what.split()[0]] += 1

    def person(self) -> None:
        """Somebody, or a defect, starts or stops a VM."""
        name = self.random.choice(list(VMS))
        deed = self.random.choice(["stop", "crash", "pause"] if name in self.up() else ["start"])
        self.say(f"{deed} {name}")
        act(self.host, {"do": deed, "vm": name})
        (self.crashed.add if deed == "crash" else self.crashed.discard)(name)

    def boot(self) -> None:
        """Until it is carried out; the power may fail meanwhile, again and again."""
        while self.random.random() < 0.4:
            after = self.random.randint(1, 12)
            if self.random.random() < 0.3:
                self.say(f"boot-killed {after}")
                interrupted(self.host, BOOT, after, "kill")
            else:
                self.say(f"boot-cut {after}")
                interrupted(self.host, BOOT, after, "power")
        self.say("boot")
        assert not call(self.host, BOOT)["failed"]

    def expected(self, before: set[str]) -> set[str]:
        """Who runs after a boot."""
        return {name for name, (_declared, always) in VMS.items() if (name in before if always is None else always)}

    def goes_down(self) -> None:
        """In order, or not, or half in order; then it boots."""
        before = self.up()
        way = self.random.choice(["reboot", "power-cut", "half", "soft-reboot"])
        if way in ("reboot", "soft-reboot", "half"):
            self.host.state["going_down"] = True
            after = self.random.randint(1, 8) if way == "half" else 10**6
            self.say(f"{way} {after}")
            interrupted(self.host, SHUTDOWN, after, "kill")
            self.host.cut_after = None
        else:
            self.say(way)
        if way == "soft-reboot":
            act(self.host, {"do": "soft_reboot"})
            self.host.begin()
        else:
            self.host.power_cut()
        self.boot()
        assert self.up() == self.expected(before), self.told
        self.came_up, self.crashed = self.up(), set()

    def by_hand(self) -> None:
        """A person has all VMs stopped in order, and started again."""
        before = self.up()
        self.say("by-hand")
        call(self.host, {**SHUTDOWN, "arguments": {"now": True}})
        assert not self.up(), self.told
        call(self.host, {**BOOT, "arguments": {"again": True}})
        assert self.up() == self.expected(before | (self.crashed & self.came_up)), self.told
        self.crashed -= self.up()

    def supervisor(self) -> None:
        """It is restarted."""
        self.say("supervisor")
        self.host.begin()

    def step(self) -> None:
        """Something happens."""
        self.host.advance(self.random.choice([1.0, 60.0, 86400.0]))
        self.random.choices([self.person, self.goes_down, self.by_hand, self.supervisor], [6, 3, 1, 1])[0]()
        self.host.advance(5.0)


@pytest.mark.parametrize("seed", range(60))
def test_story(seed: int) -> None:
    """Of twenty steps."""
    story = Story(seed)
    for _step in range(20):
        story.step()


def test_totals() -> None:
    """All of it happens."""
    assert not TOTALS or len(TOTALS) >= 12, TOTALS
