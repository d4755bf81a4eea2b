"""Every scenario directory, compared with its expected.log."""

from __future__ import annotations

from pathlib import Path

import pytest

from .player import directories, load, play


@pytest.mark.parametrize("directory", directories(), ids=lambda path: path.name)
def test_scenario(directory: Path, request: pytest.FixtureRequest) -> None:
    """The log of what happened is the expected one, and check mode did nothing."""
    machine, steps = load(directory)
    lines: list[str] = []
    calls = play(machine, steps, lines)
    text = "\n".join(lines) + "\n"
    expected = directory / "expected.log"
    if request.config.getoption("regenerate"):
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")
    assert all(made.effects == 0 for made in calls if made.step.get("check")), "check mode had an effect"
    assert not any(made.violations for made in calls), calls[-1].violations
    assert not any("raised" in made.outcome for made in calls), "an error escaped the engine"
    assert len((directory / "README.md").read_text("utf-8").splitlines()) >= 3
