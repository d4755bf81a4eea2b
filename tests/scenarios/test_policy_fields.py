"""Every field of the clean-up policy acts: two hosts that differ in that field alone end differently."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from vm_lifecycle._generated.schemas import SCHEMAS
from vm_lifecycle.schema import with_defaults

from tests.fakes.build import NOW, build
from tests.fakes.world import Machine

from .player import directories, load, play
from .test_complete import ROOT

SWEEP: dict[str, Any] = {"task": "vm_cleanup"}
NOTIFY: dict[str, Any] = {"do": "notify"}
TEMPORARY = {"mode": "temporary", "ttl_hours": 4}
DUE: dict[str, Any] = {"name": "a", "state": "shutoff", "declared": TEMPORARY, "files": ["/pool/a"]}
FAILING: dict[str, Any] = {"refuse": {"undefine": "no"}}
#: What acts on a field that no task of the engine reads, as (file, text).
ELSEWHERE = {
    "check_interval_minutes": ("roles/vm_lifecycle/templates/vm-lifecycle-cleanup.timer.j2", "check_interval_minutes"),
}
SCHEMA = {**SCHEMAS["VmCleanupPolicy"]["properties"], **SCHEMAS["VmCleanupPolicyAdditional"]["properties"]}
FIELDS = sorted(set(SCHEMA) - set(ELSEWHERE))


def dues(count: int, **more: Any) -> dict[str, Any]:
    """A host on which so many VMs are due."""
    names = [f"vm{number}" for number in range(count)]
    return {"domains": [{**DUE, "name": name, "files": [f"/pool/{name}"], **more} for name in names]}


def case(value: Any, *steps: dict[str, Any], world: dict[str, Any] | None = None, **base: Any) -> Any:
    """The field's value, the rest of the policy, the host and what happens; a sweep of one VM when nothing is said."""
    return value, base, world or {"domains": [DUE]}, list(steps) or [SWEEP]


CASES: dict[str, Any] = {
    "alert_command": case(["/usr/local/bin/tell"], SWEEP, NOTIFY, world={**FAILING, "domains": [DUE]}),
    "alert_on_cleanup_failure": case(False, world={**FAILING, "domains": [DUE]}),
    "alert_webhook": case("https://chat.example/hook", SWEEP, NOTIFY, world={**FAILING, "domains": [DUE]}),
    "cleanup_batch_size": case(
        1, {**SWEEP, "meanwhile": {"3": [{"do": "press", "cpu": 99.0}]}}, world=dues(2), max_concurrent_cleanups=1
    ),
    "cleanup_enabled": case(False),
    "cleanup_in_window_only": case(False, world={"domains": [DUE], "now": NOW + 6 * 3600}),
    "cleanup_window_end": case("03:00"),
    "cleanup_window_start": case("04:00"),
    "dry_run_mode": case(True),
    "log_cleanup_operations": case(False),
    "max_cleanup_attempts": case(1, world={**FAILING, "domains": [DUE]}),
    "max_concurrent_cleanups": case(1, world=dues(2, state="running", obeys_after=None)),
    "max_cpu_pressure": case(20, world={"domains": [DUE], "pressure": {"cpu": 30.0}}),
    "max_io_pressure": case(20, world={"domains": [DUE], "pressure": {"io": 30.0}}),
    "max_memory_pressure": case(5, world={"domains": [DUE], "pressure": {"memory": 10.0}}),
    "max_removal_gib": case(1, world={"domains": [DUE], "files": {"/pool/a": {"size": 2**30 + 1}}}),
    "max_removal_percent": case(50, world=dues(10)),
    "max_removals": case(1, world=dues(2)),
    "notify_before_hours": case(4, world={"domains": [{**DUE, "declared": {**TEMPORARY, "ttl_hours": 12}}]}),
    "remove_unpooled_files": case(True, world={"domains": [{**DUE, "files": ["/srv/a"]}]}),
    "require_confirmation": case(True),
    "require_notice": case(True, notify_before_hours=1, alert_command=["tell"]),
    "require_synchronised_clock": case(True, world={"domains": [DUE], "clock": {"synchronised": False}}),
    "retention_days": case(1, SWEEP, {"advance": 2 * 86400}, SWEEP),
    "skip_on_low_resources": case(False, world={"domains": [DUE], "pressure": {"cpu": 99.0}}),
    "undo_hours": case(1),
    "window_timezone": case("Asia/Tokyo"),
}


def story(world: dict[str, Any], policy: dict[str, Any], steps: list[dict[str, Any]]) -> tuple[list[str], list[Any]]:
    """What happened on a host with that policy, and what its hooks were given."""
    machine = Machine(build({**world, "configuration": {"cleanup": policy}}))
    lines: list[str] = []
    play(machine, copy.deepcopy(steps), lines)
    return lines, machine.delivered


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_alone_makes_a_difference(field: str) -> None:
    """And its default, written out, makes none."""
    value, base, world, steps = CASES[field]
    plain = story(world, base, steps)
    assert story(world, {**base, field: value}, steps) != plain
    default = with_defaults("VmCleanupPolicy", {}).get(field)
    if default is not None:
        assert story(world, {**base, field: default}, steps) == plain


@pytest.mark.parametrize("field", sorted(ELSEWHERE))
def test_the_other_fields_act_elsewhere(field: str) -> None:
    """In a file that names them."""
    path, text = ELSEWHERE[field]
    assert text in (ROOT / path).read_text("utf-8")


def used() -> set[str]:
    """Fields with a value that is not their default, in the policies of all scenarios."""
    policies: list[dict[str, Any]] = []
    for directory in directories():
        machine, steps = load(directory)
        policies.append(machine.state["configuration"].get("cleanup") or {})
        policies += [step for step in steps if step.get("do") == "configure"]
        policies += [step["arguments"]["policy"] for step in steps if step.get("arguments", {}).get("policy")]
    defaults = with_defaults("VmCleanupPolicy", {})
    return {
        field
        for policy in policies
        if isinstance(policy, dict)
        for field, value in policy.items()
        if json.dumps(value) != json.dumps(defaults.get(field))
    }


def test_every_field_is_set_in_some_scenario() -> None:
    """So that its story can be read, too."""
    assert sorted(set(FIELDS) - used()) == []
