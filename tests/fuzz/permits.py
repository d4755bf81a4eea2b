"""Why a removal must not begin: every condition of the gate, of consent and of the host, looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.fakes.world import Machine
from tests.scenarios.raw import protected

from .call import DAY, Call, State, scheduled, window_open

if TYPE_CHECKING:
    from .judge import Judge


def reasons_against(judge: Judge, machine: Machine, call: Call, uuid: str) -> Iterator[str]:
    """Every reason, in words."""
    state, domain = machine.state, machine.find(uuid)
    if call.task != "vm_cleanup" or call.state not in ("swept", "confirmed"):
        yield f"{call.task} {call.state} removes nothing"
    if domain is None:
        yield "there is no such VM"
        return
    if not call.disturbed and protected(domain, state["clock"]["now"], "expiry" in call.ignore):
        yield "it is protected"
    text, why = judge.fixed.get(uuid, ("", ""))
    if why and text in (None, domain["metadata"]):
        yield why
    if call.names and not call.means(domain):
        yield "it was not named"
    if uuid in call.start["claims"]:
        yield "another run holds it"
    record = call.start["store"]["records"].get(uuid)
    if record is None:
        yield "the store does not know it"
    yield from _host(judge, state, call)
    yield from _attempts(call, domain, uuid)
    yield from _consent(judge, call, domain, uuid)
    yield from _notice(judge, call, domain, uuid)
    yield from _places(judge, machine, call)


def _host(judge: Judge, state: State, call: Call) -> Iterator[str]:
    if call.timing():
        yield call.timing()
    if not judge.clock.sane(state["clock"]) and not call.just_set:
        yield "the clock is insane by now"
    policy = call.policy
    open_now = policy and window_open(policy, state["zone"], state["clock"]["now"])
    if not open_now and "window" not in call.ignore and not call.clock_set:
        yield "the window closed before its turn came"
    if not call.names and call.state == "swept":
        known = {uuid for uuid, record in call.start["store"]["records"].items() if record["document"]}
        here = [domain for domain in call.start["domains"] if domain["uuid"] in known]
        lost = sum(domain["persistent"] and domain["metadata"] in (None, "{") for domain in here)
        if lost >= 3 and lost * 4 >= len(here):
            yield f"{lost} of {len(here)} VMs lost their metadata"


def _attempts(call: Call, domain: State, uuid: str) -> Iterator[str]:
    """A sweep of the whole host leaves alone what was given up."""
    schedule = call.start["store"]["schedules"].get(uuid, {})
    before = next((each for each in call.start["domains"] if each["uuid"] == uuid), domain)
    due = scheduled(before)
    if call.names or due is None or schedule.get("cleanup_status") not in ("failed", "pending", "in-progress"):
        return
    if schedule.get("scheduled_cleanup_at") == f"{datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%SZ}":
        most = (call.policy or {}).get("max_cleanup_attempts", 0)
        if schedule["cleanup_status"] == "failed" or schedule["cleanup_attempts"] >= most:
            yield "it was given up"


def _consent(judge: Judge, call: Call, domain: State, uuid: str) -> Iterator[str]:
    policy = call.policy
    if policy is None:
        return
    due = scheduled(domain)
    said = [
        paths
        for when, deadline, paths in judge.confirmed.get(uuid, ())
        if 0 <= call.now - when < DAY and deadline == due
    ]
    if said:
        shown = [paths for paths in said if paths is not None]
        asked = call.state == "confirmed" or policy["require_confirmation"]  # else it may go as it is now
        call.shown[uuid] = set().union(*shown) if asked and len(shown) == len(said) else None
        return
    if call.state == "confirmed":
        yield "it is not in the plan that was confirmed"
    if policy["require_confirmation"]:
        yield "nobody confirmed it"
    call.unasked.add(uuid)
    count = len(call.unasked)
    if policy["max_removals"] and count > policy["max_removals"]:
        yield f"{count} removals are over max_removals"
    managed = sum(bool(record["document"]) for record in call.start["store"]["records"].values())
    if policy["max_removal_percent"] and managed >= 10 and count * 100 > policy["max_removal_percent"] * managed:
        yield f"{count} of {managed} are over max_removal_percent"


def _notice(judge: Judge, call: Call, domain: State, uuid: str) -> Iterator[str]:
    policy = call.policy
    if policy is None or not policy["require_notice"] or "expiry" in call.ignore:
        return
    arrived = judge.told.get((uuid, scheduled(domain) or 0))
    if arrived is None or call.now < arrived + policy["notify_before_hours"] * 3600:
        yield "its notice did not arrive in time"


def _places(judge: Judge, machine: Machine, call: Call) -> Iterator[str]:
    """VMs whose removal has begun and that are held, and places that other runs hold."""
    if call.policy is None:
        return
    running = len({uuid for each in judge.calls for uuid in each.begun} & machine.held)
    most = max(each.policy["max_concurrent_cleanups"] for each in judge.calls if each.policy)
    taken = sum(f"removal-{number}" in call.start["claims"] for number in range(most))
    if running + taken > most:
        yield f"{running} removals go on, {taken} elsewhere, and max_concurrent_cleanups is {most}"
