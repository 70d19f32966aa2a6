"""Predicted probabilities and true labels to the figures of one part, each with an interval.

A figure from a hundred clips is uncertain by several points, so none is given bare: every one
carries a 95 % interval, for which whole groups of clips are drawn (``bootstrap.py``). Where all
draws agree, as with a perfect score, it is Wilson's interval.

Classes with no clip in the part: macro F1 and mean average precision are means over the classes
that have one. Such a class still has its row in ``per_class``, with ``num_clips`` 0; there, as in
scikit-learn with ``zero_division=0``, a figure with nothing to divide by is 0, and its interval is
[0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from filmstrip.evaluation.bootstrap import Interval, Units, draws, interval
from filmstrip.evaluation.measures import average_precisions, measure
from filmstrip.evaluation.predictions import Bools, Floats, Ints, Predictions

# Columns of the resampled confusion counts that are sorted at once, to keep memory flat.
_COLUMNS_AT_ONCE = 4096
# Ranking all clips anew in each draw costs their number squared: of more than these, fewer draws.
_MOST_RANKED_CLIPS = 10_000
_NUM_DRAWS_OF_MANY = 100

T = TypeVar("T")


class Figures(TypedDict, Generic[T]):
    """The figures of a part, or their intervals.

    ``top5`` counts the clips whose class is among the min(5, K) most probable. ``loss`` is the
    mean cross-entropy in nats, ``ece`` the expected calibration error over 15 bins and ``brier``
    the Brier score, in [0, 2]: all three are of the probabilities as ``predict`` gives them, which
    is after the temperature. Of few clips ``ece`` is well above 0 even for a perfect model, and its
    interval with it. ``mean_average_precision`` is the mean over classes of the area under
    precision against recall. ``coverage`` is the share of clips that the model answers, not
    abstaining, and ``accuracy_answered`` its accuracy on these; all other figures are of all clips.
    """

    accuracy: T
    top5: T
    loss: T
    macro_f1: T
    mean_average_precision: T
    ece: T
    brier: T
    coverage: T
    accuracy_answered: T


FIGURES = tuple(Figures.__annotations__)
"""The names of the figures of a part."""


class ClassFigures(TypedDict, Generic[T]):
    """The figures of one class, or their intervals."""

    name: str
    precision: T
    recall: T
    f1: T


class ClassMetrics(ClassFigures[float]):
    """The figures of one class."""

    num_clips: int


ClassIntervals = ClassFigures[Interval]


class Intervals(Figures[Interval]):
    """The [low, high] intervals of the figures of the same names in ``Metrics``."""

    per_class: list[ClassIntervals]
    confusion: list[list[Interval]]


class Resampling(TypedDict):
    """What was drawn for the intervals: ``groups`` or ``clips``, and of how many."""

    units: str
    num_units: int


class Metrics(Figures[float]):
    """The figures of one part, in plain numbers and lists that ``json.dump`` writes as they are.

    ``confusion[i][j]`` counts the clips of class i told as class j.
    """

    num_clips: int
    per_class: list[ClassMetrics]
    confusion: list[list[int]]
    intervals: Intervals
    resampling: Resampling


def evaluate(
    probs: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    answered: npt.ArrayLike | None = None,
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
        groups: (N,) the group of each clip, to be drawn whole; without, each clip by itself.
        answered: (N,) bool, whether the model answers the clip; without, it answers all.
        num_resamples: how many times the part is resampled for the intervals; mean average
            precision of more than 10,000 clips takes the first 100.
        confidence: the share of resamples that an interval holds, in (0, 1).
        seed: of the resampling; the same seed gives the same intervals.

    Raises:
        DatasetError: when the part holds no clips.
        ValueError: when the arrays disagree, or ``probs`` are no probabilities.
    """
    part = Predictions.check(probs, labels)
    if part.num_classes != len(class_names):
        raise ValueError(f"probs {part.probs.shape} do not fit {len(class_names)} class names")
    if not 0 < confidence < 1 or num_resamples < 1:
        raise ValueError(
            f"confidence must lie in (0, 1) and num_resamples be at least 1, "
            f"not {confidence} and {num_resamples}"
        )
    is_answered = np.ones(len(part), bool) if answered is None else np.asarray(answered, bool)
    if is_answered.shape != part.labels.shape:
        raise ValueError(f"answered {is_answered.shape} does not fit {len(part)} clips")
    units = Units.of(groups, len(part))
    # The part itself is the draw that holds each clip once.
    once = np.ones((1, len(part)))
    point = measure(part, is_answered, once) | _ranked(part, once)
    drawn = _joined(measure(part, is_answered, w) for w in draws(units, num_resamples, seed))
    few = num_resamples if len(part) <= _MOST_RANKED_CLIPS else _NUM_DRAWS_OF_MANY
    drawn |= _joined(_ranked(part, w) for w in draws(units, min(num_resamples, few), seed))
    tail = (1 - confidence) / 2
    num_clips = np.bincount(part.labels, minlength=part.num_classes)
    confusion = _confusion(part)

    def value(figure: str, place: int | None = None) -> float:
        of_part = point[figure][0]
        return float(np.nan_to_num(of_part if place is None else of_part[place]))

    num_units = _num_units(part, is_answered, units)
    if answered is None:
        num_units["coverage"] = 0  # 1 by definition

    def spread(figure: str, place: int | None = None) -> Interval:
        if place is None:
            return interval(drawn[figure], value(figure), tail, num_units.get(figure, 0))
        resting_on = _units_of_class(part, units, figure, place)
        return interval(drawn[figure][:, place], value(figure, place), tail, resting_on)

    return {
        **_each(value),
        "num_clips": len(part),
        "per_class": [
            {**_each_of_class(value, name, k), "num_clips": int(num_clips[k])}
            for k, name in enumerate(class_names)
        ],
        "confusion": confusion.tolist(),
        "intervals": {
            **_each(spread),
            "per_class": [_each_of_class(spread, name, k) for k, name in enumerate(class_names)],
            "confusion": _confusion_intervals(drawn["cells"], confusion, tail),
        },
        "resampling": {"units": units.name, "num_units": units.num_units},
    }


def describe_interval(metrics: Mapping[str, Any]) -> str:
    """Say how the interval of the accuracy in ``metrics`` was found, in one sentence."""
    units, num_units = metrics["resampling"]["units"], metrics["resampling"]["num_units"]
    if metrics["accuracy"] in (0, 1):
        return (
            "All clips have the same outcome, which resampling cannot vary: the interval is "
            f"Wilson's 95 % interval for {num_units:,} independent {units}."
        )
    return f"The interval is a 95 % bootstrap interval; {num_units:,} {units} were resampled."


def summarise_folds(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean, standard deviation, least and greatest figure over folds.

    Folds count alike, however many clips each holds. The standard deviation is the sample's
    (ddof = 1), and None with a single fold.

    Args:
        metrics: what ``evaluate`` gave for each fold.

    Returns:
        ``num_folds``, ``num_clips`` (all folds together), and for each of the ``FIGURES`` the keys
        ``mean``, ``standard_deviation``, ``min`` and ``max``.
    """
    if not metrics:
        raise ValueError("there are no folds to summarise")
    summary: dict[str, Any] = {
        "num_folds": len(metrics),
        "num_clips": sum(int(fold["num_clips"]) for fold in metrics),
    }
    for figure in FIGURES:
        values = np.array([fold[figure] for fold in metrics], dtype=np.float64)
        summary[figure] = {
            "mean": float(values.mean()),
            "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else None,
            "min": float(values.min()),
            "max": float(values.max()),
        }
    return summary


def _each(give: Callable[[str], T]) -> Figures[T]:
    return {
        "accuracy": give("accuracy"),
        "top5": give("top5"),
        "loss": give("loss"),
        "macro_f1": give("macro_f1"),
        "mean_average_precision": give("mean_average_precision"),
        "ece": give("ece"),
        "brier": give("brier"),
        "coverage": give("coverage"),
        "accuracy_answered": give("accuracy_answered"),
    }


def _each_of_class(give: Callable[[str, int], T], name: str, place: int) -> ClassFigures[T]:
    return {
        "name": name,
        "precision": give("precision", place),
        "recall": give("recall", place),
        "f1": give("f1", place),
    }


def _ranked(part: Predictions, weights: Floats) -> dict[str, Floats]:
    """Mean average precision (R,) of R draws, over the classes that have a clip in the draw."""
    of_class = average_precisions(part.probs, part.labels, weights)  # (R, K)
    return {"mean_average_precision": np.nanmean(of_class, axis=1)}


def _num_units(part: Predictions, is_answered: Bools, units: Units) -> dict[str, int]:
    """On how many units each figure rests that is a share or a mean of shares."""
    shares = ("accuracy", "macro_f1", "mean_average_precision", "coverage")
    num_units = dict.fromkeys(shares, units.num_units)
    num_units["accuracy_answered"] = units.num_of(is_answered)
    if part.num_classes > 5:  # otherwise 1 by definition
        num_units["top5"] = units.num_units
    return num_units


def _units_of_class(part: Predictions, units: Units, figure: str, place: int) -> int:
    """On how many units precision, recall or F1 of a class rests."""
    is_true, is_predicted = part.labels == place, part.predicted == place
    chosen = {"precision": is_predicted, "recall": is_true, "f1": is_true | is_predicted}
    return units.num_of(chosen[figure])


def _joined(blocks: Iterable[dict[str, Floats]]) -> dict[str, Floats]:
    """The figures of blocks of draws, one block below the other."""
    listed = list(blocks)
    return {name: np.concatenate([block[name] for block in listed]) for name in listed[0]}


def _confusion(part: Predictions) -> Ints:
    """(K, K) counts of clips, rows truth."""
    counts = np.bincount(
        part.labels * part.num_classes + part.predicted, minlength=part.num_classes**2
    )
    return counts.reshape(part.num_classes, part.num_classes)


def _confusion_intervals(cells: Floats, confusion: Ints, tail: float) -> list[list[Interval]]:
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
