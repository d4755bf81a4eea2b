"""docs/security.md against the repository: the tests that it names exist, and the units' exposure is what scenarios hold them to."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
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


def test_scenarios_hold_the_units_to_their_exposure() -> None:
    """systemd-analyze takes ten times the number. A loop over units counts for each of them."""
    shipped = {path.name.partition(".")[0] for path in (ROOT / "roles").glob("*/templates/vm-lifecycle-*.service.j2")}
    held: dict[str, set[float]] = {}
    for path in (ROOT / "extensions" / "molecule").glob("*/verify.yml"):
        for line in path.read_text("utf-8").splitlines():
            found = re.search(r"systemd-analyze security .*--threshold=(\d+) vm-lifecycle-(\S+)\.service", line)
            if found:
                loop = re.search(r"for unit in ([\w ]+);", line)
                for name in loop[1].split() if loop else [found[2]]:
                    held.setdefault(f"vm-lifecycle-{name}", set()).add(int(found[1]) / 10)
    assert set(UNITS) == shipped
    assert held == {name: {most} for name, most in UNITS.items()}
