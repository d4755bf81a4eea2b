"""How much of a result a caller gets."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

import pytest
from vm_lifecycle.extent import ROWS, bounded, first


def row(name: str, decision: str = "kept", changed: bool = False, failed: Optional[bool] = None) -> Dict[str, Any]:
    """A row as vm_cleanup has it; with failed as vm_persistence has it."""
    if failed is not None:
        return {"name": name, "changed": changed, "failed": failed}
    return {"name": name, "changed": changed, "decision": decision}


def result(rows: List[Dict[str, Any]]) -> Dict[str, Any]:
    """A result with these rows, and a diff of those that changed."""
    texts = {each["name"]: "present" for each in rows if each["changed"]}
    return {"vms": rows, "counts": {"kept": len(rows)}, "diff": {"before": texts, "after": dict(texts)}}


MIXED = [
    row("a"), row("b", "waiting"), row("c", "removed"), row("d", "removed", changed=True),
    row("e", "failed"), row("f"), row("g", "rolled_back"), row("h", "restored"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "shown"),
    [
        (1, "e"),  # what failed
        (2, "de"),  # what changed, in the order of the rows
        (3, "cde"),  # what would be removed
        (4, "cdeh"),
        (5, "cdegh"),
        (6, "bcdegh"),
        (7, "abcdegh"),  # of what stays as it is, the first
        (8, "abcdefgh"),
        (9, "abcdefgh"),
        (0, "abcdefgh"),
    ],
)
def test_the_rows_that_say_most_stay(most: int, shown: str) -> None:
    cut = bounded(result(MIXED), most)
    assert "".join(each["name"] for each in cut["vms"]) == shown
    assert cut["counts"] == {"kept": 8}
    if len(shown) == len(MIXED):
        assert cut["truncated"] is None
    else:
        assert cut["truncated"] == {"shown": most, "of": 8, "changed": 1, "failed": 1, "file": None}
        assert set(cut["diff"]["before"]) == set(cut["diff"]["after"]) == {"d"} & set(shown)


def test_a_declaration_that_failed_stays() -> None:
    rows = [row("a", changed=True, failed=False), row("b", failed=True), row("c", failed=False)]
    cut = bounded(result(rows), 1)
    assert [each["name"] for each in cut["vms"]] == ["b"]
    assert cut["truncated"] == {"shown": 1, "of": 3, "changed": 1, "failed": 1, "file": None}


def test_a_result_without_a_diff_is_bounded_too() -> None:
    assert bounded({"vms": MIXED}, 2)["truncated"]["of"] == 8


def test_the_whole_result_is_left_as_it_was() -> None:
    whole = result(MIXED)
    before = json.dumps(whole)
    bounded(whole, 1)
    assert json.dumps(whole) == before


def test_what_is_returned_does_not_grow_with_the_host() -> None:
    sizes = [
        len(json.dumps(bounded(result([row(f"vm-{n:05}", changed=True) for n in range(count)]), ROWS)))
        for count in (200, 2000)
    ]
    assert sizes[1] - sizes[0] < 10


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, []), (2, ["0", "1"]), (3, ["0", "1", "2"]), (5, ["0", "1", "2", "and 2 more warnings"])],
)
def test_sentences_are_bounded(number: int, said: List[str]) -> None:
    assert first([str(each) for each in range(number)], "warnings", 3) == said
