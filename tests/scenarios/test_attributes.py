"""Every attribute of the seed's schemas is shown to act, is a label, or is known to be open."""

from __future__ import annotations

import pytest

from .attribute_table import attributes, verdict
from .attributes import OPEN, ROWS


@pytest.mark.parametrize("attribute", sorted(ROWS))
def test_it_acts(attribute: str) -> None:
    """Two hosts that differ in it alone end differently."""
    settled, said = verdict(attribute)
    assert settled, said


def test_all_are_listed() -> None:
    """Once, and no other ones."""
    assert len(attributes()) == 68
    assert sorted([*ROWS, *OPEN]) == sorted(attributes())
