"""Black and frozen stretches, on pictures made for it."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.dataset.doctor.stretches import StretchFinder

FPS = 10


def find(levels: list[int]) -> StretchFinder:
    """A finder that heard one flat picture for each grey level."""
    finder = StretchFinder()
    for number, level in enumerate(levels):
        finder.hear(number / FPS, np.full((8, 8), level, dtype=np.uint8))
    return finder


def spans(stretches: tuple[object, ...]) -> list[tuple[float, float]]:
    return [(one.start_seconds, one.end_seconds) for one in stretches]  # type: ignore[attr-defined]


def test_a_still_picture_is_frozen_from_its_first_frame_to_the_next_other_one() -> None:
    finder = find([50, 100, *[150] * 12, 200, 250])
    assert spans(finder.frozen(1.6)) == [(0.2, 1.4)]


def test_slow_motion_is_not_frozen() -> None:
    assert find([100 + number // 3 for number in range(60)]).frozen(6.0) == ()


def test_a_black_stretch_is_not_told_twice_as_frozen() -> None:
    finder = find([100, 200, *[5] * 15])
    assert spans(finder.black(1.7)) == [(0.2, 1.7)]
    assert finder.frozen(1.7) == ()


def test_a_short_stretch_is_told_of_where_it_fills_half_the_clip() -> None:
    finder = find([0, 0, 0, 0, 100, 200])
    assert spans(finder.black(0.6)) == [(0.0, 0.4)]
    assert finder.black(6.0) == ()


def test_a_single_frame_is_no_stretch() -> None:
    finder = find([0])
    assert finder.black(0.1) == finder.frozen(0.1) == ()


@given(st.lists(st.sampled_from([0, 90, 180, 255]), min_size=1, max_size=60))
def test_stretches_are_apart_in_order_and_within_the_clip(levels: list[int]) -> None:
    duration = len(levels) / FPS
    finder = find(levels)
    found = sorted(spans(finder.black(duration)) + spans(finder.frozen(duration)))
    assert all(0 <= start < end <= duration for start, end in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
