"""What people are told to do: below results and refusals, and when they ask for a code."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from vm_lifecycle.agent import text
from vm_lifecycle.agent.explanation import explanations, lines
from vm_lifecycle.agent.words import mend
from vm_lifecycle.errors import ERRORS, LifecycleError
from vm_lifecycle.reasons import VM_REASONS


def row(name: str, decision: str, reason: str) -> Dict[str, Any]:
    """A VM of a sweep's result."""
    return {"name": name, "decision": decision, "reason": reason, "message": f"{name}: words", "volumes": []}


def swept(*rows: Dict[str, Any]) -> Dict[str, Any]:
    """A sweep's result."""
    return {"vms": list(rows), "dry_run": False, "plan_id": None, "counts": {"removed": 0, "kept": len(rows)}}


NIGHT = swept(
    row("db1", "kept", "permanent"), row("ci-1", "kept", "not_expired"), row("ci-2", "waiting", "outside_window"),
    row("ci-3", "waiting", "backing_off"), row("ci-4", "waiting", "backing_off"), row("ci-5", "kept", "metadata_reverted"),
)  # fmt: skip


def test_a_sweep_says_what_to_do_once_for_each_code() -> None:
    """Of what there is something to do about."""
    said = text.sweep(NIGHT).splitlines()
    assert [line.split(":")[1].strip() for line in said[:6]] == ["db1", "ci-1", "ci-2", "ci-3", "ci-4", "ci-5"]
    assert said[6:-1] == [
        f"  [{code}] {VM_REASONS[code].remedy}" for code in ("not_expired", "backing_off", "metadata_reverted")
    ]


def test_the_timer_tells_of_no_vm_that_is_as_it_should_be() -> None:
    """But counts all."""
    said = text.scheduled(NIGHT).splitlines()
    assert [line.split(":")[1].strip() for line in said[:3]] == ["ci-3", "ci-4", "ci-5"]
    assert said[-1] == "0 removed, 6 kept"
    assert text.scheduled(swept(row("db1", "kept", "permanent"))) == "0 removed, 1 kept"


def test_failures_of_a_recovery() -> None:
    """As after a boot."""
    failed = {"name": "a", "changed": False, "decision": "failed", "reason": "name_taken", "message": "a: words"}
    assert text.recover({"dry_run": False, "vms": [failed]}).splitlines() == [
        "failed: a: words [name_taken]", f"  [name_taken] {ERRORS['name_taken']}",
    ]  # fmt: skip


@pytest.mark.parametrize("code", ERRORS)
def test_each_error_says_what_to_do(code: str) -> None:
    """Its first sentence is the meaning, the rest what to do."""
    assert mend(code).endswith(".")


def test_a_code_is_explained_wherever_it_may_stand() -> None:
    """With or without its brackets."""
    found = explanations("[storage_problem]")
    assert [each["where"] for each in found] == ["of a VM, in a sweep", "of a disk"]
    assert lines(found).startswith("storage_problem (of a VM, in a sweep): ")


def test_a_word_that_is_no_code() -> None:
    """The nearest ones are named."""
    with pytest.raises(LifecycleError, match="not_expired") as refused:
        explanations("not_expird")
    assert [problem.code for problem in refused.value.problems] == ["unknown_code"]
