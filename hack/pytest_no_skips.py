"""A pytest plugin: a skipped test fails the run, because nobody reads the note that says what was not tested."""

from __future__ import annotations

import pytest

skipped: list[str] = []


def _note(report):  # type: ignore[no-untyped-def]
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)


pytest_runtest_logreport = _note
pytest_collectreport = _note


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):  # type: ignore[no-untyped-def]
    if skipped and exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):  # type: ignore[no-untyped-def]
    for nodeid in skipped:
        terminalreporter.write_line(f"SKIPPED COUNTS AS FAILED: {nodeid}")
