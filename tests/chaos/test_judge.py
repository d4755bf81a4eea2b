# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge finds what it is there to find: each kind of violation, planted alone in an otherwise good host."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.chaos.judge import judge

MANIFEST: dict[str, Any] = {
    "vms": {
        "u-gone": {"name": "gone", "fate": "removed", "carries": "expired", "round": "r0"},
        "u-late": {"name": "late", "fate": "removed", "carries": "expired", "round": "r1", "undo": True},
        "u-undefined": {"name": "undefined", "fate": "gone_by_hand", "carries": "expired", "round": "r0"},
        "u-anew": {"name": "anew", "fate": "removed", "carries": "expired", "round": "r0", "by_hand": 1},
        "u-fresh": {"name": "fresh", "fate": "kept", "carries": "fresh", "round": "r0"},
        "u-asked": {"name": "asked", "fate": "either", "carries": "held by a playbook", "round": "r0"},
        "u-stay": {"name": "stay", "fate": "kept", "carries": "held", "round": "r0", "declared": "held"},
    },
    "files": {
        "/own": {"fate": "removed", "why": "", "sha256": "1", "round": "r0"},
        "/late": {"fate": "removed", "why": "", "sha256": "2", "round": "r1"},
        "/late.save": {"fate": "removed", "why": "", "sha256": "4", "round": "r1"},
        "/undefined": {"fate": "kept", "why": "undefined by hand", "sha256": "6", "round": "r0"},
        "/asked": {"fate": "either", "why": "held by a playbook", "sha256": "7", "round": "r0", "vm": "asked"},
        "/shared": {"fate": "kept", "why": "", "sha256": "3", "round": "r0"},
    },
}
GOOD: dict[str, Any] = {
    "files": {"/own": None, "/late": None, "/late.save": None, "/undefined": "6", "/asked": "7", "/shared": "3"},
    "domains": {"u-stay": "stay", "u-fresh": "fresh", "u-asked": "asked"},
    "schedules": {"u-gone": "completed", "u-late": "completed", "u-anew": "completed", "u-stay": "pending"},
    "removals_done": {"u-gone": 1, "u-late": 2, "u-anew": 2},
    "declared": {"u-stay": "held", "u-fresh": "temporary"},
    "told": ["u-fresh"],
    "units": {"supervisor": "success", "notify": "success"},
    "states_wrong": [],
    "intents": [],
    "undo": [],
    "set_aside": [],
}
#: Kind of violation -> how to plant it.
PLANTED: dict[str, tuple[str, Any, Any]] = {
    "wrongly_removed": ("domains", "u-stay", None),
    "not_removed": ("domains", "u-gone", "gone"),
    "came_back": ("domains", "u-undefined", "undefined"),
    "declaration_lost": ("declared", "u-stay", "temporary"),
    "notice_lost": ("told", "u-fresh", None),
    "unit_failed": ("units", "supervisor", "signal"),
    "state_wrong": ("states_wrong", None, "stay: running, off"),
    "unknown_vm": ("domains", "u-new", "new"),
    "damaged_disk": ("files", "/shared", "5"),
    "leaked_volume": ("files", "/own", "1"),
    "schedule_open": ("schedules", "u-gone", "in-progress"),
    "removal_count": ("removals_done", "u-gone", 2),
    "wrong_history": ("removals_done", "u-stay", 1),
    "intent_left": ("intents", None, "u-gone.json"),
    "undo_left": ("undo", None, "u-late"),
    "store_damaged": ("set_aside", None, "state.db.damaged"),
}


def test_a_good_host_has_no_violation() -> None:
    assert judge(MANIFEST, GOOD) == []


def test_a_host_whose_undo_is_possible_has_no_violation() -> None:
    assert judge(MANIFEST, waiting_host(), frozenset({"u-late"})) == []


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_found(kind: str) -> None:
    facts = copy.deepcopy(GOOD)
    place, key, value = PLANTED[kind]
    if key is None:
        facts[place].append(value)
    elif isinstance(facts[place], list):
        facts[place].remove(key)
    elif value is None:
        del facts[place][key]
    else:
        facts[place][key] = value
    assert kind in {violation.kind for violation in judge(MANIFEST, facts)}


def test_a_file_that_is_gone_is_damaged() -> None:
    facts = {**GOOD, "files": {**GOOD["files"], "/shared": None}}
    assert [violation.kind for violation in judge(MANIFEST, facts)] == ["damaged_disk"]


def test_a_vm_of_which_nobody_knows_may_be_gone_with_its_disk() -> None:
    facts = copy.deepcopy(GOOD)
    facts["files"]["/asked"] = None
    assert [violation.kind for violation in judge(MANIFEST, facts)] == ["damaged_disk"]
    del facts["domains"]["u-asked"]
    facts["schedules"]["u-asked"], facts["removals_done"]["u-asked"] = "completed", 1
    assert judge(MANIFEST, facts) == []
    facts["files"]["/asked"] = "7"
    assert [violation.kind for violation in judge(MANIFEST, facts)] == ["leaked_volume"]


def test_the_disk_of_a_vm_that_a_person_undefined_has_to_stay() -> None:
    facts = {**GOOD, "files": {**GOOD["files"], "/undefined": None}}
    assert [violation.kind for violation in judge(MANIFEST, facts)] == ["damaged_disk"]


@pytest.mark.parametrize(
    ("uuid", "count", "kind"), [("u-undefined", 1, "wrong_history"), ("u-anew", 3, "removal_count")]
)
def test_a_removal_too_many_after_a_persons_hand_is_found(uuid: str, count: int, kind: str) -> None:
    facts = {**GOOD, "removals_done": {**GOOD["removals_done"], uuid: count}}
    assert [violation.kind for violation in judge(MANIFEST, facts)] == [kind]


def test_a_disk_that_goes_before_its_undo_is_over_is_found() -> None:
    facts = waiting_host()
    facts["files"]["/late"] = None
    assert [violation.kind for violation in judge(MANIFEST, facts, frozenset({"u-late"}))] == ["undo_disk_lost"]


def test_a_lost_undo_record_is_found() -> None:
    facts = {**waiting_host(), "undo": []}
    assert [violation.kind for violation in judge(MANIFEST, facts, frozenset({"u-late"}))] == ["undo_record_lost"]


def waiting_host() -> dict[str, Any]:
    """The VM called late is gone, and can be brought back."""
    facts = copy.deepcopy(GOOD)
    facts["files"]["/late"] = "2"
    facts["undo"], facts["removals_done"]["u-late"] = ["u-late"], 1
    return facts
