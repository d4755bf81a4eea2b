"""The judge finds what is wrong, and nothing else."""

from __future__ import annotations

import pytest

from .judge import Book, differing, lost, misnamed, skipped

RUNNING, PAUSED = ("running", ""), ("paused", "")
BEFORE = Book({"a": PAUSED}, [("a", *RUNNING), ("a", *PAUSED)])


@pytest.mark.parametrize(
    ("after", "violations"),
    [
        (BEFORE, 0),
        (Book({"a": RUNNING}, [*BEFORE.commits, ("a", *RUNNING)]), 0),
        (Book({"a": RUNNING}, BEFORE.commits[:1]), 1),
        (Book({"a": RUNNING}, BEFORE.commits), 1),
        (Book({}, BEFORE.commits), 1),
        (Book({"a": PAUSED}, [("b", *RUNNING), *BEFORE.commits]), 2),
    ],
)
def test_what_is_lost(after: Book, violations: int) -> None:
    """Commits that are gone, and a state that is older than the last commit."""
    assert len(lost(BEFORE, after)) == violations


def test_what_differs() -> None:
    """From what libvirt says."""
    assert differing(BEFORE, {"a": "paused"}) == []
    assert len(differing(BEFORE, {"a": "running", "b": "shutoff"})) == 2


@pytest.mark.parametrize(
    ("recorded", "violations"),
    [
        (["running", "paused", "shutoff"], 0),
        (["running", "running", "paused", "shutoff"], 0),
        (["running", "shutoff"], 1),
        (["running", "paused"], 1),
        (["paused", "running", "shutoff"], 1),
    ],
)
def test_what_is_skipped(recorded: list[str], violations: int) -> None:
    """An event that was heard and is not on record."""
    assert len(skipped("a", ["started", "resumed", "suspended", "shutdown", "stopped"], recorded)) == violations


def test_reasons() -> None:
    """They may be unknown of what nobody saw, and never be wrong."""
    book = Book({"a": ("shutoff", "unknown"), "b": ("shutoff", "forced"), "c": RUNNING}, [])
    assert misnamed(book, {"a": ["forced"], "b": ["failed", "forced"], "c": ["forced"]}, {"a"}) == []
    assert misnamed(book, {"b": ["forced", "failed"]}, {"b"}) == []
    assert len(misnamed(book, {"a": ["forced"], "b": ["forced", "failed"]}, set())) == 2
