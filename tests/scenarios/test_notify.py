"""A test message for the hooks: handed over at once, kept nowhere, and refused where there is nobody to get it."""

from __future__ import annotations

import pytest
from vm_lifecycle.errors import LifecycleError
from vm_lifecycle.removals import Hooks
from vm_lifecycle.tasks.notify import attempt

from tests.fakes.build import build
from tests.fakes.world import Machine, ports

HOOKS = Hooks(("/usr/local/bin/tell",))


def test_handed_over() -> None:
    """It asks for nothing, and no sweep has to have put anything in line."""
    machine = Machine(build({}))
    (told,) = attempt(ports(machine).host, HOOKS)
    assert (told["event"], told["vm_uuid"], told["error"]) == ("test", "", "")
    assert [event["key"] for event in machine.delivered] == [told["key"]]
    assert machine.effects == []


def test_a_hook_that_is_down() -> None:
    """What went wrong is told."""
    machine = Machine(build({"refuse": {"deliver": "connection refused"}}))
    (told,) = attempt(ports(machine).host, HOOKS)
    assert told["error"] == "connection refused"


def test_no_hook() -> None:
    """Nobody would get it."""
    with pytest.raises(LifecycleError) as refused:
        attempt(ports(Machine(build({}))).host, Hooks())
    assert [problem.code for problem in refused.value.problems] == ["no_hook"]
