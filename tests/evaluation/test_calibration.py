"""Calibration against torchmetrics, scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_logits import random_logits
from scipy.special import softmax
from sklearn.metrics import accuracy_score, brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from filmstrip.errors import DatasetError
from filmstrip.evaluation.calibration import (
    abstention_threshold,
    accuracy_against_coverage,
    brier_score,
    expected_calibration_error,
    is_answered,
    reliability,
)

SEEDS = st.integers(0, 10_000)


def random_answers(seed: int, **shape: int) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = random_logits(seed, **shape)
    return softmax(logits, axis=1), labels


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, num_classes=st.integers(2, 12), num_bins=st.sampled_from([1, 5, 15]))
def test_the_calibration_error_is_that_of_torchmetrics(
    seed: int, num_classes: int, num_bins: int
) -> None:
    probs, labels = random_answers(seed, num_classes=num_classes)
    expected = multiclass_calibration_error(
        torch.tensor(probs), torch.tensor(labels), num_classes, n_bins=num_bins, norm="l1"
    )
    measured = expected_calibration_error(probs, labels, num_bins)
    assert measured == pytest.approx(float(expected), abs=1e-6)


def test_the_bins_are_open_below_and_closed_above() -> None:
    # One half lies in the first of two bins; one lies in the second.
    bins = reliability([[0.5, 0.5], [1.0, 0.0]], [0, 0], num_bins=2)
    assert [(b.low, b.high, b.num_clips) for b in bins] == [(0, 0.5, 1), (0.5, 1, 1)]


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, num_classes=st.integers(2, 6))
def test_each_bin_has_the_mean_confidence_and_the_accuracy_of_its_clips(
    seed: int, num_classes: int
) -> None:
    probs, labels = random_answers(seed, num_classes=num_classes)
    confidence, predicted = probs.max(axis=1), probs.argmax(axis=1)
    bins = reliability(probs, labels)
    assert sum(b.num_clips for b in bins) == len(labels)
    for b in bins:
        inside = (confidence > b.low) & (confidence <= b.high)
        assert b.num_clips == inside.sum()
        if b.num_clips:
            assert b.confidence == pytest.approx(confidence[inside].mean())
            assert b.accuracy == pytest.approx(accuracy_score(labels[inside], predicted[inside]))
        else:
            assert np.isnan([b.confidence, b.accuracy]).all()


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, num_classes=st.integers(3, 8))
def test_the_brier_score_is_scikit_learns(seed: int, num_classes: int) -> None:
    probs, labels = random_answers(seed, num_classes=num_classes)
    expected = brier_score_loss(labels, probs, labels=np.arange(num_classes), scale_by_half=False)
    assert brier_score(probs, labels) == pytest.approx(expected)


def test_a_certain_mistake_has_the_brier_score_two() -> None:
    assert brier_score([[1.0, 0.0]], [1]) == 2


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, num_clips=st.integers(1, 60))
def test_accuracy_against_coverage_is_that_of_the_clips_that_are_left(
    seed: int, num_clips: int
) -> None:
    probs, labels = random_answers(seed, num_clips=num_clips)
    probs = np.round(probs, 1)  # so that many clips are equally confident
    probs[:, -1] = 1 - probs[:, :-1].sum(axis=1).clip(max=1)
    probs /= probs.sum(axis=1, keepdims=True)
    confidence, coverage, accuracy = accuracy_against_coverage(probs, labels)
    assert (np.diff(confidence) < 0).all()
    assert coverage[-1] == 1
    for least, share, right in zip(confidence, coverage, accuracy, strict=True):
        kept = probs.max(axis=1) >= least
        assert share == pytest.approx(kept.mean())
        assert right == pytest.approx((probs.argmax(axis=1) == labels)[kept].mean())


@settings(deadline=None, max_examples=30)
@given(
    seed=SEEDS,
    num_clips=st.integers(1, 150),
    target=st.sampled_from([0.5, 0.8, 0.95, 1.0]),
    fewest=st.sampled_from([1, 20]),
)
def test_the_threshold_is_the_lowest_that_reaches_the_target(
    seed: int, num_clips: int, target: float, fewest: int
) -> None:
    probs, labels = random_answers(seed, num_clips=num_clips)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels

    def reaches(threshold: float) -> bool:
        kept = confidence >= threshold
        return bool(kept.sum() >= fewest and right[kept].mean() >= target)

    found = abstention_threshold(probs, labels, target, fewest)
    lowest_confidence = np.floor(1e4 * confidence.min()) / 1e4
    candidates = np.arange(lowest_confidence, 1.0001, 1e-4).round(4)
    expected = [threshold for threshold in candidates if reaches(threshold)]
    if found is None:
        assert not expected
    else:
        assert reaches(found)
        # Thresholds between two clips' confidences keep the same clips.
        assert (confidence >= found).sum() == (confidence >= expected[0]).sum()


def test_fewer_clips_than_twenty_give_no_threshold() -> None:
    probs = np.tile([0.9, 0.1], (19, 1))
    assert abstention_threshold(probs, np.zeros(19, int)) is None
    probs = np.tile([0.9, 0.1], (20, 1))
    assert abstention_threshold(probs, np.zeros(20, int)) == pytest.approx(0.9, abs=1e-4)


def test_a_threshold_divides_the_clips_and_none_answers_all() -> None:
    probs = [[0.6, 0.4], [0.8, 0.2], [0.3, 0.7]]
    assert is_answered(probs, 0.7).tolist() == [False, True, True]
    assert is_answered(probs, None).tolist() == [True, True, True]


def test_no_clips_are_a_dataset_error() -> None:
    for function in (reliability, expected_calibration_error, brier_score, abstention_threshold):
        with pytest.raises(DatasetError, match="no clips"):
            function(np.empty((0, 2)), np.empty(0, int))
