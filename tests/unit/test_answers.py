"""Answers to surveys, and results as lines: the filters that the playbooks use."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.bounded_lines import bounded_lines, status_lines, sweep_lines
from plugins.filter.survey_answers import survey_answers, survey_problems

QUESTIONS: list[dict[str, Any]] = [
    {"variable": "hours", "type": "integer", "required": False, "min": 1, "max": 8760},
    {"variable": "cap", "type": "integer", "required": False, "min": 0},
    {"variable": "tries", "type": "integer", "required": False},
    {"variable": "clean", "type": "multiplechoice", "required": False, "choices": ["true", "false"]},
    {"variable": "restart", "type": "multiplechoice", "required": False, "choices": ["no", "always"]},
    {"variable": "ignore", "type": "multiselect", "required": False, "choices": ["window", "load"]},
    {"variable": "names", "type": "textarea", "required": False, "min": 0, "max": 20},
    {"variable": "plan", "type": "text", "required": False, "min": 0, "max": 8},
]
PATTERNS = {"plan": {"pattern": "[a-z0-9]+", "rule": "must be letters and digits"}}


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("hours", 24, 24),
        ("hours", "24", 24),
        ("hours", " 8760\n", 8760),
        ("cap", 0, 0),
        ("tries", "-3", -3),
        ("clean", "true", True),
        ("clean", "false", False),
        ("clean", False, False),
        ("clean", "True", True),
        ("restart", False, "no"),
        ("restart", "always", "always"),
        ("ignore", ["window"], ["window"]),
        ("ignore", "window\nload", ["window", "load"]),
        ("ignore", "window, load", ["window", "load"]),
        ("names", "db1\n\n web 1 \n", ["db1", "web 1"]),
        ("names", ["db1", 7], ["db1", "7"]),
        ("plan", 4711, "4711"),
    ],
)
def test_an_answer_is_read_in_the_type_of_its_question(name: str, given: Any, read: Any) -> None:
    assert survey_answers(QUESTIONS, {name: given}) == {name: read}
    assert survey_problems(QUESTIONS, {name: given}, PATTERNS) == []


@pytest.mark.parametrize("nothing", [None, "", "  \n", []])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["variable"])
def test_an_empty_answer_is_none(question: dict[str, Any], nothing: Any) -> None:
    assert survey_answers([question], {question["variable"]: nothing}) == {}
    assert survey_problems([question], {question["variable"]: nothing}) == []
    needed = {**question, "required": True}
    assert survey_problems([needed], {question["variable"]: nothing}) == [f"{question['variable']} must be answered."]
    assert survey_problems([needed], {}) == [f"{question['variable']} must be answered."]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("hours", 0, "hours must be a whole number from 1 to 8760, not 0."),
        ("hours", "8761", "hours must be a whole number from 1 to 8760, not 8761."),
        ("hours", 1.5, "hours must be a whole number from 1 to 8760, not 1.5."),
        ("hours", True, "hours must be a whole number from 1 to 8760, not True."),
        ("hours", "1e3", "hours must be a whole number from 1 to 8760, not 1e3."),
        ("cap", -1, "cap must be a whole number of at least 0, not -1."),
        ("tries", "many", "tries must be a whole number, not many."),
        ("tries", "9" * 99, f"tries must be a whole number, not {'9' * 60}...."),
        ("clean", "maybe", "clean must be one of: true, false, not maybe."),
        ("restart", True, "restart must be one of: no, always, not True."),
        ("ignore", ["window", "clock"], "ignore may hold only: window, load, not ['window', 'clock']."),
        ("names", "x" * 21, f"names must have at most 20 characters, not {'x' * 21}."),
        ("names", {"a": 1}, "names must be lines of text, or a list, not {'a': 1}."),
        ("plan", "x" * 9, "plan must have at most 8 characters, not xxxxxxxxx."),
        ("plan", ["a"], "plan must be a text, not ['a']."),
        ("plan", "a b", "plan must be letters and digits, not a b."),
    ],
)
def test_a_wrong_answer_is_named_with_its_rule(name: str, given: Any, said: str) -> None:
    assert survey_problems(QUESTIONS, {name: given}, PATTERNS) == [said]


def test_an_answer_that_is_wrong_is_no_answer() -> None:
    assert survey_answers(QUESTIONS, {"hours": 0, "cap": 3, "other": 1}) == {"cap": 3}


def test_lines_are_bounded() -> None:
    assert bounded_lines(["a", "b"], 2) == ["a", "b"]
    assert bounded_lines(["a", "b", "c"], 2) == ["a", "b", "... and 1 more"]


def vm(name: str, decision: str, disks: int = 0) -> dict[str, Any]:
    disk = {
        "pool": "default",
        "name": f"{name}.qcow2",
        "path": "",
        "decision": decision,
        "reason": "only_user",
        "used_by": [],
    }
    return {"name": name, "decision": decision, "reason": "r", "message": f"{name} m", "volumes": [disk] * disks}


def sweep(*vms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"vms": list(vms), "dry_run": False, "plan_id": None, **more}


def test_a_sweep_is_shown_in_its_order() -> None:
    shown = sweep_lines(sweep(vm("a", "kept"), vm("b", "removed", 1), plan_id="p1"))
    assert shown == ["kept: a m [r]", "removed: b m [r]", "  removed default/b.qcow2 [only_user]", "plan p1"]
    assert sweep_lines(sweep(vm("b", "removed"), dry_run=True)) == ["would be removed: b m [r]"]


def test_a_sweep_that_returns_fewer_rows_says_where_the_rest_is() -> None:
    left = {"shown": 1, "of": 9, "file": "/results/vm_cleanup.json"}
    assert (
        sweep_lines(sweep(vm("a", "kept"), truncated=left))[1]
        == "1 of 9 VMs are shown, all of them in /results/vm_cleanup.json"
    )
    assert sweep_lines(sweep(vm("a", "kept"), truncated={**left, "file": None}))[1] == "1 of 9 VMs are shown"


def test_what_a_disk_is_used_by_is_said() -> None:
    row = vm("a", "removed", 1)
    row["volumes"] = [{**row["volumes"][0], "pool": "", "path": "/x", "decision": "kept", "used_by": ["b", "c"]}]
    assert sweep_lines(sweep(row))[1] == "  kept /x [only_user, used by b, c]"


def test_of_many_vms_those_that_stay_are_left_out_first() -> None:
    kept = [vm(f"k{number}", "kept") for number in range(1000)]
    shown = sweep_lines(sweep(*kept[:500], vm("gone", "removed", 1), *kept[500:], vm("bad", "failed")), limit=10)
    assert shown[:2] == ["kept: k0 m [r]", "kept: k1 m [r]"]
    assert shown[-4:] == [
        "removed: gone m [r]",
        "  removed default/gone.qcow2 [only_user]",
        "failed: bad m [r]",
        "... and 993 more kept",
    ]
    assert len(shown) == 11


def test_of_many_disks_the_first_are_shown() -> None:
    shown = sweep_lines(sweep(vm("a", "removed", 30)))
    assert len(shown) == 10
    assert shown[-1] == "  ... and 22 more disks"


def test_the_status_of_a_host_is_a_line_for_each_matter() -> None:
    host = {
        "plans": [{"plan_id": "4711", "created_at": "2026-11-25T03:00:00Z", "vms": [{"name": f"v{number}"} for number in range(10)]}],
        "vms": [
            {"name": "a", "power_state": "running", "persistence": {"mode": "permanent"}},
            {"name": "b", "power_state": "shutoff", "persistence": {"mode": "temporary"}, "scheduled_cleanup_at": "D",
             "effective_cleanup_at": "E", "hold": {"scope": "deletion", "reason": "audit"}},
            {"name": "c", "power_state": "shutoff", "persistence": None, "metadata_problem": {"message": "m", "reason": "r"}},
            {"name": "d", "message": "d: no such VM"},
        ],
        "undo": [{"name": "e", "removed_at": "R", "undo_until": "U"}],
    }  # fmt: skip
    assert status_lines(host) == [
        "plan 4711 of 2026-11-25T03:00:00Z waits: v0, v1, v2, v3, v4, v5, v6, v7 and 2 more",
        "a: running, permanent",
        "b: shutoff, temporary, expires D, removed from E, held from deletion: audit",
        "c: shutoff, not managed, m [r]",
        "d: no such VM",
        "e: removed R, can be brought back until U",
    ]
    assert status_lines({"plans": [], "vms": [], "undo": []}) == ["no VM matches"]
