"""Generated pages: every code has its place, pages name no other, and each planted mistake is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from vm_lifecycle import reasons
from vm_lifecycle.agent import explanation

from tools.reference_pages import __main__ as command
from tools.reference_pages import pages
from tools.reference_pages.codes import DEEDS, RETURNING, TABLES, unexplained, unused
from tools.reference_pages.engine import ENGINE, ROOT, codes
from tools.reference_pages.prose import unknown_codes

#: A VM and a disk as the logs of scenarios show them.
VM_ROW = re.compile(r"^  \S.*? (removed|kept|waiting|failed|restored|rolled_back) ([a-z_]+): ", re.MULTILINE)
DISK_ROW = re.compile(r"^    /\S+ (removed|kept|waiting|gone) ([a-z_]+)", re.MULTILINE)


def shown(row: re.Pattern[str]) -> set[tuple[str, str]]:
    """(code, decision) of every row of every scenario, but for those of hosts' boots, shutdowns and limits, whose words are others."""
    paths = (ROOT / "tests" / "scenarios").glob("*/expected.log")
    logs = (
        path.read_text("utf-8") for path in paths if not path.parent.name.startswith(("boot-", "shutdown-", "limits-"))
    )
    return {(code, word) for log in logs for word, code in row.findall(log)}


def test_the_command_explains_every_code() -> None:
    """vm-lifecycle explain knows the tables that the pages are made from."""
    assert {code for _where, texts in explanation.TABLES for code in texts} == codes()


def test_every_reason_stands_in_a_stage() -> None:
    """And no stage has a code without a reason."""
    stages = (*reasons.GATE, reasons.TURN, reasons.PASSED, reasons.OTHER_ROWS)
    assert {code for stage in stages for code in stage.codes} == set(reasons.DECISIONS)
    disks = (reasons.DISK_PLAN, reasons.DISK_LAST, reasons.DISK_BESIDE)
    assert {code for stage in disks for code in stage.codes} == set(reasons.VERDICTS)


def test_what_becomes_of_a_vm_is_what_scenarios_show() -> None:
    """Nothing else, and nothing that no scenario shows. A VM that fails has the code of the error."""
    told = {(code, word) for code, reason in reasons.VM_REASONS.items() for word in reason.decision.split(" or ")}
    seen = shown(VM_ROW)
    assert sorted(pair for pair in seen - told if pair[0] in reasons.VM_REASONS) == []
    # The one is shown by vm_persistence, whose rows have no decision, the other by test_deletion_order.py.
    assert sorted(told - seen) == [("already_removed", "kept"), ("storage_unreadable", "failed")]


def test_what_becomes_of_a_disk_is_what_scenarios_show() -> None:
    """A disk that would go waits with its VM."""
    told = {(code, reason.decision) for code, reason in reasons.DISK_REASONS.items()}
    assert sorted(shown(DISK_ROW) - {("only_user", "waiting")} - told) == []
    assert sorted(told - shown(DISK_ROW)) == []


def test_the_words_of_decisions_are_known() -> None:
    """The page has a word for each."""
    words = {word for reason in reasons.VM_REASONS.values() for word in reason.decision.split(" or ")}
    assert words == set(pages.FATES)


def test_pages_are_fresh_and_nothing_is_wrong_now(capsys: pytest.CaptureFixture[str]) -> None:
    """What make docs-check says of this tree."""
    assert command.check() == 0, capsys.readouterr().err


def test_a_stale_page_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A page that is not as the tables say it."""
    page = ROOT / "docs" / "codes.md"
    monkeypatch.setattr(command, "pages", lambda: {page: "otherwise\n"})
    assert command.check() == 1
    assert "drift: docs/codes.md; run make generate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tasks/asking.py", 'waits(entry, "never_heard", "words")'),
        ("removal.py", 'raise EffectError("never_heard", "words")'),
        ("tasks/undo.py", 'do.Entry(uuid, name, "kept", "never_heard", "words")'),
        ("tasks/targets.py", 'Problem("never_heard", "words")'),
        ("removal.py", 'replace(verdict, remove=False, reason="never_heard")'),
        ("removal.py", 'x = replace(verdict, reason="in_use" if users else "never_heard")'),
        ("removal.py", 'REFUSED = {"open_elsewhere": "never_heard"}'),
        ("apply.py", 'POSTPONING = ("busy", "never_heard")'),
        ("metadata.py", 'reason, detail = "never_heard", "words"'),
        ("policy/gate.py", 'def f() -> Tuple[str, str]:\n    return ("never_heard", "words") if x else ("", "")'),
        ("policy/disk_rules.py", 'def f() -> str:\n    return x or "never_heard"'),
        ("policy/host_boot.py", 'AtBoot("leave", "held" if x else "never_heard")'),
        ("policy/doctor.py", 'def f():\n    yield "never_heard", name, "some_words"'),
        ("module.py", 'say(f"{error} [never_heard]")'),
    ],
)
def test_a_code_without_a_text_is_found(path: str, source: str) -> None:
    """Wherever the engine gives codes."""
    found = unexplained(codes(), {path: source})
    assert len(found) == 1 and found[0].endswith("no text explains the code never_heard")


def test_other_words_are_no_codes() -> None:
    """Decisions, messages, fields, and answers of functions that return none."""
    source = 'Decision("kept", "held", "some_words")\ndef f() -> Key:\n    return ("some_path", 1)\nname = "some_name"'
    assert unexplained(codes(), {"policy/gate.py": source}) == []


def test_a_text_without_a_code_is_found() -> None:
    """What nothing says needs no text."""
    found = unused(codes() | {"never_heard"})
    assert found == ["reasons, findings or errors: nothing gives the code never_heard"]


def test_what_is_searched_exists() -> None:
    """A table that was renamed or a file that was moved would be searched in vain."""
    sources = "\n".join(path.read_text("utf-8") for path in ENGINE.rglob("*.py"))
    assert [path for path in RETURNING if not (ENGINE / path).exists()] == []
    assert [name for name in TABLES if not re.search(rf"^{name}(: .+)? = ", sources, re.MULTILINE)] == []
    assert [word for word in DEEDS if f'"{word}"' not in sources] == []


@pytest.mark.parametrize(
    "text",
    [
        "It waits with `never_heard` then.",
        "```text\nkept: db1 is kept [never]\n```\n",
        "```console\n# vm-lifecycle cleanup\n  kept default/a [never_heard, used by b]\n```\n",
    ],
)
def test_an_unknown_code_on_a_page_is_found(text: str) -> None:
    """In marks, and in samples of output."""
    assert len(unknown_codes(codes(), {"docs/page.md": text})) == 1


def test_other_names_on_pages_are_accepted() -> None:
    """Options, results, lists and arguments."""
    text = "`dry_run_mode`, `held`, `undo_until`\n```console\n$ x [VM...] ignore: [expiry]\n```\n```yaml\nignore: [expiry]\n```\n"
    assert unknown_codes(codes(), {"docs/page.md": text}) == []


@pytest.mark.parametrize("path", sorted(pages.TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_every_template_becomes_a_page(path: Path) -> None:
    """And has no table that nobody makes."""
    text = pages.pages()[ROOT / "docs" / path.name]
    assert "<!-- table" not in text and "| `" in text
