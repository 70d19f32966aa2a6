"""Whether a probability means what it says, and below which the model would rather not answer.

That threshold is found on the validation part, never on the test part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filmstrip.evaluation.predictions import Bools, Floats, Ints, Predictions

NUM_BINS = 15
"""Equal-width bins of confidence, as in Guo et al. (2017, see ``temperature``)."""

TARGET_ACCURACY = 0.95
"""What the answers that are given should reach."""

FEWEST_CLIPS = 20
"""Fewer validation clips than these say too little about a threshold."""

_THRESHOLD_STEP = 1e-4


class ReliabilityBin(NamedTuple):
    """The clips whose confidence lies in (low, high]; NaN where there are none."""

    low: float
    high: float
    num_clips: int
    confidence: float
    accuracy: float


def bins_of(confidence: Floats, num_bins: int = NUM_BINS) -> Ints:
    """The equal-width bin of each confidence (N,): bin b is (b / num_bins, (b + 1) / num_bins]."""
    bins = np.ceil(confidence * num_bins).astype(np.int64) - 1
    return np.clip(bins, 0, num_bins - 1)


def reliability(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> list[ReliabilityBin]:
    """Mean confidence and accuracy of each bin of confidence, for a reliability plot.

    Args:
        probs: (N, K) probabilities.
        labels: (N,) true classes.
        num_bins: how many bins of equal width.
    """
    part = Predictions.check(probs, labels)
    bins = bins_of(part.confidence, num_bins)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is meant: NaN marks a bin without clips
        confidence = np.bincount(bins, part.confidence, num_bins) / counts
        accuracy = np.bincount(bins, part.is_right, num_bins) / counts
    return [
        ReliabilityBin(
            b / num_bins,
            (b + 1) / num_bins,
            int(counts[b]),
            float(confidence[b]),
            float(accuracy[b]),
        )
        for b in range(num_bins)
    ]


def expected_calibration_error(
    probs: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """The gap between confidence and accuracy, meaned over bins by their clips (Guo et al.)."""
    bins = [b for b in reliability(probs, labels, num_bins) if b.num_clips]
    gaps = [abs(b.confidence - b.accuracy) for b in bins]
    return float(np.average(gaps, weights=[b.num_clips for b in bins]))


def brier_score(probs: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The squared error summed over classes, mean over clips, in [0, 2] (Brier, 1950)."""
    return float(Predictions.check(probs, labels).squared_errors.mean())


def accuracy_against_coverage(
    probs: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """What accuracy remains if only the most confident clips are answered.

    Clips of equal confidence are answered together.

    Returns:
        Three arrays (M,), one entry for each of the M different confidences, from the greatest:
        the confidence; the share of clips with at least it; and the accuracy of these.
    """
    part = Predictions.check(probs, labels)
    order = np.argsort(-part.confidence, kind="stable")
    confidence = part.confidence[order]
    last = np.append(np.flatnonzero(np.diff(confidence)), len(part) - 1)  # of equal confidences
    num_answered = last + 1
    num_right = np.cumsum(part.is_right[order])[last]
    return confidence[last], num_answered / len(part), num_right / num_answered


def abstention_threshold(
    probs: npt.ArrayLike,
    labels: npt.ArrayLike,
    target_accuracy: float = TARGET_ACCURACY,
    fewest_clips: int = FEWEST_CLIPS,
) -> float | None:
    """The lowest confidence from which on the answers to validation clips reach a target.

    A clip is answered if its confidence is at least the threshold, which has four decimals.

    Args:
        probs: (N, K) of the validation clips, after the temperature.
        labels: (N,) their true classes.
        target_accuracy: what share of the answers must be right.
        fewest_clips: how many clips must be answered for the share to mean anything.

    Returns:
        The threshold, or None where no threshold gives so many clips and this accuracy.
    """
    part = Predictions.check(probs, labels)
    order = np.argsort(part.confidence)
    confidence = part.confidence[order]
    candidates = np.unique(np.floor(confidence / _THRESHOLD_STEP))
    thresholds = np.round(candidates * _THRESHOLD_STEP, 4)
    first = np.searchsorted(confidence, thresholds)  # of the clips that are answered
    num_answered = len(part) - first
    num_right = np.append(np.cumsum(part.is_right[order][::-1])[::-1], 0)[first]
    reaches = (num_answered >= fewest_clips) & (num_right >= target_accuracy * num_answered)
    return float(thresholds[reaches][0]) if reaches.any() else None


def is_answered(probs: npt.ArrayLike, threshold: float | None) -> Bools:
    """Whether each clip of ``probs`` (N, K) is answered: all are, without a threshold."""
    confidence = np.asarray(probs).max(axis=-1)
    return np.asarray(confidence >= (0.0 if threshold is None else threshold))
