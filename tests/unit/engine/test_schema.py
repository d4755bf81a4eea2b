"""Documents are judged in sentences that name the field and the rule."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Dict, List

import pytest
from vm_lifecycle import schema
from vm_lifecycle._generated.defaults import ADDITIONAL, DEFAULTS
from vm_lifecycle._generated.schemas import SCHEMAS
from vm_lifecycle.agent import cli
from vm_lifecycle.schema import Violation, violations, with_defaults

TEMPORARY: Dict[str, Any] = {"mode": "temporary", "ttl_hours": 4, "created_at_unix": 1700000000}
METADATA: Dict[str, Any] = {"version": 1, "vm_id": "0b0e1f6c", "revision": 1, "persistence": TEMPORARY}


def found(name: str, document: Dict[str, Any]) -> List[Any]:
    return [(each.field, each.rule) for each in violations(name, document)]


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("VmPersistence", TEMPORARY),
        ("VmPersistence", {**TEMPORARY, "scheduled_cleanup": 1, "last_state_change": 2}),
        ("VmPersistenceInput", {}),
        ("VmPersistenceInput", TEMPORARY),
        ("VmLifecyclePolicy", {}),
        ("VmCleanupPolicy", {"require_synchronised_clock": True, "retention_days": 0}),
        ("VmHold", {"since_unix": 1}),
        ("VmMetadata", {**METADATA, "policy": {}, "autostart": {"vm_name": "a"}, "hold": {"since_unix": 1}}),
        ("VmStateSnapshot", {
            "vm_name": "a", "snapshot_time": "t", "vm_state": "running", "cpu_usage_percent": 1, "memory_usage_mb": 1,
            "disk_usage_gb": 1, "ip_addresses": [], "mac_addresses": ["a"], "uptime_seconds": 0, "restart_count": 0,
        }),
    ],
)  # fmt: skip
def test_valid(name: str, document: Dict[str, Any]) -> None:
    assert violations(name, document) == []


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("VmPersistenceInput", {"ttl_hours": "24h"}, Violation("ttl_hours", 'must be an integer, got "24h"', "24h")),
        ("VmPersistenceInput", {"ttl_hours": 24.0}, Violation("ttl_hours", "must be an integer, got 24.0", 24.0)),
        ("VmPersistenceInput", {"ttl_hours": True}, Violation("ttl_hours", "must be an integer, got true", True)),
        ("VmPersistenceInput", {"max_retries": 2**63},
         Violation("max_retries", "must be an integer of 64 bits, got 9223372036854775808", 2**63)),
        ("VmPersistenceInput", {"auto_start": "yes"}, Violation("auto_start", 'must be true or false, got "yes"', "yes")),
        ("VmPersistenceInput", {"auto_start": None}, Violation("auto_start", "must be true or false, got null", None)),
        ("VmPersistenceInput", {"mode": "temp"}, Violation("mode", "must be one of: permanent, temporary", "temp")),
        ("VmPersistenceInput", {"mode": 3}, Violation("mode", "must be one of: permanent, temporary", 3)),
        ("VmPersistenceInput", {"scheduled_cleanup": 1}, Violation("scheduled_cleanup", "unknown option", 1)),
        ("VmPersistence", {}, Violation("created_at_unix", "is required", None)),
        ("VmPersistenceInput", {"ttl_hours": 0}, Violation("ttl_hours", "TTL must be 1-8760 hours (1 year max)", 0)),
        ("VmPersistenceInput", {"mode": "temporary", "auto_start": True, "ttl_hours": 2},
         Violation("auto_start, mode", "Temporary VMs cannot have auto_start enabled",
                   {"auto_start": True, "mode": "temporary"})),
        ("VmLifecyclePolicy", {"on_host_shutdown": "save-state", "on_host_reboot": "destroy"},
         Violation("on_host_shutdown, on_host_reboot", "Cannot save-state on shutdown if VM is destroyed on reboot",
                   {"on_host_shutdown": "save-state", "on_host_reboot": "destroy"})),
        ("VmAutoStartConfig", {"vm_name": "a", "depends_on": ["b", 3]},
         Violation("depends_on.1", "must be a string, got 3", 3)),
        ("VmAutoStartConfig", {"vm_name": "a", "depends_on": "b"}, Violation("depends_on", 'must be a list, got "b"', "b")),
        ("VmCleanupPolicy", {"require_synchronised_clock": 1},
         Violation("require_synchronised_clock", "must be true or false, got 1", 1)),
        ("VmMetadata", {**METADATA, "version": 2}, Violation("version", "must be one of: 1", 2)),
        ("VmMetadata", {**METADATA, "version": True}, Violation("version", "must be one of: 1", True)),
        ("VmMetadata", {**METADATA, "revision": 0}, Violation("revision", "Revision must be at least 1", 0)),
        ("VmMetadata", {**METADATA, "persistence": {"created_at_unix": 1, "ttl_hours": 9000}},
         Violation("persistence.ttl_hours", "TTL must be 1-8760 hours (1 year max)", 9000)),
        ("VmMetadata", {**METADATA, "persistence": []}, Violation("persistence", "must be a dictionary, got []", [])),
        ("VmMetadata", {**METADATA, "hold": {}}, Violation("hold.since_unix", "is required", None)),
    ],
)  # fmt: skip
def test_one_violation(name: str, document: Dict[str, Any], expected: Violation) -> None:
    assert violations(name, document) == [expected]


def test_a_document_that_is_no_dictionary() -> None:
    assert violations("VmHold", [1]) == [Violation("", "must be a dictionary, got [1]", [1])]  # type: ignore[arg-type]


def test_fields_come_in_the_order_of_the_schema_then_unknown_ones_then_checks() -> None:
    document = {"zeta": 1, "alpha": 2, "cleanup_grace_period": 301, "ttl_hours": 0, "max_retries": "a", "mode": "b"}
    expected = [
        ("mode", "must be one of: permanent, temporary"),
        ("max_retries", 'must be an integer, got "a"'),
        ("alpha", "unknown option"),
        ("zeta", "unknown option"),
        ("ttl_hours", "TTL must be 1-8760 hours (1 year max)"),
        ("cleanup_grace_period", "Grace period must be 0-300 seconds"),
    ]
    assert found("VmPersistenceInput", document) == expected
    assert found("VmPersistenceInput", dict(reversed(list(document.items())))) == expected


def test_a_check_on_a_field_of_the_wrong_type_is_left_out() -> None:
    assert found("VmPersistenceInput", {"mode": "temporary", "auto_start": "maybe"}) == [
        ("auto_start", 'must be true or false, got "maybe"')
    ]


def test_added_options_are_judged_after_the_own_ones() -> None:
    document = {"require_synchronised_clock": 0, "retention_days": -1, "other": 1}
    assert found("VmCleanupPolicy", document) == [
        ("other", "unknown option"),
        ("retention_days", "Retention days cannot be negative"),
        ("require_synchronised_clock", "must be true or false, got 0"),
    ]


def test_long_values_are_cut() -> None:
    (only,) = violations("VmHold", {"since_unix": "x" * 500})
    assert len(only.rule) < 130
    assert only.value == "x" * 500


def test_with_defaults() -> None:
    given = {"retention_days": 1}
    filled = with_defaults("VmCleanupPolicy", given)
    assert filled == {**DEFAULTS["VmCleanupPolicy"], **DEFAULTS["VmCleanupPolicyAdditional"], "retention_days": 1}
    assert given == {"retention_days": 1}
    assert violations("VmCleanupPolicy", filled) == []
    with_defaults("VmAutoStartConfig", {"vm_name": "a"})["depends_on"].append("b")
    assert DEFAULTS["VmAutoStartConfig"]["depends_on"] == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_defaults_are_valid_by_themselves(name: str) -> None:
    assert [rule for _field, rule in found(name, DEFAULTS[name]) if rule != "is required"] in ([], ["VM name required"])


def test_additional_schemas_exist() -> None:
    assert ADDITIONAL["VmCleanupPolicy"] == "VmCleanupPolicyAdditional"
    assert set(ADDITIONAL) | set(ADDITIONAL.values()) <= set(SCHEMAS)


def test_an_unknown_schema() -> None:
    with pytest.raises(KeyError):
        violations("VmUnknown", {})


def test_a_host_without_jsonschema_is_told_so() -> None:
    program = (
        "import sys\n"
        "sys.modules['jsonschema'] = None\n"
        "from vm_lifecycle import schema\n"
        "from vm_lifecycle.agent import cli\n"
        "for ask in (cli.require_jsonschema, lambda: schema.violations('VmHold', {})):\n"
        "    try:\n"
        "        ask()\n"
        "    except schema.MissingJsonschemaError as error:\n"
        "        print(error)\n"
    )
    path = schema.__file__.rsplit("/", 2)[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=path, check=True, stdout=subprocess.PIPE)
    assert (
        done.stdout.decode().splitlines()
        == ["The Python package jsonschema (python3-jsonschema, 3.2.0 or later) is missing."] * 2
    )
    cli.require_jsonschema()


def test_validators_are_compiled_once() -> None:
    violations("VmMetadata", METADATA)
    before = schema._validator.cache_info()
    for revision in range(500):
        assert violations("VmMetadata", {**METADATA, "revision": 1000 + revision}) == []
    after = schema._validator.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, 500)


def test_valid_documents_make_room_for_later_ones() -> None:
    schema._accepted.clear()
    for number in range(1, schema._REMEMBERED + 3):
        assert violations("VmMetadata", {**METADATA, "revision": number}) == []
    assert len(schema._accepted) == 2


def test_a_valid_document_is_judged_once_and_its_neighbour_for_itself() -> None:
    document = {**METADATA, "revision": 77}
    schema._accepted.clear()
    assert violations("VmMetadata", document) == []
    before = schema._validator.cache_info()
    assert violations("VmMetadata", dict(document)) == []
    assert schema._validator.cache_info() == before
    assert [found.field for found in violations("VmMetadata", {**document, "revision": True})] == ["revision"]
    assert [found.field for found in violations("VmMetadata", {**document, "revision": 77.0})] == ["revision"]
