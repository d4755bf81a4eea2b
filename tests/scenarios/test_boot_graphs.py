"""Random hosts of up to 200 VMs boot in virtual time: the order is kept, and it takes no longer than it has to."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.fakes.build import build
from tests.fakes.world import Machine

from .player import call

Vm = dict[str, Any]
BOOT: dict[str, Any] = {"task": "boot"}


def host(seed: int, count: int, failures: bool) -> list[Vm]:
    """VMs in some orders, each depending on earlier ones of the same or a lower order; some don't come up."""
    dice = random.Random(seed)
    orders = sorted(dice.randrange(dice.choice([1, 4, 12])) * 10 for _number in range(count))
    vms: list[Vm] = []
    for number, order in enumerate(orders):
        earlier = [vm["name"] for vm in vms if dice.random() < 0.5][-dice.randrange(5) :]
        place = {
            "vm_name": f"vm{number}",
            "start_order": order,
            "start_delay_seconds": dice.choice([0, 0, 0, 7]),
            "wait_for_ssh": dice.random() < 0.5,
            "ssh_timeout_seconds": 30,
            "on_start_failure": dice.choice(["stop", "retry", "ignore"]),
            "max_start_retries": 2,
            "depends_on": earlier if dice.random() < 0.6 else [],
        }
        broken = failures and dice.random() < 0.2
        vms.append(
            {
                "name": f"vm{number}", "state": "shutoff", "declared": {"mode": "permanent", "autostart": place},
                "start_seconds": dice.choice([0.5, 1.0, 2.5]),
                "ssh_after": None if broken and dice.random() < 0.5 else dice.choice([0.5, 3.0, 20.0]),
                "start_fails": 9 if broken and dice.random() < 0.5 else 0,
            }
        )  # fmt: skip
    return vms


def booted(vms: list[Vm], cap: int) -> tuple[dict[str, Vm], dict[str, Vm]]:
    """The VMs' places and their rows after a boot, by name."""
    machine = Machine(
        build({"domains": vms, "features": ["boot"], "configuration": {"boot": {"max_concurrent_starts": cap}}})
    )
    outcome = call(machine, BOOT)
    return {vm["name"]: vm["declared"]["autostart"] for vm in vms}, {row["name"]: row for row in outcome["vms"]}


def came_up(row: Vm) -> bool:
    """Whether a VM was ready."""
    return bool(row["start"]["outcome"] == "ready")


@pytest.mark.parametrize("seed", range(12))
def test_order_is_kept(seed: int) -> None:
    """Lower orders are done first, dependencies ready, delays kept, and nothing follows one that was stopped."""
    places, rows = booted(host(seed, 200, failures=True), cap=[1, 3, 1000][seed % 3])
    assert len(rows) == 200
    for name, place in places.items():
        start = rows[name]["start"]
        if start["outcome"] == "skipped":
            bad = [places[other]["on_start_failure"] for other in place["depends_on"] if not came_up(rows[other])]
            assert bad, f"{name} was skipped, and all that it depends on came up"
            continue
        for other, above in places.items():
            if above["start_order"] < place["start_order"]:
                assert rows[other]["start"]["ended_seconds"] <= start["turn_seconds"], (
                    f"{name} did not wait for {other}"
                )
        for other in place["depends_on"]:
            ended, ignored = rows[other]["start"], places[other]["on_start_failure"] == "ignore"
            assert came_up(rows[other]) or (ignored and ended["outcome"] == "failed"), f"{name} follows {other}"
            assert ended["ended_seconds"] <= start["turn_seconds"]
        if came_up(rows[name]):
            assert start["started_seconds"] >= start["turn_seconds"] + place["start_delay_seconds"]


def longest_way(vms: list[Vm]) -> float:
    """Seconds until the last VM is ready, when nothing fails and nobody has to queue; by definition, not by a graph."""
    ready: dict[str, float] = {}
    done: dict[int, float] = {}
    for vm in vms:  # dependencies and lower orders come earlier in the list
        place = vm["declared"]["autostart"]
        barrier = max((moment for order, moment in done.items() if order < place["start_order"]), default=0.0)
        begin = max([barrier, *(ready[name] for name in place["depends_on"])])
        ready[vm["name"]] = (
            begin + place["start_delay_seconds"] + vm["start_seconds"] + vm["ssh_after"] * place["wait_for_ssh"]
        )
        done[place["start_order"]] = max(done.get(place["start_order"], 0.0), ready[vm["name"]])
    return max(done.values())


@pytest.mark.parametrize("seed", range(12))
def test_takes_no_longer_than_the_critical_path(seed: int) -> None:
    """With room for all, the last VM is ready exactly when the longest way through the order ends."""
    vms = host(seed, 60 if seed % 2 else 200, failures=False)
    _places, rows = booted(vms, cap=1000)
    assert all(came_up(row) for row in rows.values())
    assert max(row["start"]["ended_seconds"] for row in rows.values()) == pytest.approx(longest_way(vms))
