"""Metrics: every line is of the text format of Prometheus, by a parser that knows nothing of who writes them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
from vm_lifecycle._generated.schemas import SCHEMAS
from vm_lifecycle.agent.metrics import METRICS, STATES, metrics

from tests.prometheus_text import parse


def row(name: str = "db1", uuid: str = "u", until: Optional[int] = None, **snapshot: Any) -> Dict[str, Any]:
    """A VM of a result."""
    taken = {"vm_state": "running", "cpu_usage_percent": 12.34, "uptime_seconds": 60, "restart_count": 2, **snapshot}
    return {
        "name": name, "uuid": uuid, "mode": "temporary" if until is not None else "permanent", "snapshot": taken,
        "hold": "none", "memory_bytes": 2**40 + 1, "disk_bytes": 0, "seconds_until_cleanup": until,
    }  # fmt: skip


def result(rows: List[Dict[str, Any]], sweep: Optional[Dict[str, Any]] = None, sane: bool = True) -> Dict[str, Any]:
    """What the task reports."""
    return {
        "taken_at": "2026-11-25T03:00:00Z", "clock": {"sane": sane}, "last_sweep": sweep, "vms": rows,
        "counts": {"managed": len(rows), "expired": 1, "held": 0, "failed": 0},
    }  # fmt: skip


SWEEP = {"at": "2026-11-25T02:00:00Z", "outcome": "done", "counts": {"removed": 1, "kept": 2}}


def test_values() -> None:
    """In base units, each with its VM."""
    found = parse(metrics(result([row(), row("ci-1", "v", -30, vm_state="stopped")], SWEEP)))
    db1, ci1 = (("uuid", "u"), ("vm", "db1")), (("uuid", "v"), ("vm", "ci-1"))
    assert found["vm_lifecycle_vm_cpu_usage_ratio"] == {db1: 0.1234, ci1: 0.1234}
    assert found["vm_lifecycle_vm_memory_usage_bytes"][db1] == 2**40 + 1
    assert found["vm_lifecycle_vm_seconds_until_cleanup"] == {ci1: -30}
    assert found["vm_lifecycle_vm_restarts_total"] == {db1: 2, ci1: 2}
    assert found["vm_lifecycle_vm_state"][(("state", "stopped"), *ci1)] == 1
    assert sum(found["vm_lifecycle_vm_state"].values()) == 2
    assert found["vm_lifecycle_vm_info"][(("hold", "none"), ("mode", "temporary"), *ci1)] == 1
    assert found["vm_lifecycle_vms"][(("state", "expired"),)] == 1
    assert found["vm_lifecycle_snapshot_timestamp_seconds"] == {(): 1795575600}
    assert found["vm_lifecycle_last_sweep_timestamp_seconds"] == {(): 1795572000}
    assert found["vm_lifecycle_last_sweep_success"] == {(): 1}
    assert found["vm_lifecycle_last_sweep_vms"][(("decision", "kept"),)] == 2
    assert set(found) == {f"vm_lifecycle_{name}" for name in METRICS}


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_a_sweep_that_failed(outcome: str) -> None:
    """In whatever way."""
    found = parse(metrics(result([], {**SWEEP, "outcome": outcome}, sane=False)))
    assert found["vm_lifecycle_last_sweep_success"] == {(): 0}
    assert found["vm_lifecycle_clock_sane"] == {(): 0}


def test_no_vm_and_no_sweep() -> None:
    """Metrics without a sample have no lines at all."""
    found = parse(metrics(result([])))
    assert set(found) == {
        "vm_lifecycle_build_info", "vm_lifecycle_snapshot_timestamp_seconds", "vm_lifecycle_clock_sane", "vm_lifecycle_vms",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        'quo"te', "back\\slash", "\\", 'ends with \\"', "two\nlines", "\\n", "carriage\rreturn", "\x1b[31mred", "ü€𝄞", "a}b{c",
        'x",state="running"} 1\nfalse_metric 1', "tab\t", "\x00", "\u2028\x85\x0b\x0c", " ", "# HELP",
    ],
)  # fmt: skip
def test_names(name: str) -> None:
    """Whatever a VM is called, it is one label, and reads back as it was."""
    found = parse(metrics(result([row(name), row("other", "v")])))
    assert (("uuid", "u"), ("vm", name)) in found["vm_lifecycle_vm_cpu_usage_ratio"]
    assert len(found["vm_lifecycle_vm_state"]) == 2 * len(STATES)


def test_a_name_that_is_no_text() -> None:
    """It must not keep the metrics of all others away."""
    text = metrics(result([row("bad\udcffname")]))
    assert "bad\\\\udcffname" in text
    parse(text.encode("utf-8").decode("utf-8"))


def test_all_states() -> None:
    """Those of the schema, each for itself."""
    assert sorted(STATES) == sorted(SCHEMAS["VmStateSnapshot"]["properties"]["vm_state"]["enum"])
    for state in STATES:
        found = parse(metrics(result([row(vm_state=state)])))["vm_lifecycle_vm_state"]
        assert [dict(labels)["state"] for labels, value in found.items() if value] == [state]


@pytest.mark.parametrize(
    "text",
    ["a 1", "a 1\n", "# TYPE a gauge\n# HELP a x\na 1\na 1\n", '# HELP a x\n# TYPE a gauge\na{b="\\x"} 1\n',
     '# HELP a x\n# TYPE a gauge\na{b="c" 1\n', "# HELP a x\n# TYPE a gauge\na{b=c} 1\n",
     "# TYPE a gauge\n# HELP a x\n# TYPE a gauge\na 1\n",
     "# HELP a x\n# TYPE a gauge\na one\n", "\n"],
)  # fmt: skip
def test_the_parser_refuses(text: str) -> None:
    """What a scraper would refuse."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)
