"""Short stories within a story: several steps that only mean something in their order, and that chance seldom finds."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.world import Machine
from tests.scenarios.player import call as play
from tests.scenarios.raw import protected

from .plot import Plot

State = dict[str, Any]


def due(plot: Plot) -> list[State]:
    """VMs that may go."""
    now = plot.machine.clock["now"]
    return [domain for domain in plot.machine.state["domains"] if not protected(domain, now, False)]


def lose_many(plot: Plot, number: int) -> None:
    """A playbook defines half of all VMs anew, without their metadata; then comes a sweep."""
    count = len(plot.machine.state["domains"])
    for each in range(0, count, 2):
        plot.people.act(("redefine", each + number % 2, 0))
    plot.call("vm_cleanup", {})


def revert(plot: Plot, number: int) -> None:
    """A VM is renewed, and then its snapshot of the time before comes back."""
    vms = due(plot)
    if vms:
        vm = vms[number % len(vms)]
        index = plot.machine.state["domains"].index(vm)
        plot.people.act(("save", index, 0))
        plot.call("vm_persistence", {"vms": [{"name": vm["name"]}], "state": "renewed"})
        plot.people.act(("revert", index, 0))
        plot.call("vm_cleanup", {})


def swap_kept(plot: Plot, number: int) -> None:
    """A disk that is kept for an undo is replaced, and then the VM is wanted back."""
    kept = sorted(plot.judge.kept)
    if kept:
        record = plot.judge.kept[kept[number % len(kept)]]
        for path in record["own"]:
            files = sorted(plot.machine.state["files"])
            if path in files:
                plot.people.act(("replace", 0, files.index(path)))
        plot.call("vm_cleanup", {"vms": [{"name": record["domain"]["name"]}], "state": "restored"})


def confirm_stale(plot: Plot, number: int) -> None:
    """A plan is made, the other users of a disk go by a person's hand, and then the plan is confirmed."""
    outcome = plot.call("vm_cleanup", {"state": "planned", "plan_id": f"stale-{number}"})
    planned = {row["uuid"] for row in outcome.get("vms", ()) if row["reason"] == "planned"}
    for domain in list(plot.machine.state["domains"]):
        if domain["uuid"] not in planned:
            plot.machine.stop(domain)
        if domain in plot.machine.state["domains"] and domain["state"] == "shutoff" and domain["uuid"] not in planned:
            plot.people.act(("undefine", plot.machine.state["domains"].index(domain), 0))
    if planned:
        plot.call("vm_cleanup", {"state": "confirmed", "plan_id": f"stale-{number}", "ignore": ["window"]})


def closing(plot: Plot, number: int) -> None:
    """A sweep begins a minute before the window closes, and guests take their time."""
    state, configuration = plot.machine.state, plot.machine.state["configuration"]
    before = configuration["cleanup"]
    here = datetime.fromtimestamp(plot.machine.clock["now"], UTC).astimezone(ZoneInfo(state["zone"]))
    ends = here + timedelta(minutes=1)
    window = {"cleanup_window_start": f"{here - timedelta(hours=1):%H:%M}", "cleanup_window_end": f"{ends:%H:%M}"}
    for domain in state["domains"]:
        domain.update(obeys_after=None, state="running" if domain["persistent"] else domain["state"])
    configuration["cleanup"] = {**window, "max_concurrent_cleanups": number % 2 + 1, "skip_on_low_resources": False}
    plot.call("vm_cleanup", {})
    configuration["cleanup"] = before


def storm(plot: Plot, number: int) -> None:
    """Between two effects of a sweep, every disk of the host gets another user."""
    files = range(min(len(plot.machine.state["files"]), 16))
    plot.call("vm_cleanup", {}, False, ("people", [(number + 4, ("newcomer", 0, each)) for each in files]))


def unfinished(plot: Plot, number: int) -> None:
    """A sweep is killed at its first undefinition or soon after, and the next one is refused a step of finishing that."""
    twin = Machine(copy.deepcopy(plot.machine.state))
    play(twin, {"task": "vm_cleanup"})
    kinds = [effect.split(" ")[1] for effect in twin.effects]
    if "undefine" in kinds:
        plot.call("vm_cleanup", {}, False, ("kill", kinds.index("undefine") + 1 + number // 8))
        plot.pass_time(60.0)
        step, which = (("save", 2), ("delete_volume", 1), ("drop_intent", 1), ("drop_undo", 1))[number % 4]
        plot.call("vm_cleanup", {}, False, ("refuse", step, which, False))


def together(plot: Plot, number: int) -> None:
    """A VM is removed by its name, and between two effects of that comes a sweep of the whole host."""
    vms = due(plot)
    if vms:
        name = vms[number % len(vms)]["name"]
        plot.call("vm_cleanup", {"vms": [{"name": name}]}, False, ("nested", number + 1, "sweep", 0))


HABITS = (lose_many, revert, swap_kept, confirm_stale, closing, storm, storm, unfinished, unfinished, together)
