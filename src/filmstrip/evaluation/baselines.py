"""What a classifier must beat: the commonest class, and what a file's size and duration give.

Clips that were cut or cropped by hand often tell their class by shape and duration alone. The
metadata baseline measures this leak without looking at one pixel; a network's accuracy means
only what it has above it.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from filmstrip.errors import DatasetError
from filmstrip.evaluation.bootstrap import Interval
from filmstrip.evaluation.metrics import evaluate
from filmstrip.evaluation.predictions import Floats, Ints

_NUM_TREES = 100
# A tree holds one number per node and class: these keep the forest below 1 GB at 400 classes.
_MAX_CLIPS_A_TREE = 10_000
_MAX_LEAVES_A_TREE = 1000


class BaselineIntervals(TypedDict):
    """The [low, high] 95 % intervals of a baseline's figures."""

    accuracy: Interval
    macro_f1: Interval


class BaselineMetrics(TypedDict):
    """The figures of a baseline on the test part, with the meaning they have in ``Metrics``."""

    accuracy: float
    macro_f1: float
    num_clips: int
    intervals: BaselineIntervals


def majority_baseline(
    train_labels: npt.ArrayLike, test_labels: npt.ArrayLike, num_classes: int
) -> BaselineMetrics:
    """Measure answering every clip with the commonest class of the training part.

    Args:
        train_labels: (N,) integers in [0, num_classes).
        test_labels: (M,) integers in [0, num_classes).
        num_classes: the number of classes. Of equally common ones the first is taken.

    Raises:
        DatasetError: when a part holds no clips.
        ValueError: when a label is no class.
    """
    train, test = _checked_labels(train_labels), _checked_labels(test_labels)
    if max(train.max(), test.max()) >= num_classes:
        raise ValueError(f"labels must be integers in [0, {num_classes})")
    commonest = np.bincount(train, minlength=num_classes).argmax()
    return _measure(np.full_like(test, commonest), test, num_classes)


def metadata_baseline(
    train_metadata: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    test_metadata: npt.ArrayLike,
    test_labels: npt.ArrayLike,
) -> BaselineMetrics:
    """Measure what width, height and duration tell about the class, without the pictures.

    A random forest reads the three numbers and the aspect ratio. A forest, since a leak may be
    two pixels in a thousand or one class's odd resolution: on planted leaks nearest neighbours
    on standardised values missed the first kind. Its settings are fixed, never tuned on a part.

    Args:
        train_metadata: (N, 3) width and height in pixels, duration in seconds; NaN where unknown.
        train_labels: (N,) integers, 0 or greater.
        test_metadata: (M, 3), as ``train_metadata``.
        test_labels: (M,) integers, 0 or greater.

    Raises:
        DatasetError: when a part holds no clips.
        ValueError: when the arrays disagree.
    """
    train, test = _checked_labels(train_labels), _checked_labels(test_labels)
    train_values = _with_aspect_ratio(train_metadata, len(train))
    test_values = _with_aspect_ratio(test_metadata, len(test))
    forest = leak_forest(len(train))
    forest.fit(train_values, train)
    num_classes = max(2, int(max(train.max(), test.max())) + 1)
    return _measure(forest.predict(test_values), test, num_classes)


def leak_forest(num_clips: int) -> RandomForestClassifier:
    """The unfitted forest that looks for leaks in values of so many training clips."""
    return RandomForestClassifier(
        _NUM_TREES,
        max_features=None,
        min_samples_leaf=2,
        max_leaf_nodes=_MAX_LEAVES_A_TREE,
        max_samples=_MAX_CLIPS_A_TREE if num_clips > _MAX_CLIPS_A_TREE else None,
        random_state=0,
    )


def _checked_labels(labels: npt.ArrayLike) -> Ints:
    checked = np.asarray(labels)
    if checked.size == 0:
        raise DatasetError(
            "a part of the data set with no clips in it",
            "labelled clips to learn from and to test on",
            "check the split, and whether every clip of the part was skipped as unreadable.",
        )
    if checked.ndim != 1 or not np.issubdtype(checked.dtype, np.integer) or checked.min() < 0:
        raise ValueError("labels must be a row of integers, 0 or greater")
    return checked.astype(np.int64)


def _with_aspect_ratio(metadata: npt.ArrayLike, num_clips: int) -> Floats:
    """(N, 3) width, height, duration to (N, 4); what is not finite becomes NaN, for unknown."""
    values = np.asarray(metadata, dtype=np.float64)
    if values.shape != (num_clips, 3):
        raise ValueError(f"metadata {values.shape} do not fit the labels: not ({num_clips}, 3)")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values[:, 0] / values[:, 1]
    columns = np.column_stack([values, ratio])
    return np.where(np.isfinite(columns), columns, np.nan)


def _measure(predicted: Ints, labels: Ints, num_classes: int) -> BaselineMetrics:
    metrics = evaluate(np.eye(num_classes)[predicted], labels, [""] * num_classes)
    intervals = metrics["intervals"]
    return {
        "accuracy": metrics["accuracy"],
        "macro_f1": metrics["macro_f1"],
        "num_clips": metrics["num_clips"],
        "intervals": {"accuracy": intervals["accuracy"], "macro_f1": intervals["macro_f1"]},
    }
