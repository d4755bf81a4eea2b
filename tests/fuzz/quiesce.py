"""The end of a story: a host in order, sweeps until nothing happens, and what must be true then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.scenarios.raw import inode, protected

from .call import scheduled
from .choices import HOUR
from .hosts import BEGINNINGS
from .story import Story

SWEEPS = 16
POLICY = {
    "cleanup_in_window_only": False,
    "skip_on_low_resources": False,
    "max_cleanup_attempts": 100,
    "retention_days": 999,
}


def quiesce(story: Story) -> None:
    """Mend the host, let everything come to its end, and look."""
    mend(story)
    judge, machine = story.judge, story.machine
    for _number in range(SWEEPS):
        machine.advance(7 * HOUR)
        first = len(machine.effects)
        story.call("vm_cleanup", {})
        _forget_lost(story)
        _try_again(story)
        if (
            not machine.store["undo"]
            and not machine.store["intents"]
            and quiet(machine.effects[first:])
            and _number > 5
        ):
            break
    else:
        judge.blame(f"it never came to rest: {machine.effects[-3:]}")
    judge.violations += findings(story)


def mend(story: Story) -> None:
    """A host without any obstacle; what can't be read is repaired, and the clock is right and synchronised."""
    state = story.machine.state
    state["claims"].clear()
    state["refuse"].clear()
    state["problems"] = []
    state["pressure"] = {}
    state["store"]["problem"] = ""
    state["configuration"]["cleanup"] = dict(POLICY)
    for pool in state["pools"]:
        pool["active"] = True
    for path, file in state["files"].items():
        file.pop("unreadable", None)
        if _loops(state, path):
            file["backing"] = None
    clock = story.machine.clock
    clock.update(now=max(clock["now"], float(BEGINNINGS[-1])) + 40 * 24 * HOUR, synchronised=True)


def _loops(state: dict[str, Any], path: str) -> bool:
    """Whether a chain of images can't be followed to its end."""
    seen: set[str] = set()
    at = path
    while (file := state["files"].get(at)) is not None:
        if at in seen:
            return True
        seen.add(at)
        if file.get("backing") is None:
            return False
        at = file["backing"]
    return True


def _forget_lost(story: Story) -> None:
    """Many VMs without their metadata stop every sweep until a person says that it is right."""
    records, state = story.machine.store["records"], story.machine.state
    for domain in list(state["domains"]):
        record = records.get(domain["uuid"])
        if record and record["document"] and domain["metadata"] in (None, "{"):
            story.call("vm_persistence", {"state": "absent", "vms": [{"name": domain["name"]}]})


def _try_again(story: Story) -> None:
    """What was given up is tried again by a person who names it."""
    store = story.machine.store
    for domain in list(story.machine.state["domains"]):
        if store["schedules"].get(domain["uuid"], {}).get("cleanup_status") == "failed":
            story.call("vm_cleanup", {"vms": [{"name": domain["name"]}], "missing": "skip"})


def quiet(effects: list[str]) -> bool:
    """Whether a run did nothing but keep its books."""
    words = {"clock", "clock suspect", "prune"}
    return all(
        effect.split(" ", 2)[1] == "save" and set(effect.split(" ", 2)[2].split(", ")) <= words for effect in effects
    )


def findings(story: Story) -> Iterator[str]:
    """What is wrong with a host that came to rest."""
    judge, state = story.judge, story.machine.state
    now = state["clock"]["now"]
    yield from (f"the intent of {intent['name']} is left" for intent in state["store"]["intents"].values())
    yield from (f"the undo record of {record['name']} is left" for record in state["store"]["undo"].values())
    rows = {row["uuid"]: row for row in story.call("vm_lifecycle_info", {}).get("vms", ())}
    for domain in state["domains"]:
        text, _why = judge.fixed.get(domain["uuid"], ("", ""))
        stays = domain["uuid"] in judge.fixed and text in (None, domain["metadata"])
        if not protected(domain, now, False) and not stays and domain["uuid"] not in judge.back:
            yield f"{domain['name']} is left: {rows.get(domain['uuid'])}"
        yield from _schedule(domain, rows.get(domain["uuid"], {}))
    used = judge.needed(state)
    for path, mark in judge.owed.items():
        if inode(state, path) == mark and mark not in used and mark not in judge.excused:
            yield f"{path} leaked"


def _schedule(domain: dict[str, Any], row: dict[str, Any]) -> Iterator[str]:
    """The schedule that is shown is the declaration's."""
    said = row.get("schedule")
    if row.get("managed") and said is not None:
        due = scheduled(domain)
        moment = f"{datetime.fromtimestamp(due or 0, UTC):%Y-%m-%dT%H:%M:%SZ}"
        if said["scheduled_cleanup_at"] != moment or said["cleanup_status"] not in ("pending", "failed"):
            yield f"{domain['name']} has a wrong schedule: {said}"
    elif row.get("managed") and json.loads(domain["metadata"])["persistence"].get("mode") == "temporary":
        yield f"{domain['name']} has no schedule"
