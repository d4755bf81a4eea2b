"""A small run of the targets of tests/fuzz/inputs.py: sound inputs, and what hypothesis makes of them. Always the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .inputs import TARGETS, seeds


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_sound_inputs(target: str) -> None:
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_damaged_inputs(target: str) -> None:
    """Pieces of sound inputs, cut, doubled and with other bytes between them."""
    pieces = st.sampled_from([data[begin : begin + 16] for data in seeds(target) for begin in range(0, len(data), 8)])
    damaged = st.lists(pieces | st.binary(max_size=12), max_size=24).map(b"".join)
    kept = st.tuples(st.sampled_from(seeds(target)), st.integers(0, 400), st.binary(max_size=4)).map(
        lambda given: given[0][: given[1]] + given[2] + given[0][given[1] + len(given[2]) :]
    )

    @settings(max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(kept | damaged)
    @example(b"")
    def feed(data: bytes) -> None:
        TARGETS[target](data)

    feed()
