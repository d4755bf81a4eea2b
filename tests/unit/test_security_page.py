"""docs/security.md against the repository: the tests that it names exist, and the units' exposure is what scenarios hold them to."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
#: Of exposure, for any unit.
MOST = 2.5
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
UNITS = {
    name: float(most) for name, most in re.findall(r"^\| `(vm-lifecycle-\w+)\.service` \| ([\d.]+) \|", PAGE, re.M)
}


@pytest.mark.parametrize("named", NAMED)
def test_what_the_page_names_is_there(named: str) -> None:
    path, _separator, function = named.partition("::")
    assert (ROOT / path).exists()
    if function:
        assert f"def {function}(" in (ROOT / path).read_text("utf-8")


def test_each_row_of_a_threat_names_a_test() -> None:
    threats = PAGE.partition("## Who could try")[2].partition("## What the units may do")[0]
    rows = [
        line for line in threats.splitlines() if line.startswith("| ") and not re.match(r"\| (---|They|It|What) ", line)
    ]
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []


def shells(steps: object) -> list[str]:
    """The shell commands of a playbook, wherever they are in it."""
    if isinstance(steps, list):
        return [text for step in steps for text in shells(step)]
    if not isinstance(steps, dict):
        return []
    own = [str(value) for key, value in steps.items() if key == "ansible.builtin.shell"]
    return own + [text for value in steps.values() for text in shells(value)]


def test_scenarios_hold_the_units_to_their_exposure() -> None:
    """systemd-analyze takes ten times the number. It only exits with 1, so nothing may come between that and the task's end."""
    shipped = {path.name.partition(".")[0] for path in (ROOT / "roles").glob("*/templates/vm-lifecycle-*.service.j2")}
    held: dict[str, set[float]] = {}
    for path in (ROOT / "extensions" / "molecule").glob("*/verify.yml"):
        for text in shells(yaml.safe_load(path.read_text("utf-8"))):
            found = re.findall(
                r"^systemd-analyze security .*--threshold=(\d+) (vm-lifecycle-\w+)\.service$", text, re.M
            )
            assert len(found) == text.count("systemd-analyze security"), path
            assert not found or text.startswith("set -e\n"), path
            for tenfold, name in found:
                held.setdefault(name, set()).add(int(tenfold) / 10)
    assert set(UNITS) == shipped
    assert held == {name: {most} for name, most in UNITS.items()}


def test_no_unit_is_open_by_more_than_this() -> None:
    """What a unit needs beyond it is to be had in another way."""
    assert {name: most for name, most in UNITS.items() if most > MOST} == {}
