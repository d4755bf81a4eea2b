"""VMs that share a disk and are removed by several runs at once: each sees that the other goes, and nobody leaves the disk to it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.fakes.build import build, uuid_of
from tests.fakes.manager import act
from tests.fakes.world import Machine

from .player import call, interrupted, interrupted_beside

HOUR = 3600
SHARED = {"path": "/pool/shared.qcow2", "target": "vdb"}
WHOLE: dict[str, Any] = {}
NAMED = tuple({"name": name} for name in ("a", "b", "c"))
#: VM -> what it uses beside a disk of its own.
HOSTS: dict[str, dict[str, list[Any]]] = {
    "two": {"a": [SHARED], "b": [SHARED]},
    "three": {"a": [SHARED], "b": [SHARED], "c": [SHARED]},
    "chain": {"a": [SHARED], "b": [SHARED, {"path": "/pool/further.qcow2", "target": "vdc"}],
              "c": [{"path": "/pool/further.qcow2", "target": "vdc"}]},
    "circle": {"a": ["/pool/on-b.qcow2"], "b": ["/pool/on-a.qcow2"]},
}  # fmt: skip
FILES = {"/pool/on-a.qcow2": {"backing": "/pool/a.qcow2"}, "/pool/on-b.qcow2": {"backing": "/pool/b.qcow2"}}
SEEN: Counter[str] = Counter()


def host(kind: str, undo_hours: int = 0) -> Machine:
    """VMs whose time is over."""
    domains = [
        {
            "name": name,
            "declared": {"mode": "temporary", "ttl_hours": 4},
            "files": [f"/pool/{name}.qcow2", *({"target": "vdb", **(f if isinstance(f, dict) else {"path": f})} for f in more)],
            "obeys_after": 3.0,
        }
        for name, more in HOSTS[kind].items()
    ]  # fmt: skip
    files = FILES if kind == "circle" else {}
    cleanup = {"cleanup_in_window_only": False, "undo_hours": undo_hours}
    return Machine(build({"files": files, "domains": domains, "configuration": {"cleanup": cleanup}}))


def clean_up(machine: Machine, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call of vm_cleanup."""
    result = call(machine, {"task": "vm_cleanup", "arguments": {"missing": "skip", **arguments}})
    SEEN.update(row["reason"] for row in result.get("vms", ()))
    return result


def settle(machine: Machine) -> None:
    """Sweeps of the whole host, until the last one had nothing to do."""
    for _number in range(8):
        machine.advance(7 * HOUR)
        clean_up(machine, WHOLE)
    assert not machine.store["intents"]
    assert not machine.store["undo"]


def nothing_is_left(machine: Machine) -> None:
    """All VMs are gone, and with them their disks.

    Of two VMs that each have an image built on a disk of the other's one goes first, and its disk is a template by then.
    """
    settle(machine)
    assert [domain["name"] for domain in machine.state["domains"]] == []
    templates = {file["backing"] for file in FILES.values()}
    assert sorted(machine.state["files"]) == [] or (
        len(machine.state["files"]) == 1 and machine.state["files"].keys() <= templates
    )


def meanwhile(machine: Machine, at: int, deed: Any) -> list[int]:
    """Do something after an effect of the next call; how often that was."""
    begun, done = len(machine.effects), []

    def after(there: Machine, number: int) -> None:
        if not done and number - begun == at:
            done.append(number)
            deed(there)

    machine.after_effect = after
    return done


def at_every_effect(prepare: Callable[[], Machine], outer: dict[str, Any], deed: Any) -> None:
    """One call on a new host each time, with the deed after its first effect, its second one and so on: nothing is left."""
    for at in itertools.count(1):
        machine = prepare()
        done = meanwhile(machine, at, deed)
        clean_up(machine, outer)
        machine.after_effect = None
        if not done:
            break
        nothing_is_left(machine)


def removed(kind: str) -> Machine:
    """All were removed for an undo, whose time is over."""
    machine = host(kind, undo_hours=20)
    for _number in HOSTS[kind]:
        clean_up(machine, WHOLE)
    machine.advance(21 * HOUR)
    return machine


def one_removed(name: dict[str, Any]) -> Machine:
    """One of two was removed for an undo; the other goes for good."""
    machine = host("two", undo_hours=20)
    clean_up(machine, name)
    machine.state["configuration"]["cleanup"]["undo_hours"] = 0
    return machine


@pytest.mark.parametrize("undo_hours", [0, 20])
@pytest.mark.parametrize("kind", list(HOSTS))
def test_another_sweep_between_two_effects(kind: str, undo_hours: int) -> None:
    """At every effect of every sweep, every other one."""
    SEEN.clear()
    for outer, inner in itertools.product([WHOLE, *NAMED], repeat=2):
        at_every_effect(partial(host, kind, undo_hours), outer, lambda there, inner=inner: clean_up(there, inner))
    if undo_hours == 0 and kind == "two":
        assert SEEN["busy"] and SEEN["changed_meanwhile"]


@pytest.mark.parametrize("kind", ["two", "three", "circle"])
@pytest.mark.parametrize("after", range(1, 9))
def test_another_sweep_that_is_killed_between_two_effects(kind: str, after: int) -> None:
    """What it had begun is put away or finished by the next one, and leaves no disk either."""
    for outer, inner in itertools.product([WHOLE, *NAMED[:2]], repeat=2):
        step = {"task": "vm_cleanup", "arguments": inner}
        at_every_effect(partial(host, kind), outer, lambda there, step=step: interrupted_beside(there, step, after))


@pytest.mark.parametrize("kind", ["two", "three", "chain"])
def test_purges_at_the_same_time(kind: str) -> None:
    """Disks of removed VMs that go before their time: by name in one run, others by name or by a sweep in another."""
    purges = [{"state": "purged", **named} for named in NAMED[: len(HOSTS[kind])]]
    for outer, inner in itertools.product(purges, [*purges, WHOLE]):
        at_every_effect(partial(removed, kind), outer, lambda there, inner=inner: clean_up(there, inner))


def test_a_purge_and_a_removal_at_the_same_time() -> None:
    """The one leaves the disk to the VM that is there, that one to the removed VM whose disks go."""
    for first, outer_purges in itertools.product([0, 1], [True, False]):
        other = 1 - first
        calls: list[dict[str, Any]] = [{"state": "purged", **NAMED[first]}, NAMED[other]]
        outer, inner = calls if outer_purges else calls[::-1]
        at_every_effect(partial(one_removed, NAMED[first]), outer, lambda there, inner=inner: clean_up(there, inner))


def test_a_removal_that_was_killed_before_it_was_armed_says_nothing() -> None:
    """Its record is there until a sweep of the whole host; a VM that is named goes all the same, and leaves it the disk."""
    machine = host("two")
    interrupted(machine, {"task": "vm_cleanup", "arguments": NAMED[1]}, 3, "kill")
    assert machine.store["intents"][uuid_of(2)]["armed"] is False
    assert [(row["name"], row["decision"]) for row in clean_up(machine, NAMED[0])["vms"]] == [("a", "removed")]
    assert "/pool/shared.qcow2" in machine.state["files"]
    nothing_is_left(machine)


def test_a_disk_stays_for_a_vm_that_stays() -> None:
    """Others go at the same time; one that uses the disk and was held is reason enough."""
    machine = host("three")
    call(machine, {"task": "vm_persistence", "arguments": {"name": "c", "state": "held"}})
    done = meanwhile(machine, 5, lambda there: clean_up(there, WHOLE))
    clean_up(machine, NAMED[1])
    machine.after_effect = None
    assert done
    settle(machine)
    assert [domain["name"] for domain in machine.state["domains"]] == ["c"]
    assert sorted(machine.state["files"]) == ["/pool/c.qcow2", "/pool/shared.qcow2"]


def test_a_purge_leaves_a_disk_whose_user_a_person_undefined() -> None:
    """It was never ours to remove, and the purge does not wait for anything."""
    machine = host("two", undo_hours=20)
    clean_up(machine, NAMED[0])
    act(machine, {"do": "undefine", "vm": "b"})
    result = clean_up(machine, {"state": "purged", **NAMED[0]})
    assert [(row["decision"], row["reason"]) for row in result["vms"]] == [("removed", "purged")]
    assert sorted(machine.state["files"]) == ["/pool/b.qcow2", "/pool/shared.qcow2"]
