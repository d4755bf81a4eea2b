"""What the summary of the test suite shows of a part that failed."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

SPEC = importlib.util.spec_from_file_location(
    "run_parts", pathlib.Path(__file__).resolve().parents[2] / "hack" / "run_parts.py"
)
assert SPEC is not None and SPEC.loader is not None
run_parts = importlib.util.module_from_spec(SPEC)
sys.modules["run_parts"] = run_parts
SPEC.loader.exec_module(run_parts)


def test_a_short_log_is_shown_whole() -> None:
    lines = [f"line {number}" for number in range(run_parts.TAIL_LINES)]
    assert run_parts.excerpt(lines) == lines


def test_the_task_that_failed_is_shown_although_pages_of_cleaning_up_follow() -> None:
    lines = [f"before {number}" for number in range(300)]
    lines += [
        "  │ TASK [See that the VM is gone] ****",
        "  │ fatal: [kvm1]: FAILED! => {",
        '  │     "msg": "it is there"',
    ]
    lines += [f"after {number}" for number in range(300)]
    shown = run_parts.excerpt(lines)
    assert {"  │ TASK [See that the VM is gone] ****", '  │     "msg": "it is there"', "after 299"} <= set(shown)
    assert "before 0" not in shown and "after 100" not in shown
    assert shown.count("[...]") == 2


def test_what_is_told_in_the_end_is_not_told_twice() -> None:
    lines = [f"line {number}" for number in range(300)] + ["E   assert 1 == 2"]
    shown = run_parts.excerpt(lines)
    assert shown == ["[...]", *lines[-run_parts.TAIL_LINES :]]
