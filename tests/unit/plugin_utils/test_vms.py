"""VMs as hosts of an inventory: groups, names and addresses."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plugin_utils.vms import Choices, address, called, groups, hosts_of, problems, safe, trimmed

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def vm(name: str = "web1", mode: str = "permanent", **more: Any) -> dict[str, Any]:
    """A VM as it is kept; hours: until it expires."""
    hours = more.pop("hours", None)
    deadline = None if hours is None else (NOW + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    nothing = (
        "metadata_problem",
        "policy",
        "autostart",
        "hold",
        "effective_cleanup_at",
        "schedule",
        "start",
        "restart",
    )
    declared = {"mode": mode} if mode in ("permanent", "temporary") else None
    return {
        **dict.fromkeys(nothing), "name": name, "uuid": f"uuid-of-{name}", "power_state": "running", "managed": bool(declared),
        "persistence": declared, "scheduled_cleanup_at": deadline, "addresses": [], **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (vm(), "vm_permanent vm_running"),
        (vm(mode="none"), "vm_unmanaged vm_running"),
        (vm(mode="none", metadata_problem={"reason": "metadata_cloned"}), "vm_invalid vm_running"),
        (vm(mode="temporary", hours=30), "vm_temporary vm_running"),
        (vm(mode="temporary", hours=24), "vm_temporary vm_running vm_expires_within_24h"),
        (
            vm(mode="temporary", hours=0),
            "vm_temporary vm_running vm_expired vm_expires_within_1h vm_expires_within_24h",
        ),
        (vm(hold={"hold": "deletion"}, power_state="shutoff"), "vm_permanent vm_shutoff vm_held"),
        (vm(schedule={"cleanup_error": "busy"}), "vm_permanent vm_running vm_failed"),
        (vm(start={"outcome": "skipped"}), "vm_permanent vm_running vm_failed"),
        (vm(restart={"state": "gave_up"}), "vm_permanent vm_running vm_failed"),
        (vm(start={"outcome": "ready"}, restart={"state": "up"}, schedule={}), "vm_permanent vm_running"),
    ],
)
def test_groups(seen: dict[str, Any], expected: str) -> None:
    assert groups(seen, "kvm1", NOW, (1, 24)) == ("vms", "vm_on_kvm1", *expected.split())


def test_problems_are_named() -> None:
    seen = vm(schedule={"cleanup_error": "busy"}, start={"outcome": "failed"}, restart={"state": "gave_up"})
    assert problems(seen) == ["failed", "start_failed", "gave_up"]


def test_what_is_kept_of_an_answer() -> None:
    row = {**vm(), "snapshot": {"ip_addresses": ["10.0.0.1"]}, "start": {"outcome": "ready"}, "limits": {"x": 1}}
    kept = trimmed({"host": "kvm1", "asked_at": "then", "info": {"vms": [row], "history": {}}})
    assert kept["host"] == "kvm1" and kept["asked_at"] == "then"
    assert kept["vms"][0]["addresses"] == ["10.0.0.1"]
    assert "limits" not in kept["vms"][0] and "snapshot" not in kept["vms"][0]


@pytest.mark.parametrize(
    ("given", "networks", "taken", "expected"),
    [
        (["10.0.0.7"], [], [], "10.0.0.7"),
        (["2001:db8::7", "10.0.0.7"], [], [], "10.0.0.7"),
        (["2001:db8::7"], [], [], "2001:db8::7"),
        (["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "0.0.0.0", "nonsense", ""], [], [], None),
        (["192.168.122.7", "10.0.0.7"], ["10.0.0.0/8"], [], "10.0.0.7"),
        (["192.168.122.7"], ["10.0.0.0/8", "2001:db8::/32"], [], None),
        (["10.0.0.1", "10.0.0.7"], [], ["10.0.0.1"], "10.0.0.7"),
    ],
)
def test_address(given: list[str], networks: list[str], taken: list[str], expected: str | None) -> None:
    assert address(given, [ipaddress.ip_network(text) for text in networks], taken) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-1.example", "web-1.example"),
        ("a:b,c!d[1:3]", "a_b_c_d_1_3_"),
        ("--x", "x"),
        ("{{ 1 }}", "_1_"),
        ("büro", "büro"),
        ("a\nb", "a_b"),
    ],
)
def test_a_name_has_no_meaning_in_a_pattern(name: str, expected: str) -> None:
    assert safe(name) == expected


@pytest.mark.parametrize(
    ("name", "hostname", "taken", "expected", "noted"),
    [
        ("web1", "name", [], "web1", False),
        ("web1", "qualified", [], "web1.kvm1", False),
        ("web1", "uuid", [], "uuid-of-web1", False),
        ("web1", "name", ["web1"], "web1.kvm1", True),
        ("web1", "name", ["web1", "web1.kvm1"], "uuid-of-web1", True),
        ("web1", "qualified", ["web1.kvm1"], "uuid-of-web1", True),
        ("10.0.0.1", "name", [], "10.0.0.1.kvm1", True),
        ("--", "name", [], "uuid-of---", True),
    ],
)
def test_what_a_vm_is_called(name: str, hostname: str, taken: list[str], expected: str, noted: bool) -> None:
    found, note = called(vm(name), "kvm1", Choices(hostname=hostname), taken)
    assert found == expected
    assert bool(note) == noted


def answer(host: str, *vms: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "asked_at": "2026-11-26T12:00:00Z", "vms": list(vms)}


def test_names_are_those_of_one_vm_each() -> None:
    found = [
        answer("kvm1", vm("web1"), vm("a b"), vm("a_b"), vm("kvm2"), vm("localhost")),
        answer("kvm2", vm("web1"), vm("ours")),
    ]
    made = hosts_of(found, NOW, Choices(), ["ours"], [])
    names = [each.hostname for each in made]
    assert names == ["web1.kvm1", "a_b.kvm1", "uuid-of-a_b", "kvm2.kvm1", "localhost.kvm1", "web1.kvm2", "ours.kvm2"]
    assert all(each.note for each in made)


def test_an_address_that_several_claim_is_nobodys() -> None:
    """Nor is one of a host that is known already; behind two hosts there may be the same network."""
    there = {"addresses": ["192.168.122.9"]}
    found = [
        answer(
            "kvm1",
            vm("a", **there),
            vm("b", addresses=["192.168.122.9", "192.168.122.10"]),
            vm("c", addresses=["10.0.0.1"]),
        ),
        answer("kvm2", vm("d", **there)),
    ]
    made = hosts_of(found, NOW, Choices(), [], ["10.0.0.1"])
    assert {each.hostname: each.variables.get("ansible_host") for each in made} == {
        "a": None, "b": "192.168.122.10", "c": None, "d": "192.168.122.9",
    }  # fmt: skip


def test_only_what_is_managed() -> None:
    found = [answer("kvm1", vm("a"), vm("b", mode="none"))]
    assert [each.hostname for each in hosts_of(found, NOW, Choices(managed_only=True), [], [])] == ["a"]
