from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline_strips import wrap


@pytest.mark.parametrize(
    ("end_seconds", "num_strips", "strip_seconds"),
    [(30, 1, 30), (90, 2, 60), (3600, 6, 600), (3601, 5, 900), (90_000, 5, 18_000)],
)
def test_strips_have_a_round_length(
    end_seconds: float, num_strips: int, strip_seconds: float
) -> None:
    strips = wrap([], end_seconds, 6)
    assert len(strips) == num_strips
    assert {strip.end_seconds - strip.start_seconds for strip in strips} == {strip_seconds}


@given(st.floats(0.1, 50_000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 30))
def test_the_pieces_of_a_segment_are_as_long_as_it(
    end_seconds: float, one: float, other: float, max_strips: int
) -> None:
    start, end = sorted((one * end_seconds, other * end_seconds))
    strips = wrap([Segment("a", start, end, 1.0)], end_seconds, max_strips)
    assert len(strips) <= max_strips
    assert strips[-1].end_seconds >= end_seconds
    pieces = [piece for strip in strips for piece in strip.pieces]
    lengths = [piece.end_seconds - piece.start_seconds for piece in pieces]
    assert sum(lengths) == pytest.approx(end - start)
