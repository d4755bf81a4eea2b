"""The command line's grammar."""

from __future__ import annotations

import argparse
from typing import List, Sequence

import pytest
from vm_lifecycle.agent import arguments
from vm_lifecycle.agent.arguments import parsed


@pytest.mark.parametrize(
    ("words", "vms"),
    [
        (["confirm", "job-1", "--ignore", "window", "ci-1"], ["ci-1"]),
        (["confirm", "job-1", "ci-1", "--ignore", "window", "ci-2", "--json"], ["ci-1", "ci-2"]),
        (["confirm", "job-1", "--ignore", "window"], []),
        (["confirm", "job-1", "--ignore", "window", "--", "-odd"], ["-odd"]),
        (["cleanup", "--ignore", "window", "ci-1"], ["ci-1"]),
        (["cleanup", "ci-1", "--plan=job-1", "ci-2"], ["ci-1", "ci-2"]),
        (["cleanup", "ci-1", "--plan"], ["ci-1"]),
        (["purge", "ci-1", "--ignore", "window", "ci-2"], ["ci-1", "ci-2"]),
        (["hold", "--everything", "db1"], ["db1"]),
        (["status"], []),
    ],
)
def test_vms_before_and_after_options(words: List[str], vms: List[str]) -> None:
    """In their order."""
    assert parsed(words).vm == vms


@pytest.mark.parametrize(
    "words",
    [["confirm", "job-1", "--force", "ci-1"], ["boot", "db1"], ["doctor", "db1"], ["hold"], [], ["status", "--what"]],
)
def test_wrong_usage(words: List[str]) -> None:
    """Is told as such."""
    with pytest.raises(SystemExit, match="2"):
        parsed(words)


@pytest.mark.parametrize("words", sorted(arguments.KNOWN))
def test_what_is_known_without_a_parser(words: Sequence[str]) -> None:
    """Is what the parser says."""
    assert vars(arguments.parsed(words)) == vars(arguments.parser("boot").parse_args(list(words)))
    assert isinstance(arguments.parsed([*words, "--json"]), argparse.Namespace)
