from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.errors import RecipeError
from filmstrip.inference.segments import Hysteresis, Segment, find_segments
from filmstrip.inference.timeline import TimelineStep

NAMES = ("a", "b", "c")


def _steps(*rows: tuple[float, float, float]) -> list[TimelineStep]:
    return [TimelineStep(n, n + 1, np.array(row)) for n, row in enumerate(rows)]


def _sure(labels: str) -> list[TimelineStep]:
    """A step for each letter, ``-`` for none that is sure."""
    rows = {"a": (0.9, 0.05, 0.05), "b": (0.05, 0.9, 0.05), "-": (0.34, 0.33, 0.33)}
    return _steps(*(rows[label] for label in labels))


def _spans(segments: list[Segment]) -> list[tuple[str, float, float]]:
    return [(segment.label, segment.start_seconds, segment.end_seconds) for segment in segments]


def test_a_probability_that_wavers_between_the_thresholds_neither_begins_nor_ends_one() -> None:
    wavering = [0.5, 0.7, 0.5, 0.45, 0.65, 0.41, 0.39, 0.5, 0.59]
    steps = _steps(*((p, (1 - p) / 2, (1 - p) / 2) for p in wavering))
    found = list(find_segments(steps, NAMES, Hysteresis(0.6, 0.4)))
    assert _spans(found) == [("a", 1, 6)]
    assert found[0].confidence == pytest.approx(np.mean(wavering[1:6]))


def test_a_class_that_is_sure_takes_over_even_where_the_other_has_not_left() -> None:
    steps = _steps((0.7, 0.2, 0.1), (0.35, 0.6, 0.05), (0.3, 0.6, 0.1))
    assert _spans(list(find_segments(steps, NAMES, Hysteresis(0.6, 0.3)))) == [
        ("a", 0, 1),
        ("b", 1, 3),
    ]


def test_short_segments_are_dropped_and_short_interruptions_closed() -> None:
    rules = Hysteresis(0.6, 0.4, min_seconds=2)
    assert _spans(list(find_segments(_sure("aaabaaa--b"), NAMES, rules))) == [("a", 0, 7)]
    assert _spans(list(find_segments(_sure("aa--aa"), NAMES, rules))) == [("a", 0, 2), ("a", 4, 6)]
    assert _spans(list(find_segments(_sure("aa-aabbaa"), NAMES, rules))) == [
        ("a", 0, 5),
        ("b", 5, 7),
        ("a", 7, 9),
    ]


@given(
    rows=st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), max_size=40),
    thresholds=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    min_seconds=st.integers(0, 4),
)
def test_segments_are_ordered_long_enough_and_never_overlap(
    rows: list[tuple[float, float, float]], thresholds: tuple[float, float], min_seconds: int
) -> None:
    steps = _steps(*(tuple(np.array(row) / sum(row)) for row in rows))
    rules = Hysteresis(max(thresholds), min(thresholds), min_seconds)
    found = list(find_segments(steps, NAMES, rules))
    for segment in found:
        assert segment.num_seconds >= max(min_seconds, 1)
        assert min(thresholds) - 1e-9 <= segment.confidence <= 1
    for before, after in itertools.pairwise(found):
        assert before.end_seconds <= after.start_seconds
        if before.label == after.label:
            assert after.start_seconds - before.end_seconds >= min_seconds


@pytest.mark.parametrize("values", [(0.4, 0.6, 0), (1.2, 0.4, 0), (0.6, 0, 0), (0.6, 0.4, -1)])
def test_thresholds_that_make_no_sense_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(RecipeError, match="leave"):
        Hysteresis(*values)
