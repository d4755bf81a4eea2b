"""Starting VMs in order, step by step: what follows from what has happened."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest
from vm_lifecycle.boots import Place
from vm_lifecycle.policy.boot_run import Moves, Order, Step


def place(name: str, **given: Any) -> Place:
    """A place; its UUID is its name."""
    return Place(name, name, **{"order": 0.0, "on_failure": "stop", **given})


def begun(*places: Place, cap: int = 100, unmet: Optional[Dict[str, str]] = None) -> tuple[Order, Moves]:
    """An order and its first moves."""
    order = Order(places, unmet or {}, cap)
    return order, order.advance(order.begin(), 0.0)


def phases(moves: Moves) -> Dict[str, str]:
    """Each VM's phase."""
    return {uuid: step.phase for uuid, step in moves.steps.items()}


def test_lower_orders_first() -> None:
    """The second order waits until the first is done, and remembers whom it waited for."""
    order, moves = begun(place("a"), place("b"), place("c", order=1.0))
    assert (moves.start, moves.wake) == (("a", "b"), None)
    steps = {**moves.steps, "a": order.started("a", moves.steps["a"], 1.0)}
    assert order.advance(steps, 1.0).start == ()
    steps["b"] = order.started("b", steps["b"], 2.0, ("effect_failed", "no"))
    moves = order.advance(steps, 2.0)
    assert moves.start == ("c",)
    assert (moves.steps["c"].after, moves.steps["c"].turn) == ("b", 2.0)


def test_delay() -> None:
    """It counts from the VM's turn, and does not hold up others; one that runs already needs none."""
    order, moves = begun(place("a", delay=7.0), place("b"), place("c", delay=7.0, running=True))
    assert (moves.start, moves.wake) == (("b", "c"), 7.0)
    assert order.advance(moves.steps, 6.9).start == ()
    assert order.advance(moves.steps, 7.0).start == ("a",)


def test_cap() -> None:
    """Never more at once; lower orders and those that waited longer come first."""
    order, moves = begun(place("a"), place("b"), place("c", delay=1.0), place("d", delay=2.0), cap=2)
    assert moves.start == ("a", "b")
    moves = order.advance(moves.steps, 3.0)
    assert (moves.start, moves.wake) == ((), None)
    steps = {**moves.steps, "a": order.started("a", moves.steps["a"], 3.0)}
    assert order.advance(steps, 3.0).start == ("c",)


@pytest.mark.parametrize(
    ("policy", "attempts", "expected"),
    [
        ("stop", 1, "failed"),
        ("ignore", 1, "failed"),
        ("retry", 1, "resting"),
        ("retry", 2, "resting"),
        ("retry", 3, "failed"),
    ],
)
def test_failed_start(policy: str, attempts: int, expected: str) -> None:
    """retry tries as often as was declared, five seconds apart."""
    order, _moves = begun(place("a", on_failure=policy, retries=3))
    step = order.started("a", Step("starting", attempts=attempts), 10.0, ("effect_failed", "no"))
    assert (step.phase, step.reason) == (expected, "effect_failed")
    moves = order.advance({"a": step}, 10.0)
    assert moves.wake == (15.0 if expected == "resting" else None)
    assert order.advance({"a": step}, 15.0).start == (("a",) if expected == "resting" else ())


@pytest.mark.parametrize(("policy", "expected"), [("stop", "skipped"), ("retry", "skipped"), ("ignore", "starting")])
def test_dependants_of_a_failure(policy: str, expected: str) -> None:
    """Only ignore lets them start; what depends on a skipped VM is skipped whatever its policy."""
    order, moves = begun(
        place("a", on_failure=policy, retries=1),
        place("b", depends_on=("a",), on_failure="ignore"),
        place("c", depends_on=("b",)),
    )
    steps = {**moves.steps, "a": order.started("a", moves.steps["a"], 1.0, ("effect_failed", "no"))}
    found = order.advance(steps, 1.0)
    assert phases(found)["b"] == expected
    assert phases(found)["c"] == ("waiting" if expected == "starting" else "skipped")


@pytest.mark.parametrize("unmet", [{}, {"skipped": "gone"}, {"skipped": "above of a higher start_order"}])
def test_a_skipped_vm_lets_no_higher_order_pass(unmet: Dict[str, str]) -> None:
    """It is done no earlier than those of lower orders: whoever waits for it waits for them through it."""
    skipped = place("skipped", order=1.0, depends_on=("above",) if "above" in str(unmet) else ("fails",))
    order, moves = begun(place("fails"), place("slow"), skipped, place("above", order=2.0), unmet=unmet)
    steps = {**moves.steps, "fails": order.started("fails", moves.steps["fails"], 1.0, ("effect_failed", "no"))}
    found = order.advance(steps, 1.0)
    assert (phases(found)["skipped"], phases(found)["above"]) == ("waiting", "waiting")
    steps = {**found.steps, "slow": order.started("slow", found.steps["slow"], 60.0)}
    found = order.advance(steps, 60.0)
    assert (phases(found)["skipped"], phases(found)["above"]) == ("skipped", "starting")
    assert (found.steps["skipped"].after, found.steps["above"].turn) == ("slow", 60.0)


def test_unmet() -> None:
    """A dependency that nobody starts keeps the VM down at once, and what depends on it."""
    _order, moves = begun(place("a"), place("b", depends_on=("a",)), place("c"), unmet={"a": "gone"})
    assert phases(moves) == {"a": "skipped", "b": "skipped", "c": "starting"}
    assert "gone" in moves.steps["a"].message


def test_ready() -> None:
    """Running is enough, or a banner is waited for."""
    order, moves = begun(place("a"), place("b", wait_for_ssh=True))
    steps = {uuid: order.started(uuid, step, 1.0) for uuid, step in moves.steps.items()}
    moves = order.advance(steps, 1.0)
    assert phases(moves) == {"a": "ready", "b": "probing"}
    assert moves.probe == ("b",)
    assert order.probed("b", moves.steps["b"], 4.0, "", runs=True).phase == "ready"


@pytest.mark.parametrize(
    ("policy", "probes", "runs", "expected", "reason"),
    [
        ("stop", 1, True, "failed", "ssh_silent"),
        ("ignore", 1, True, "failed", "ssh_silent"),
        ("retry", 1, True, "up", ""),
        ("retry", 2, True, "failed", "ssh_silent"),
        ("stop", 1, False, "failed", "stopped_again"),
        ("retry", 1, False, "resting", "stopped_again"),
    ],
)
def test_silence(policy: str, probes: int, runs: bool, expected: str, reason: str) -> None:
    """A VM that runs is never started anew: under retry it is waited for once more. One that stopped is."""
    order, _moves = begun(place("a", on_failure=policy, retries=3, wait_for_ssh=True))
    step = order.probed("a", Step("probing", attempts=1, probes=probes), 9.0, "no banner", runs)
    assert (step.phase, step.reason) == (expected, reason)
    if expected == "up":
        assert order.advance({"a": step}, 9.0).probe == ("a",)
