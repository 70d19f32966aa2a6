"""Predicted probabilities and true labels to the figures of one part, each with an interval.

A figure from a hundred clips is uncertain by several points, so none is given bare: every one
carries a bootstrap percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, chapter 13). Clips are drawn with replacement, each as often as any other; clips cut from
one recording resemble each other, so over few recordings the truth is wider than the interval.

Classes with no clip in the part: macro F1 is the mean over the classes that have one. Such a
class still has its row in ``per_class``, with ``num_clips`` 0; there, as in scikit-learn with
``zero_division=0``, a figure with nothing to divide by is 0, and its interval is [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from filmstrip.errors import DatasetError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = list[float]

# How far the probabilities of one clip may sum from 1: half precision strays this far.
_SUM_TOLERANCE = 1e-2
# Columns of the resampled confusion counts that are sorted at once, to keep memory flat.
_COLUMNS_AT_ONCE = 4096


class ClassMetrics(TypedDict):
    """The figures of one class."""

    name: str
    precision: float
    recall: float
    f1: float
    num_clips: int


class ClassIntervals(TypedDict):
    """The [low, high] intervals of one class's figures."""

    name: str
    precision: Interval
    recall: Interval
    f1: Interval


class Intervals(TypedDict):
    """The [low, high] intervals of the figures of the same names in ``Metrics``."""

    accuracy: Interval
    top5: Interval
    loss: Interval
    macro_f1: Interval
    per_class: list[ClassIntervals]
    confusion: list[list[Interval]]


class Metrics(TypedDict):
    """The figures of one part, in plain numbers and lists that ``json.dump`` writes as they are.

    ``top5`` counts the clips whose class is among the min(5, K) most probable, ``loss`` is the
    mean cross-entropy in nats, ``confusion[i][j]`` counts the clips of class i told as class j.
    """

    accuracy: float
    top5: float
    loss: float
    macro_f1: float
    num_clips: int
    per_class: list[ClassMetrics]
    confusion: list[list[int]]
    intervals: Intervals


def evaluate(
    probs: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str],
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Metrics:
    """Measure predictions against the truth.

    Of classes with equal probability the first counts as the more probable.

    Args:
        probs: (N, K) probabilities, each row summing to 1.
        labels: (N,) true classes, integers in [0, K).
        class_names: the K names.
        num_resamples: how many times the part is resampled for the intervals.
        confidence: the share of resamples that an interval holds, in (0, 1).
        seed: of the resampling; the same seed gives the same intervals.

    Raises:
        DatasetError: when the part holds no clips.
        ValueError: when the arrays disagree, or ``probs`` are no probabilities.
    """
    part = _Predictions.check(probs, labels, class_names)
    if not 0 < confidence < 1 or num_resamples < 1:
        raise ValueError(
            f"confidence must lie in (0, 1) and num_resamples be at least 1, "
            f"not {confidence} and {num_resamples}"
        )
    classes = np.arange(part.num_classes)
    confusion = confusion_matrix(part.labels, part.predicted, labels=classes)
    precision, recall, f1, num_clips = precision_recall_fscore_support(
        part.labels, part.predicted, labels=classes, zero_division=0
    )
    present = classes[num_clips > 0]
    macro_f1 = f1_score(
        part.labels, part.predicted, labels=present, average="macro", zero_division=0
    )
    resamples = _resample(part, num_resamples, seed)
    tail = (1 - confidence) / 2
    accuracy = float(accuracy_score(part.labels, part.predicted))
    top5, loss = float(part.in_top5.mean()), float(part.losses.mean())
    return {
        "accuracy": accuracy,
        "top5": top5,
        "loss": loss,
        "macro_f1": float(macro_f1),
        "num_clips": len(part.labels),
        "per_class": [
            {
                "name": name,
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": float(f1[k]),
                "num_clips": int(num_clips[k]),
            }
            for k, name in enumerate(class_names)
        ],
        "confusion": confusion.tolist(),
        "intervals": {
            "accuracy": _interval(resamples.accuracy, accuracy, tail),
            "top5": _interval(resamples.top5, top5, tail),
            "loss": _interval(resamples.loss, loss, tail),
            "macro_f1": _interval(resamples.macro_f1, float(macro_f1), tail),
            "per_class": [
                {
                    "name": name,
                    "precision": _interval(resamples.precision[:, k], precision[k], tail),
                    "recall": _interval(resamples.recall[:, k], recall[k], tail),
                    "f1": _interval(resamples.f1[:, k], f1[k], tail),
                }
                for k, name in enumerate(class_names)
            ],
            "confusion": _confusion_intervals(resamples.cells, confusion, tail),
        },
    }


def summarise_folds(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean, standard deviation, least and greatest figure over folds.

    Folds count alike, however many clips each holds. The standard deviation is the sample's
    (ddof = 1), and None with a single fold.

    Args:
        metrics: what ``evaluate`` gave for each fold.

    Returns:
        ``num_folds``, ``num_clips`` (all folds together), and for each of ``accuracy``, ``top5``,
        ``loss`` and ``macro_f1`` the keys ``mean``, ``standard_deviation``, ``min`` and ``max``.
    """
    if not metrics:
        raise ValueError("there are no folds to summarise")
    summary: dict[str, Any] = {
        "num_folds": len(metrics),
        "num_clips": sum(int(fold["num_clips"]) for fold in metrics),
    }
    for figure in ("accuracy", "top5", "loss", "macro_f1"):
        values = np.array([fold[figure] for fold in metrics], dtype=np.float64)
        summary[figure] = {
            "mean": float(values.mean()),
            "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else None,
            "min": float(values.min()),
            "max": float(values.max()),
        }
    return summary


@dataclass(frozen=True)
class _Predictions:
    """What the figures need of each clip."""

    labels: Ints  # (N,)
    predicted: Ints  # (N,)
    in_top5: npt.NDArray[np.bool_]  # (N,)
    losses: Floats  # (N,) nats
    num_classes: int

    @classmethod
    def check(
        cls, probs: npt.ArrayLike, labels: npt.ArrayLike, class_names: Sequence[str]
    ) -> _Predictions:
        p, y, num_classes = (
            np.asarray(probs, dtype=np.float64),
            np.asarray(labels),
            len(class_names),
        )
        if y.size == 0:
            raise DatasetError(
                "a part of the data set with no clips in it",
                "at least one labelled clip to measure on",
                "check the split, and whether every clip of the part was skipped as unreadable.",
            )
        if y.ndim != 1 or p.shape != (len(y), num_classes):
            raise ValueError(
                f"probs {p.shape} and labels {y.shape} do not fit {num_classes} class names: "
                f"expected (N, {num_classes}) and (N,)"
            )
        if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= num_classes:
            raise ValueError(f"labels must be integers in [0, {num_classes})")
        # Written so that NaN fails too.
        if not (p.min() >= 0 and np.all(np.abs(p.sum(axis=1) - 1) <= _SUM_TOLERANCE)):
            raise ValueError("probs must be finite, not negative, and sum to 1 for each clip")
        best_first = np.argsort(-p, axis=1, kind="stable")[:, : min(5, num_classes)]
        of_truth = np.clip(p[np.arange(len(y)), y], np.finfo(np.float64).eps, 1)
        return cls(
            labels=y.astype(np.int64),
            predicted=best_first[:, 0],
            in_top5=(best_first == y[:, None]).any(axis=1),
            losses=-np.log(of_truth),
            num_classes=num_classes,
        )


@dataclass(frozen=True)
class _Resamples:
    """The figures of R resamples; NaN where a resample has nothing to divide by."""

    accuracy: Floats  # (R,)
    top5: Floats  # (R,)
    loss: Floats  # (R,)
    macro_f1: Floats  # (R,)
    precision: Floats  # (R, K)
    recall: Floats  # (R, K)
    f1: Floats  # (R, K)
    cells: npt.NDArray[np.int32]  # (R, C) counts of the C cells of the confusion that hold a clip


def _resample(part: _Predictions, num_resamples: int, seed: int) -> _Resamples:
    """Draw the N clips with replacement, ``num_resamples`` times, and measure each draw.

    All counts follow from the C occupied cells (truth, predicted) of the confusion, and C is at
    most N: a draw costs O(N + K), whatever K squared is.
    """
    rng = np.random.default_rng(seed)
    num_clips, num_classes = len(part.labels), part.num_classes
    occupied, cell_of_clip = np.unique(
        part.labels * num_classes + part.predicted, return_inverse=True
    )
    truth, predicted = np.divmod(occupied, num_classes)
    right = truth == predicted
    cells = np.empty((num_resamples, len(occupied)), dtype=np.int32)
    top5, loss = np.empty(num_resamples), np.empty(num_resamples)
    num_right, num_true, num_predicted = np.empty((3, num_resamples, num_classes))
    for r in range(num_resamples):
        drawn = rng.integers(num_clips, size=num_clips)
        cells[r] = np.bincount(cell_of_clip[drawn], minlength=len(occupied))
        num_right[r] = np.bincount(truth[right], cells[r, right], minlength=num_classes)
        num_true[r] = np.bincount(truth, cells[r], minlength=num_classes)
        num_predicted[r] = np.bincount(predicted, cells[r], minlength=num_classes)
        top5[r] = part.in_top5[drawn].mean()
        loss[r] = part.losses[drawn].mean()
    with np.errstate(invalid="ignore"):  # 0 / 0 is meant: it marks what a draw cannot tell
        f1 = 2 * num_right / (num_true + num_predicted)
        return _Resamples(
            accuracy=num_right.sum(axis=1) / num_clips,
            top5=top5,
            loss=loss,
            macro_f1=np.mean(f1, axis=1, where=num_true > 0),
            precision=num_right / num_predicted,
            recall=num_right / num_true,
            f1=f1,
            cells=cells,
        )


def _interval(values: Floats, point: float, tail: float) -> Interval:
    """The [low, high] that leaves out the share ``tail`` of the values on either side.

    F1 of few clips is biased in resamples; the interval is widened to hold the figure itself.
    """
    known = values[~np.isnan(values)]
    if known.size == 0:
        return [0.0, 1.0]
    low, high = np.quantile(known, [tail, 1 - tail])
    return [min(float(low), float(point)), max(float(high), float(point))]


def _confusion_intervals(
    cells: npt.NDArray[np.int32], confusion: Ints, tail: float
) -> list[list[Interval]]:
    """Intervals of each count of the confusion (K, K); a cell without clips has [0, 0]."""
    occupied = np.flatnonzero(confusion)
    intervals = np.zeros((confusion.size, 2))
    for start in range(0, len(occupied), _COLUMNS_AT_ONCE):
        columns = slice(start, start + _COLUMNS_AT_ONCE)
        intervals[occupied[columns]] = np.quantile(cells[:, columns], [tail, 1 - tail], axis=0).T
    intervals[:, 0] = np.minimum(intervals[:, 0], confusion.ravel())
    intervals[:, 1] = np.maximum(intervals[:, 1], confusion.ravel())
    nested: list[list[Interval]] = intervals.reshape(*confusion.shape, 2).tolist()
    return nested
