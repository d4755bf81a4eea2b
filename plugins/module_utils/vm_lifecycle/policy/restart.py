# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a VM that stopped is started again, and when: Docker's rules on libvirt's outcomes, as a state machine without a host."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, Mapping, Tuple

from ..boots import LastState, over
from ..model import Document
from ..restarts import Happening, Moment, RestartRecord, RestartRule
from .host_boot import policy_of
from .power import starting

#: Seconds that the first restart waits for, doubled each time, and at most.
FIRST, LONGEST = 0.1, 60.0
#: Seconds of running after which the next restart waits for the least time again. The count goes on.
STEADY = 10.0
#: Seconds after which a start is tried again that somebody or something was in the way of, and that counts as none.
AGAIN = 5.0

#: Where a VM can be. waiting: for its restart; left: it stays down, and that is right; gave_up: it stays down, and that is not.
PHASES = ("up", "waiting", "starting", "left", "gave_up")
#: Reasons of stops: those that a policy may answer, and whether that was a failure. Any other stop is nobody's to undo.
ANSWERED: Mapping[str, bool] = {"guest": False, "killed": True, "failed": True}
#: Reasons of other stops -> the code for why the VM stays down.
LEFT: Mapping[str, str] = {
    "asked": "stopped_by_somebody",
    "forced": "stopped_by_somebody",
    "saved": "memory_saved",
    "pressure": "under_pressure",
    "elsewhere": "moved_or_reverted",
    "host_shutdown": "host_goes_down",
    "host_down": "host_goes_down",
}

#: Phases in which a VM is off and was to run, as far as its host is concerned.
OWED = ("waiting", "starting")

#: The record as it is now, and whether its VM is to be started now.
Next = Tuple[RestartRecord, bool]
Step = Callable[[RestartRecord, Happening, RestartRule, Moment], Next]


def rule(document: Document) -> RestartRule:
    """What a declaration says. Only a permanent VM that is not held from everything is restarted."""
    persistence = document["persistence"]
    barrier = ""
    if (document.get("hold") or {}).get("scope") == "everything":
        barrier = "restart_held"
    elif persistence["mode"] != "permanent":
        barrier = "restart_temporary"
    reset = float(policy_of(document)["restart_reset_seconds"])
    return RestartRule(str(persistence["restart_policy"]), max(int(persistence["max_retries"]), 0), reset, barrier)


def owed(states: Mapping[str, LastState], records: Mapping[str, RestartRecord], boot_id: str) -> Dict[str, LastState]:
    """What was last known of VMs. One whose restart was due when its host went down counts as one that was being started."""
    found = dict(states)
    for uuid, record in records.items():
        last = states.get(uuid)
        if last is None or last.boot_id == boot_id or last.boot_id not in (record.boot_id, over(record.boot_id)):
            continue
        pending = record.phase in OWED or (
            record.phase == "left" and record.reason in ("host_goes_down", "under_pressure")
        )
        if pending and (last.reason in ANSWERED or last.reason == "pressure"):
            found[uuid] = starting(last)
    return found


def after(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    """What is on record of a VM after something happened to it. What does not fit to its phase changes nothing.

    Only that the host has booted since changes it in any case.
    """
    record = present(record, at)
    step = STEPS.get((record.phase, what.kind))
    return (record, False) if step is None else step(record, what, declared, at)


def present(record: RestartRecord, at: Moment) -> RestartRecord:
    """A record as it counts now. A host that has booted since counts from the beginning, and its boot starts what should run."""
    if record.boot_id == at.boot_id:
        return record
    fresh = replace(record, in_row=0, delay=0.0, due=0.0, since=0.0, boot_id=at.boot_id)
    if record.phase in ("waiting", "starting"):
        return replace(fresh, phase="left", reason="host_goes_down", message="", at_unix=int(at.now))
    return fresh


def _ours(record: RestartRecord, _what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """Our own start was heard of, or came back, whichever is first."""
    count = record.restart_count + 1
    return _up(replace(record, restart_count=count), at), False


def _somebodys(record: RestartRecord, _what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """A person started it, or a boot did: all is well again."""
    return _up(replace(record, in_row=0, delay=0.0), at), False


def _up(record: RestartRecord, at: Moment) -> RestartRecord:
    return replace(
        record, phase="up", due=0.0, since=at.boottime, reason="", message="", at_unix=int(at.now), boot_id=at.boot_id
    )


def _stopped(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    ran = at.boottime - record.since
    if declared.reset and ran >= declared.reset:
        record = replace(record, in_row=0)
    if ran >= STEADY:
        record = replace(record, delay=0.0)
    code = _stays_down(what.why, declared, at)
    return (_left(record, code, what, at) if code else _again(record, declared, what, at)), False


def _stays_down(why: str, declared: RestartRule, at: Moment) -> str:
    """The code of why a stop is not answered; "" if it is."""
    if at.going_down:
        return "host_goes_down"
    if why not in ANSWERED:
        return LEFT.get(why, "stop_not_seen")
    if declared.barrier:
        return declared.barrier
    if declared.policy == "no":
        return "restart_not_declared"
    return "ended_well" if declared.policy == "on-failure" and not ANSWERED[why] else ""


def _left(record: RestartRecord, code: str, what: Happening, at: Moment) -> RestartRecord:
    return replace(
        record, phase="left", due=0.0, reason=code, message=what.message, at_unix=int(at.now), boot_id=at.boot_id
    )


def _again(record: RestartRecord, declared: RestartRule, what: Happening, at: Moment) -> RestartRecord:
    """It waits for its next start, if it has one."""
    if not declared.retries:
        return _left(record, "no_retries", what, at)
    if record.in_row >= declared.retries:
        return replace(_left(record, "retries_used_up", what, at), phase="gave_up")
    delay = min(2 * record.delay, LONGEST) if record.delay else FIRST
    return replace(
        record, phase="waiting", delay=delay, due=at.boottime + delay, reason="restart_waits", message=what.message,
        at_unix=int(at.now), boot_id=at.boot_id,
    )  # fmt: skip


def _relieved(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    """Its host is not short of anything any more, for which it was powered off: that is answered like a failure."""
    if record.reason != "under_pressure":
        return record, False
    code = _barred(declared, at)
    return (_left(record, code, what, at) if code else _again(record, declared, what, at)), False


def _stopped_while_down(record: RestartRecord, what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """What stops while it is started, or waits for that, is a start that failed, which comes back by itself; or somebody's deed."""
    code = LEFT.get(what.why, "")
    return (_left(record, code, what, at) if code else record), False


def _preserved(record: RestartRecord, what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """Its guest crashed and it is kept as it is, to be looked at, unless it stops now, too."""
    return _left(record, "crash_preserved", what, at), False


def _stopped_after(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    """The end of a guest that crashed."""
    return _stopped(record, what, declared, at) if record.reason == "crash_preserved" else (record, False)


def _due(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    """Its moment has come, unless something speaks against it by now. what.why: why it does not run, as far as that is known."""
    if at.boottime < record.due:
        return record, False
    code = _barred(declared, at) or ("" if what.why == "pressure" else LEFT.get(what.why, ""))
    if code:  # what waits after pressure was relieved of it
        return _left(record, code, what, at), False
    if record.in_row >= declared.retries:  # there are fewer by now
        return _again(record, declared, what, at), False
    return replace(record, phase="starting", in_row=record.in_row + 1, at_unix=int(at.now)), True


def _barred(declared: RestartRule, at: Moment) -> str:
    if at.going_down:
        return "host_goes_down"
    return declared.barrier or ("restart_not_declared" if declared.policy == "no" else "")


def _failed(record: RestartRecord, what: Happening, declared: RestartRule, at: Moment) -> Next:
    """libvirt could not start it: that counts like a run that ended at once."""
    if at.going_down:
        return _left(record, "host_goes_down", what, at), False
    return _again(record, declared, what, at), False


def _refused(record: RestartRecord, what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """The last look before the start found that it is not to be started. what.why: the code."""
    return _left(replace(record, in_row=max(record.in_row - 1, 0)), what.why, what, at), False


def _postponed(record: RestartRecord, what: Happening, _rule: RestartRule, at: Moment) -> Next:
    """Nothing was tried: somebody else works on the VM, or libvirt does not answer. It counts as no try."""
    return replace(
        record, phase="waiting", in_row=max(record.in_row - 1, 0), due=at.boottime + AGAIN, message=what.message,
        at_unix=int(at.now),
    ), False  # fmt: skip


#: (phase, kind of what happened) -> what becomes of the record. What is not listed changes nothing.
STEPS: Dict[Tuple[str, str], Step] = {
    ("up", "stopped"): _stopped,
    ("up", "crashed"): _preserved,
    ("waiting", "started"): _somebodys,
    ("waiting", "stopped"): _stopped_while_down,
    ("waiting", "due"): _due,
    ("starting", "started"): _ours,
    ("starting", "succeeded"): _ours,
    ("starting", "stopped"): _stopped_while_down,
    ("starting", "failed"): _failed,
    ("starting", "refused"): _refused,
    ("starting", "postponed"): _postponed,
    ("starting", "lost"): _postponed,
    ("left", "started"): _somebodys,
    ("left", "relieved"): _relieved,
    ("left", "stopped"): _stopped_after,
    ("gave_up", "started"): _somebodys,
}
