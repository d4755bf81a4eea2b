"""The alert rules and the dashboard that are shipped: every metric and label that they name is one that is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from vm_lifecycle.agent.metrics import METRICS, STATES
from vm_lifecycle.policy.snapshots import GIB
from vm_lifecycle.tasks.snapshots import COUNTED

MONITORING = Path(__file__).parents[2] / "roles" / "vm_lifecycle" / "files" / "monitoring"
#: Metrics of others that are named.
OTHERS = {"node_textfile_scrape_error"}
#: Values of the label state, by metric.
VALUES = {
    "vm_lifecycle_vms": {"managed", "permanent", "temporary", *COUNTED},
    "vm_lifecycle_vm_state": set(STATES),
}
NAMED = re.compile(r"\b((?:vm_lifecycle|node)_[a-z_]+)(\{[^}]*\})?")


def rules() -> list[dict[str, Any]]:
    """Of all groups."""
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The document."""
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    return found


def expressions() -> Iterator[str]:
    """Of rules, panels and variables."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])
    variables = dashboard()["templating"]["list"]
    yield from (each["query"]["query"] for each in variables if each["type"] == "query")


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_what_is_asked_for_is_written(expression: str) -> None:
    """And brackets are closed."""
    named = NAMED.findall(expression)
    assert named
    for name, selector in named:
        assert name in OTHERS or name.removeprefix("vm_lifecycle_") in METRICS
        for value in re.findall(r'state="([^"]*)"', selector):
            assert value in VALUES[name]
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_every_metric_is_used() -> None:
    """By an alert or the dashboard, but for those that are for people who build their own."""
    used = {
        name.removeprefix("vm_lifecycle_")
        for expression in expressions()
        for name, _selector in NAMED.findall(expression)
    }
    assert set(METRICS) - used == {"vm_uptime_seconds"}


def test_rules() -> None:
    """Each has a name of its own, a severity, and says what it is about and what to do."""
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) >= 10
    for rule in found:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"].startswith("{{ $labels.instance }}: ")
        assert len(rule["annotations"]["description"]) > 20


def test_dashboard() -> None:
    """Panels have numbers of their own and don't overlap, and all of them ask the data source that is chosen."""
    panels = dashboard()["panels"]
    assert sorted(panel["id"] for panel in panels) == list(range(1, len(panels) + 1))
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _y in cells) < 24
        taken |= cells
        assert {each["datasource"]["uid"] for each in [panel, *panel["targets"]]} == {"${datasource}"}


def test_a_gibibyte() -> None:
    """The dashboard's unit for sizes counts by 1024, as the snapshots do."""
    assert GIB == 1024**3
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in dashboard()["panels"]}
    assert "bytes" in units
    assert "decbytes" not in units
