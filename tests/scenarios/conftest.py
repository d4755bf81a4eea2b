"""The option that writes expected.log anew, and the marks of scenarios that show a known defect."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """--regenerate."""
    parser.addoption("--regenerate", action="store_true", help="write expected.log instead of comparing with it")


#: Tests of a scenario that show a known defect, as (test, scenario), each with its reason; strict, so that a repair is noticed.
KNOWN: dict[tuple[str, str], str] = {}


@pytest.fixture(autouse=True)
def known(request: pytest.FixtureRequest) -> None:
    """Expect the failure of a scenario that shows a known defect."""
    callspec = getattr(request.node, "callspec", None)
    directory = callspec.params.get("directory") if callspec else None
    reason = KNOWN.get((request.node.originalname, directory.name)) if directory is not None else None
    if reason:
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
