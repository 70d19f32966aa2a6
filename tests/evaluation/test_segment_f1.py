from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.evaluation.segment_f1 import Stretch, overlap_of, score_segments

_STRETCHES = st.lists(
    st.builds(
        lambda label, start, length: Stretch(label, start, start + length),
        st.sampled_from("ab"),
        st.floats(0, 100),
        st.floats(0.1, 10),
    ),
    max_size=8,
)


def test_half_of_a_segment_is_an_overlap_of_a_half() -> None:
    assert overlap_of(Stretch("a", 0, 4), Stretch("a", 2, 4)) == pytest.approx(0.5)
    assert overlap_of(Stretch("a", 0, 4), Stretch("a", 4, 6)) == 0
    assert overlap_of(Stretch("a", 0, 4), Stretch("b", 0, 4)) == 0


def test_a_segment_that_is_cut_up_is_found_once() -> None:
    truth = [Stretch("a", 0, 4), Stretch("b", 5, 6)]
    score = score_segments(truth, [Stretch("a", 0, 2), Stretch("a", 2, 4)])
    assert (score.num_true, score.num_predicted, score.num_found) == (2, 2, 1)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)


def test_where_there_is_nothing_the_score_is_zero() -> None:
    score = score_segments([], [])
    assert (score.precision, score.recall, score.f1) == (0, 0, 0)


@given(_STRETCHES, _STRETCHES)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(
    truth: list[Stretch], predicted: list[Stretch]
) -> None:
    score = score_segments(truth, predicted)
    assert score.num_found <= min(len(truth), len(predicted))
    if score.num_found:
        expected = 2 / (1 / score.precision + 1 / score.recall)
        assert score.f1 == pytest.approx(expected)
    assert score_segments(truth, truth).num_found == len(truth)
