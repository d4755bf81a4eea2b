"""The small run: always the same stories, as a part of the test suite. `make fuzz` tells many more."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from .machine import TOTALS, HostMachine
from .profiles import small


def test_stories(capsys: pytest.CaptureFixture[str]) -> None:
    """No story breaks an invariant, and much happens in them."""
    TOTALS.clear()
    run_state_machine_as_test(HostMachine, settings=small())
    with capsys.disabled():
        print(f"\nfuzz: {dict(sorted(TOTALS.items()))}")
    assert TOTALS["steps"] >= 2000
    for what in (
        "removals",
        "kills",
        "power cuts",
        "restores",
        "purges",
        "refused effects",
        "confirmed",
        "plans",
        "deeds",
    ):
        assert TOTALS[what] > 0, what
