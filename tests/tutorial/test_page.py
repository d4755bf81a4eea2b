"""What is taken from a page, and that nothing of it is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from .page import File, Step, missing, steps

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BEGIN = "# Title\n\n## 1. One\n\n"


def test_a_page() -> None:
    """Files, commands on both machines, and what they print."""
    page = BEGIN + (
        "```yaml\n# file: a/b.yml\n# a comment\nx: 1\n```\n\n```console\n$ one\nout\n# two\n```\n\n"
        "<!-- until it prints this -->\n```console\n# three\nthe end\n```\n"
    )
    assert steps(page) == [
        File("a/b.yml", "# a comment\nx: 1\n"),
        Step("$", "one", False, ["out"]),
        Step("#", "two"),
        Step("#", "three", True, ["the end"]),
    ]


@pytest.mark.parametrize(
    "page",
    [
        "```bash\nls\n```\n",
        "```\n$ ls\n```\n",
        "```console\nout\n$ ls\n```\n",
        "```yaml\nx: 1\n```\n",
        "Run this:\n\n    $ ls\n",
        "- one\n\n  ```console\n  # ls\n  ```\n",
        "<!-- until it prints this -->\n```console\n$ ls\n$ ls\n```\n",
    ],
)
def test_a_command_that_would_not_be_run(page: str) -> None:
    """Is an error of the page."""
    with pytest.raises(ValueError, match=r"block|command|output"):
        steps(BEGIN + page)


def test_what_is_compared() -> None:
    """All but times, numbers of the recap, and bars."""
    step = Step(
        "#",
        "x",
        expected=["* db1  5 s  ▒▒██●  web1", "a expired 2026-11-25T15:00:00Z [expired]", "kvm1 : ok=3 failed=0"],
    )
    good = (
        "* db1    12 s ▒▒▒▒▒▒█●     web1\na expired 2027-01-02T03:04:05Z [expired]\nkvm1   : ok=31   failed=0  more\n"
    )
    assert missing(step, good) == []
    assert missing(step, good.replace("failed=0", "failed=1")) == step.expected[2:]
    assert missing(step, good.replace("[expired]", "[held]")) == step.expected[1:2]


def test_the_tutorial() -> None:
    """Has both kinds of commands, files, and something to wait for."""
    found = steps(PAGE.read_text("utf-8"))
    commands = [step for step in found if isinstance(step, Step)]
    assert {step.where for step in commands} == {"$", "#"}
    assert len(commands) >= 15
    assert any(step.waits for step in commands)
    assert sum(isinstance(step, File) for step in found) == 3
