"""Which VMs a call speaks of, and the contradictions in it."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from vm_lifecycle.errors import LifecycleError
from vm_lifecycle.model import Domain
from vm_lifecycle.tasks.targets import Wish, check_uri, resolve, unknown_problems, wishes

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
DOMAINS = (Domain(A, "a", "running"), Domain(B, "b", "shutoff"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"name": "a"}, [("a", None, {})]),
        ({"uuid": A.upper()}, [(None, A, {})]),
        ({"uuid": A.replace("-", "")}, [(None, A, {})]),
        ({"name": "a", "uuid": A, "mode": "temporary"}, [("a", A, {"mode": "temporary"})]),
        ({"vms": []}, []),
        ({"vms": [{"name": "a"}, {"name": "b", "mode": "permanent"}], "mode": "temporary"},
         [("a", None, {"mode": "temporary"}), ("b", None, {"mode": "permanent"})]),
        ({"vms": [{"name": "a", "mode": None}], "mode": "temporary"}, [("a", None, {"mode": "temporary"})]),
        ({"vms": [{"name": "a", "ttl_hours": 4}], "state": "held"}, [("a", None, {"ttl_hours": 4})]),
        ({}, []),
    ],
)  # fmt: skip
def test_wishes(document: Dict[str, Any], expected: List[Tuple[Any, Any, Dict[str, Any]]]) -> None:
    """Options of the call are the default of each item; those that are not inherited are none of its business."""
    found = wishes(document, ("mode",), required=False)
    assert [(wish.name, wish.uuid, wish.options) for wish in found] == expected


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        ({}, ["no_target"]),
        ({"name": "a", "vms": []}, ["ambiguous_target"]),
        ({"uuid": A, "vms": [{"name": "b"}]}, ["ambiguous_target"]),
        ({"vms": [{}]}, ["no_target"]),
        ({"vms": [{"name": ""}]}, ["no_target"]),
        ({"vms": [{"name": "a"}, {"name": "a"}, {"name": "a"}]}, ["duplicate_vm", "duplicate_vm"]),
        ({"vms": [{"uuid": A}, {"uuid": A.upper()}]}, ["duplicate_vm"]),
        ({"uuid": "4711"}, ["invalid_option"]),
        ({"vms": [{}, {"uuid": "x"}, {"name": "a"}, {"name": "a"}]}, ["no_target", "invalid_option", "duplicate_vm"]),
        ({"name": "a", "uri": "qemu+ssh://there/system"}, ["remote_uri"]),
        ({"name": "a", "uri": "test:///default"}, ["remote_uri"]),
    ],
)
def test_wishes_refused(document: Dict[str, Any], codes: List[str]) -> None:
    """All problems together."""
    with pytest.raises(LifecycleError) as caught:
        wishes(document, (), required=True)
    assert [problem.code for problem in caught.value.problems] == codes
    assert str(caught.value).endswith("Nothing was changed.")


@pytest.mark.parametrize("uri", [None, "qemu:///system", "qemu:///session"])
def test_local_uris(uri: Any) -> None:
    """This host's own, or none said."""
    check_uri({"uri": uri})
    check_uri({})


@pytest.mark.parametrize(
    ("named", "found", "unknown", "codes"),
    [
        ([Wish("a", None, {})], [(A, "a")], [], []),
        ([Wish(None, B, {})], [(B, "b")], [], []),
        ([Wish("a", A, {})], [(A, "a")], [], []),
        ([Wish("x", None, {})], [], ["x"], []),
        ([Wish(None, "u", {})], [], ["u"], []),
        ([Wish("x", "u", {})], [], ["x"], []),
        ([Wish("b", A, {})], [(A, "a")], [], ["name_uuid_mismatch"]),
        ([Wish("x", A, {})], [(A, "a")], [], ["name_uuid_mismatch"]),
        ([Wish("a", "u", {})], [(A, "a")], [], ["name_uuid_mismatch"]),
        ([Wish("a", None, {}), Wish(None, A, {})], [(A, "a"), (A, "a")], [], ["duplicate_vm"]),
        ([Wish("gone", None, {})], [("pending", "gone")], [], []),
        ([Wish(None, "pending", {})], [("pending", "gone")], [], []),
    ],
)
def test_resolve(named: List[Wish], found: List[Tuple[str, str]], unknown: List[str], codes: List[str]) -> None:
    """Against the domains of the host, and removals that are open."""
    matched, missing, problems = resolve(named, DOMAINS, {"pending": "gone"})
    assert [(uuid, name) for _wish, uuid, name in matched] == found
    assert [wish.label for wish in missing] == unknown
    assert [problem.code for problem in problems] == codes


def test_a_domain_wins_over_an_open_removal_of_its_name() -> None:
    """The name belongs to whoever bears it now."""
    matched, _missing, _problems = resolve([Wish("a", None, {})], DOMAINS, {"pending": "a"})
    assert [uuid for _wish, uuid, _name in matched] == [A]
    matched, _missing, _problems = resolve([Wish("a", None, {})], DOMAINS)
    assert [uuid for _wish, uuid, _name in matched] == [A]


def test_unknown_problems() -> None:
    """One for each, with its label."""
    assert [str(problem) for problem in unknown_problems([Wish("x", None, {}), Wish(None, None, {})])] == [
        "x: this host has no such VM; see vm-lifecycle status, or give missing: skip to a module to go on without it [unknown_vm]",
        "?: this host has no such VM; see vm-lifecycle status, or give missing: skip to a module to go on without it [unknown_vm]",
    ]
