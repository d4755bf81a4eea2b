"""Places in the order: what a call may do to the order of its host, what a declaration becomes, and libvirt's flag."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Sequence

import pytest
from vm_lifecycle import metadata
from vm_lifecycle.actions import SetAutostart
from vm_lifecycle.boots import Place
from vm_lifecycle.chain import Chain
from vm_lifecycle.model import ClockMemory, ClockReading, Domain, Observed
from vm_lifecycle.policy.boot_order import Declared
from vm_lifecycle.policy.declaration import (
    Refusal,
    Subject,
    declare,
    displaced,
    flag,
    flag_remarks,
    order_remarks,
    placed,
)
from vm_lifecycle.policy.order_check import Order, judge
from vm_lifecycle.schema import violations, with_defaults
from vm_lifecycle.tasks.boot_plan import boot_plan
from vm_lifecycle.tasks.converge import converge

NOW = 1_800_000_000
LAST = float("inf")


def vm(name: str, order: float = 0, *depends_on: str, never: str = "") -> Declared:
    """A managed VM."""
    return Declared(Place(f"u-{name}", name, order, depends_on=depends_on), never)


def order(*vms: Declared, strangers: Sequence[str] = ()) -> Order:
    """A host."""
    return Order(tuple(vms), tuple(strangers))


SOUND = order(vm("db"), vm("web", 1, "db"), vm("app", 1, "db"))
#: web depends on nobody's VM, and x and y on each other: from before the call.
TORN = order(vm("db"), vm("web", 1, "gone"), vm("x", 0, "y"), vm("y", 0, "x"))
RING = "x: depends_on: cycle x -> y -> x [cyclic_dependency]"
GONE = "web: depends_on: this host has no VM gone [unknown_dependency]"
NEEDED = "db: web, app depend on it, which then {} [needed_by]"
CALLS = [
    # Nothing changes.
    (SOUND, SOUND, [], [], []),
    (SOUND, SOUND, ["db", "web"], [], []),
    # What was wrong before refuses only who declares that very place anew.
    (TORN, TORN, [], [], [GONE, RING]),
    (TORN, TORN, ["db"], [], [GONE, RING]),
    (TORN, TORN, ["web"], [GONE], [RING]),
    (TORN, TORN, ["y"], ["y: depends_on: cycle y -> x -> y [cyclic_dependency]"], [GONE]),
    # A VM is taken away: out of the management, out of the order, down for good. Whoever declares it or not.
    (SOUND, order(vm("web", 1, "db"), vm("app", 1, "db"), strangers=["db"]), [], [NEEDED.format("is not managed")], []),
    (SOUND, order(vm("db", LAST), vm("web", 1, "db"), vm("app", 1, "db")), ["db"],
     [NEEDED.format("has no place in the order")], []),
    (SOUND, order(vm("db", never="stays down"), vm("web", 1, "db"), vm("app", 1, "db")), [], [NEEDED.format("stays down")], []),
    # One of them lets go in the same call.
    (SOUND, order(vm("web", 1), vm("app", 1, "db"), strangers=["db"]), ["web"],
     ["db: app depends on it, which then is not managed [needed_by]"], []),
    (SOUND, order(vm("web", 1), strangers=["db", "app"]), ["web"], [], []),
    # Who declares its dependence in the same call is told of that dependence.
    (SOUND, order(vm("web", 1, "db"), strangers=["db", "app"]), ["web"],
     ["web: depends_on: db is not managed, so nothing starts it; declare it first [never_started]"], []),
    # A VM moves behind those that depend on it.
    (SOUND, order(vm("db", 2), vm("web", 1, "db"), vm("app", 3, "db")), ["db"],
     ["web: depends_on: db comes later: its start_order is 2, and that of web 1 [dependency_order]"], []),
    # A dependence that was wrong may become wrong in another way, or right.
    (TORN, order(vm("db"), vm("web", 1, "gone"), strangers=["gone"]), [], [],
     ["web: depends_on: gone is not managed, so nothing starts it; declare it first [never_started]"]),
    (TORN, order(vm("db"), vm("web", 1, "gone"), vm("gone")), ["gone"], [], []),
    # A declaration that comes back from the store, with what it depended on gone meanwhile, is no fault of the call.
    (order(vm("db")), order(vm("db"), vm("web", 1, "gone")), [], [], [GONE]),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "declared", "refused", "stays"), CALLS)
def test_judge(before: Order, after: Order, declared: Collection[str], refused: List[str], stays: List[str]) -> None:
    """What the call causes, or leaves in VMs whose place it declares, refuses it; all else stays as it was."""
    found = judge(before, after, declared)
    assert [[str(problem) for problem in part] for part in found] == [refused, stays]


def document(**options: Any) -> Dict[str, Any]:
    """A declaration."""
    return declare(Subject("u-web", "web", None), options, None, NOW)


def subject(previous: Optional[Dict[str, Any]], autostart: bool = False) -> Subject:
    """The VM."""
    return Subject("u-web", "web", previous, autostart)


def test_placed() -> None:
    """The whole block, complete and valid, under the VM's name; all else stays."""
    before = {**document(auto_start=True), "hold": {"scope": "deletion", "reason": "", "since_unix": NOW}}
    after = placed(subject(before), {"start_order": 3, "depends_on": ["db"]}, None)
    block = after.pop("autostart")
    assert after == before
    assert violations("VmAutoStartConfig", block) == []
    assert block == with_defaults("VmAutoStartConfig", {"vm_name": "web", "start_order": 3, "depends_on": ["db"]})
    again = placed(subject({**before, "autostart": block}), {}, NOW)["autostart"]
    assert again == with_defaults("VmAutoStartConfig", {"vm_name": "web"})


def test_placed_where_nothing_was_declared() -> None:
    """The VM becomes a permanent one, for which the clock has to be believed."""
    made = placed(subject(None, autostart=True), {}, NOW)
    assert made["persistence"] == with_defaults("VmPersistence", {"created_at_unix": NOW})
    assert made["libvirt_autostart_before"] is True
    with pytest.raises(Refusal) as caught:
        placed(subject(None), {}, None)
    assert caught.value.problem.code == "insane_clock"


def test_displaced() -> None:
    """Only the place goes."""
    before = document()
    assert displaced(subject(placed(subject(before), {}, NOW))) == before
    assert displaced(subject(before)) == before


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (None, {"vm_name": "web", "start_order": 7}),
        ({}, with_defaults("VmAutoStartConfig", {"vm_name": "web"})),
        ({"state": "present", "vm_name": "web"}, with_defaults("VmAutoStartConfig", {"vm_name": "web"})),
        ({"state": "absent", "start_order": 3}, None),
    ],
)
def test_declared_with_a_place(wish: Optional[Dict[str, Any]], expected: Optional[Dict[str, Any]]) -> None:
    """Omitted, a place stays as it is."""
    before = {**document(), "autostart": {"vm_name": "web", "start_order": 7}}
    assert declare(subject(before), {}, None, NOW, wish).get("autostart") == expected


def test_a_place_names_its_vm() -> None:
    """And no other one."""
    with pytest.raises(Refusal) as caught:
        declare(subject(None), {}, None, NOW, {"vm_name": "db"})
    assert (caught.value.problem.code, caught.value.problem.field) == ("invalid_option", "autostart.vm_name")


TEMPORARY = {"mode": "temporary"}
REMARKS: List[Any] = [
    ({}, {}, {}, []),
    ({"ssh_timeout_seconds": 5}, {}, {}, []),
    ({"ssh_timeout_seconds": 5, "wait_for_ssh": False}, {}, {}, ["ssh_timeout_seconds has no effect"]),
    ({"max_start_retries": 5}, {}, {}, []),
    ({"max_start_retries": 5, "on_start_failure": "ignore"}, {}, {}, ["max_start_retries has no effect"]),
    ({"enabled": False}, {}, {}, []),
    ({"enabled": False}, {"auto_start": True}, {}, ["not enabled, which overrides auto_start"]),
    ({}, {}, {"on_host_reboot": "keep-stopped"}, ["no effect, since it is never started at boot"]),
    ({"enabled": False}, {}, {"on_host_reboot": "keep-stopped"}, []),
    ({}, TEMPORARY, {}, ["its place only orders it"]),
    ({}, TEMPORARY, {"on_host_reboot": "destroy"}, ["no effect, since it is deleted at boot"]),
    ({"enabled": False}, TEMPORARY, {}, []),
]


@pytest.mark.parametrize(("options", "persistence", "policy", "expected"), REMARKS)
def test_remarks(
    options: Dict[str, Any], persistence: Dict[str, Any], policy: Dict[str, Any], expected: List[str]
) -> None:
    """What has no effect, or another one than hoped."""
    before = declare(subject(None), persistence, policy, NOW)
    after = placed(subject(before), options, NOW)
    said = order_remarks(subject(before), options, after)
    assert len(said) == len(expected)
    assert all(text.startswith("web: ") and part in text for text, part in zip(said, expected))
    again = order_remarks(subject(after), options, after)
    assert again == [text for text in said if "only orders" not in text], "said while it is news"
    assert order_remarks(subject(before), options, before) == []


@pytest.mark.parametrize(
    ("auto_start", "boot", "value"),
    [(False, False, False), (True, False, True), (False, True, False), (True, True, False)],
)
def test_flag(auto_start: bool, boot: bool, value: bool) -> None:
    """Either libvirt starts the VM, or the boot unit."""
    assert flag(document(auto_start=auto_start), boot) is value


@pytest.mark.parametrize(
    ("was_on", "auto_start", "boot", "warned"),
    [(True, False, False, True), (True, True, False, False), (True, False, True, False), (False, False, False, False)],
)
def test_flag_remarks(was_on: bool, auto_start: bool, boot: bool, warned: bool) -> None:
    """Only when nobody starts the VM any more."""
    assert bool(flag_remarks(subject(None, was_on), document(auto_start=auto_start), boot)) is warned


@pytest.mark.parametrize(
    ("before", "auto_start", "boot", "now", "put_back"),
    [
        # As it was left, without the boot unit and with it.
        (True, False, False, False, True),
        (False, True, False, True, False),
        (True, True, True, False, True),
        (False, True, True, False, None),
        # The boot unit was enabled since, and flags were not set yet.
        (False, True, True, True, False),
        # It is what it was.
        (True, True, False, True, None),
        # Somebody else changed it since.
        (False, False, False, True, None),
        (True, True, False, False, None),
        (False, False, True, True, None),
    ],
)
def test_forgetting_puts_the_flag_back(
    before: bool, auto_start: bool, boot: bool, now: bool, put_back: Optional[bool]
) -> None:
    """Unless somebody else changed it."""
    carried = {**document(auto_start=auto_start), "libvirt_autostart_before": before, "revision": 1}
    domain = Domain("u-web", "web", "running", autostart=now, metadata=metadata.encode(carried))
    entry = converge(domain, None, "absent", {"boot": boot}, NOW, NOW)
    flags = [action.value for action in entry.actions if isinstance(action, SetAutostart)]
    assert flags == ([] if put_back is None else [put_back])


def host(*domains: Domain) -> Observed:
    """A host whose store knows nothing."""
    return Observed(
        ClockReading(float(NOW), 500.0, "boot"), ClockMemory(), tuple(domains), features=frozenset({"boot"})
    )


def domain(name: str, state: str, place: Optional[Dict[str, Any]], saved: bool = False, **options: Any) -> Domain:
    """A managed VM of a host."""
    carried = {**document(**options), "vm_id": f"u-{name}", "revision": 1}
    if place is not None:
        carried["autostart"] = {"vm_name": name, "wait_for_ssh": False, **place}
    return Domain(f"u-{name}", name, state, metadata=metadata.encode(carried), saved=saved)


def test_boot_plan() -> None:
    """Who starts and why, in the order in which they do; then who stays down."""
    observed = host(
        domain("web", "shutoff", {"start_order": 2, "depends_on": ["db"], "start_delay_seconds": 5}),
        domain("db", "shutoff", {"start_order": 1}),
        domain("up", "running", None),
        domain("kept", "shutoff", None, saved=True),
        domain("auto", "shutoff", None, auto_start=True),
        domain("ci", "shutoff", {}, mode="temporary"),
        domain("user", "running", {"depends_on": ["ci"]}),
        domain("off", "running", {"enabled": False}),
        Domain("u-x", "x", "running"),
    )
    plan = boot_plan(observed, [])
    assert plan["waves"] == [["db"], ["web"], ["auto", "kept", "up"]]
    assert plan["critical_path"] == ["db", "web", "auto"]
    assert plan["worst_case_seconds"] == 10 + 15 + 10
    rows = {row["name"]: (row["wave"], row["reason"]) for row in plan["vms"]}
    assert list(rows) == ["db", "web", "auto", "kept", "up", "ci", "off", "user"]
    assert rows == {
        "db": (1, "autostart"), "web": (2, "autostart"), "auto": (3, "auto_start"), "kept": (3, "saved_memory"),
        "up": (3, "was_running"), "ci": (None, "was_stopped"), "off": (None, "start_disabled"),
        "user": (None, "dependency_failed"),
    }  # fmt: skip
    assert [row["start"] for row in plan["vms"]] == [True] * 5 + [False] * 3
    assert [row["start_order"] for row in plan["vms"]] == [1, 2, None, None, None, 0, 0, 0]


def test_boot_plan_is_of_what_was_done() -> None:
    """Not of what was planned: a chain that stopped left the VM as it was."""
    web = domain("web", "shutoff", None)
    observed = host(web)
    wish = {"options": {"start_order": 1}, "boot": True}
    entry = converge(web, None, "placed", wish, NOW, NOW)
    assert boot_plan(observed, [Chain(entry)])["waves"] == []
    assert boot_plan(observed, [Chain(entry, done=list(entry.actions))])["waves"] == [["web"]]
