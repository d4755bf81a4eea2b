"""What results say: unenforced fields, documents, volumes, times, problems."""

from __future__ import annotations

from datetime import timezone
from typing import Any, Dict, FrozenSet, List, Optional

import pytest
from vm_lifecycle.disks import VolumeVerdict
from vm_lifecycle.errors import DomainGone, EffectError, LifecycleError, Problem, refuse
from vm_lifecycle.metadata import Declaration
from vm_lifecycle.model import Domain, Record
from vm_lifecycle.policy.cleanup_policy import decode
from vm_lifecycle.report import described, metadata_problem, persistence_of, unenforced, volumes
from vm_lifecycle.schema import violations, with_defaults
from vm_lifecycle.times import iso

NOON = 1795608000.0
ALL = frozenset({"cleanup", "boot", "supervisor"})
TEMPORARY = with_defaults("VmPersistence", {"mode": "temporary", "created_at_unix": 5, "scheduled_cleanup": 1795608000})
PERMANENT = with_defaults("VmPersistence", {"created_at_unix": 5})


def fields(persistence: Dict[str, Any], policy: Optional[Dict[str, Any]], features: FrozenSet[str]) -> List[str]:
    """The fields that nobody acts on."""
    document = {"persistence": persistence, **({"policy": policy} if policy is not None else {})}
    return [f"{row['field']} -> {row['enable']}" for row in unenforced(document, features)]


POLICY = with_defaults("VmLifecyclePolicy", {})
KEPT = {**POLICY, "on_host_reboot": "keep-stopped", "on_host_shutdown": "save-state", "enforce_disk_limit": True}
LIMITS = ["policy.enforce_disk_limit -> supervisor"]
HOST = ["policy.on_host_reboot -> boot", "policy.on_host_shutdown -> boot"]


@pytest.mark.parametrize(
    ("persistence", "policy", "features", "expected"),
    [
        (TEMPORARY, None, frozenset(), ["ttl_hours -> cleanup"]),
        (TEMPORARY, None, frozenset({"cleanup"}), []),
        ({**TEMPORARY, "auto_cleanup": False}, None, frozenset(), []),
        (PERMANENT, None, frozenset(), []),
        ({**PERMANENT, "restart_policy": "on-failure"}, None, frozenset({"boot"}), ["restart_policy -> supervisor"]),
        ({**PERMANENT, "restart_policy": "on-failure"}, None, frozenset({"supervisor"}), []),
        ({**TEMPORARY, "restart_policy": "on-failure"}, None, frozenset({"cleanup"}), []),
        ({**PERMANENT, "restart_policy": "no"}, None, frozenset(), []),
        ({**PERMANENT, "auto_start": True, "restart_policy": "no"}, None, frozenset(), []),
        (TEMPORARY, POLICY, frozenset({"cleanup"}), []),
        (TEMPORARY, KEPT, frozenset({"cleanup"}), HOST + LIMITS),
        (TEMPORARY, KEPT, frozenset({"cleanup", "boot"}), LIMITS),
        (TEMPORARY, KEPT, ALL, []),
        (TEMPORARY, {"on_memory_pressure": "suspend", "on_disk_full": "kill", "enforce_disk_limit": True},
         frozenset({"cleanup"}), ["policy.on_memory_pressure -> supervisor", "policy.on_disk_full -> supervisor",
                                  "policy.enforce_disk_limit -> supervisor"]),
        (TEMPORARY, {"on_memory_pressure": "none", "on_disk_full": "none", "enforce_cpu_limit": False},
         frozenset({"cleanup"}), []),
    ],
)  # fmt: skip
def test_unenforced(
    persistence: Dict[str, Any], policy: Optional[Dict[str, Any]], features: FrozenSet[str], expected: List[str]
) -> None:
    """Declared, and no enabled unit acts on it; what asks for nothing, or what nobody spoke of, is never listed."""
    assert fields(persistence, policy, features) == expected


@pytest.mark.parametrize(("features", "expected"), [(ALL, []), (frozenset({"cleanup"}), ["autostart -> boot"])])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_place_needs_the_boot_unit(features: FrozenSet[str], expected: List[str], enabled: bool) -> None:
    """One that is not enabled, too: without the unit libvirt starts the VM all the same."""
    document = {"persistence": {**PERMANENT, "restart_policy": "no"}, "autostart": {"vm_name": "a", "enabled": enabled}}
    assert [f"{row['field']} -> {row['enable']}" for row in unenforced(document, features)] == expected


def test_described() -> None:
    """Documents stay valid by their schemas; extras lie beside them."""
    policy, _problems = decode({}, timezone.utc, "policy")
    record = Record("u", "a", 1, "d", power_state="running", last_state_change=77)
    domain = Domain("u", "a", "running")
    row = described(domain, {"persistence": TEMPORARY, "policy": POLICY}, record, policy, ALL, NOON)
    assert violations("VmPersistence", row["persistence"]) == []
    assert violations("VmLifecyclePolicy", row["policy"]) == []
    assert row["persistence"]["last_state_change"] == 77
    assert row["scheduled_cleanup_at"] == "2026-11-25T12:00:00Z"
    assert row["effective_cleanup_at"] == "2026-11-26T02:00:00Z"
    assert described(domain, {"persistence": TEMPORARY}, None, None, ALL, NOON)["effective_cleanup_at"] is None
    later = described(domain, {"persistence": TEMPORARY}, None, policy, ALL, NOON + 86400 + 15 * 3600)
    assert later["effective_cleanup_at"] == "2026-11-27T03:00:00Z", "never in the past"
    bare = described(domain, None, None, policy, ALL, NOON)
    assert [bare[key] for key in ("persistence", "policy", "hold", "scheduled_cleanup_at")] == [None] * 4
    assert bare["unenforced"] == []


def test_persistence_of() -> None:
    """A moment that was never seen is left out."""
    assert "last_state_change" not in persistence_of({"persistence": PERMANENT}, Record("u", "a", 1, "d"))
    assert persistence_of({"persistence": PERMANENT}, None) == PERMANENT


def test_metadata_problem() -> None:
    """Not being managed is none."""
    assert metadata_problem(Declaration("")) is None
    assert metadata_problem(Declaration("not_managed")) is None
    assert metadata_problem(Declaration("metadata_edited", "why")) == {"reason": "metadata_edited", "message": "why"}


def test_volumes() -> None:
    """As results show them."""
    kept = VolumeVerdict("/p/a", False, "in_use", "p", "a", "vda", ("b", "c"))
    assert volumes([kept]) == [
        {"pool": "p", "name": "a", "path": "/p/a", "target": "vda", "decision": "kept", "reason": "in_use", "used_by": ["b", "c"]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00Z"),
        (1795608000.9, "2026-11-25T12:00:00Z"),
        (221845392000, "9000-01-01T00:00:00Z"),
    ],
)
def test_iso(epoch: Optional[float], text: Optional[str]) -> None:
    """Whole seconds, in UTC."""
    assert iso(epoch) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("busy", "m"), "m [busy]"),
        (Problem("busy", "m", "a"), "a: m [busy]"),
        (Problem("busy", "m", "", "f"), "f: m [busy]"),
        (Problem("busy", "m", "a", "f"), "a: f: m [busy]"),
    ],
)
def test_problems_name_vm_field_and_rule(problem: Problem, text: str) -> None:
    """And the call says that nothing was changed."""
    assert str(problem) == text
    assert str(LifecycleError([problem, problem])) == f"{text}; {text}. Nothing was changed."


def test_errors() -> None:
    """Codes survive."""
    assert refuse("busy", "m", "a", "f").problems == [Problem("busy", "m", "a", "f")]
    assert (EffectError("busy", "m").code, str(EffectError("busy", "m"))) == ("busy", "m")
    assert DomainGone("u").code == "effect_failed"
    assert DomainGone("u").message == "no domain has the UUID u"
    assert DomainGone("u", "else").message == "else"
