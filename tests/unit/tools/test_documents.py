"""The JSON Schema documents of the seven schemas and of what the project adds."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jsonschema
import pytest

from tools.kcl_compiler.documents import documents, stripped
from tools.kcl_compiler.outputs import read_package

ROOT = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = read_package(str(ROOT))
DOCUMENTS = documents(PACKAGE)
SEED = {  # attributes, required ones, and the messages of the checks in their order
    "VmPersistence": (
        11, ["created_at_unix"],
        ["TTL must be 1-8760 hours (1 year max)", "Temporary VMs cannot have auto_start enabled",
         "force_cleanup requires auto_cleanup enabled", "Grace period must be 0-300 seconds"],
    ),
    "VmLifecyclePolicy": (7, [], ["Cannot save-state on shutdown if VM is destroyed on reboot"]),
    "VmCleanupSchedule": (
        10, ["vm_name", "vm_id", "created_at", "scheduled_cleanup_at", "ttl_hours"],
        ["VM name required", "VM ID required", "TTL must be positive", "Cleanup attempts cannot be negative"],
    ),
    "VmRecoveryState": (
        8, ["vm_name", "vm_id", "state_before_shutdown", "creation_timestamp", "last_checkpoint", "config_snapshot"],
        ["VM name required", "Invalid shutdown state"],
    ),
    "VmAutoStartConfig": (
        9, ["vm_name"],
        ["VM name required", "Start order must be non-negative", "Delay must be non-negative",
         "SSH timeout must be positive", "Max retries must be positive", "Invalid start failure policy"],
    ),
    "VmCleanupPolicy": (
        13, [],
        ["Check interval must be 1-1440 minutes (1 day max)", "Must allow at least 1 concurrent cleanup",
         "Batch size must be positive", "Retention days cannot be negative"],
    ),
    "VmStateSnapshot": (
        10, ["vm_name", "snapshot_time", "vm_state", "cpu_usage_percent", "memory_usage_mb", "disk_usage_gb",
             "ip_addresses", "mac_addresses", "uptime_seconds", "restart_count"],
        ["VM name required", "CPU usage must be 0-100%", "Memory usage cannot be negative",
         "Disk usage cannot be negative", "Uptime cannot be negative", "Restart count cannot be negative"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEED)
def test_golden(name: str) -> None:
    count, required, messages = SEED[name]
    document = DOCUMENTS[name]
    assert json.loads((ROOT / "schemas" / "json" / f"{name}.schema.json").read_text()) == document
    assert len(document["properties"]) == count
    assert document.get("required", []) == required
    assert [entry["x-kcl-message"] for entry in document["allOf"]] == messages
    assert document["additionalProperties"] is False


def test_the_seed_has_68_attributes_and_27_checks() -> None:
    assert sum(row[0] for row in SEED.values()) == 68
    assert sum(len(row[2]) for row in SEED.values()) == 27


def test_a_check_says_where_it_comes_from() -> None:
    lines = (ROOT / "schemas" / "vm_lifecycle.k").read_text().split("\n")
    entry = DOCUMENTS["VmPersistence"]["allOf"][1]
    place, text = entry["$comment"].split(": ", 1)
    file, line = place.split(":")
    assert file == "schemas/vm_lifecycle.k"
    assert lines[int(line) - 1].strip() == f'{text}, "{entry["x-kcl-message"]}"'
    assert entry["anyOf"] == [
        {"properties": {"auto_start": {"const": False}}},
        {"properties": {"mode": {"not": {"const": "temporary"}}}},
    ]


def test_what_the_project_adds() -> None:
    assert sorted(set(DOCUMENTS) - set(SEED)) == [
        "VmBootPolicy",
        "VmCleanupPolicyAdditional",
        "VmHold",
        "VmLibvirtActions",
        "VmLifecyclePolicyAdditional",
        "VmLimits",
        "VmMetadata",
        "VmPersistenceInput",
        "VmPressurePolicy",
        "VmSnapshotPolicy",
    ]
    variant = DOCUMENTS["VmPersistenceInput"]
    recorded = {"scheduled_cleanup", "last_state_change"}
    assert set(variant["properties"]) == set(DOCUMENTS["VmPersistence"]["properties"]) - recorded
    assert "required" not in variant
    assert variant["allOf"] == DOCUMENTS["VmPersistence"]["allOf"]
    assert DOCUMENTS["VmMetadata"]["required"] == ["version", "vm_id", "revision", "persistence"]
    assert DOCUMENTS["VmMetadata"]["properties"]["version"]["enum"] == [1]
    assert sorted(DOCUMENTS["VmMetadata"]["definitions"]) == [
        "VmAutoStartConfig", "VmHold", "VmLibvirtActions", "VmLifecyclePolicy", "VmLifecyclePolicyAdditional", "VmLimits",
        "VmPersistence",
    ]  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_a_draft_7_schema_with_descriptions(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(DOCUMENTS[name])
    for attribute in DOCUMENTS[name]["properties"].values():
        assert attribute["description"].endswith((".", ")"))
    assert len(DOCUMENTS[name]["description"]) > 10


def keys(node: Any) -> set[str]:
    if isinstance(node, dict):
        return set(node).union(*(keys(value) for value in node.values()))
    return set().union(*(keys(value) for value in node)) if isinstance(node, list) else set()


def test_what_is_shipped_keeps_messages_and_drops_text() -> None:
    assert keys(stripped(DOCUMENTS)) & {"description", "$comment", "title", "default", "x-kcl-message"} == {
        "x-kcl-message"
    }


def test_an_attribute_may_be_called_as_a_keyword() -> None:
    document = {"properties": {"description": {"type": "string", "description": "Text.", "default": ""}}}
    assert stripped(document) == {"properties": {"description": {"type": "string"}}}
