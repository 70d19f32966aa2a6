"""The first figure of a report, with all that it must not be quoted without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filmstrip.app.report.record import Record
from filmstrip.evaluation.bootstrap import FEWEST_GROUPS, interval_without_spread
from filmstrip.evaluation.metrics import describe_interval


@dataclass(frozen=True, slots=True)
class Compared:
    """An accuracy beside others; ``interval`` is None where none was measured."""

    name: str
    accuracy: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Headline:
    """The accuracy, what it is measured on, and what it must be compared with.

    Attributes:
        compared: the run first, then its baselines.
        measured_on: one sentence.
        cautions: what makes the figure less than it seems, a sentence each.
    """

    compared: list[Compared]
    measured_on: str
    cautions: list[str]


def make_headline(record: Record) -> Headline:
    """The headline of a run."""
    figures = record.metrics[record.split]
    compared = [Compared(record.request.recipe.name, figures["accuracy"], _interval(figures))]
    for key, name in (
        ("metadata", "size and duration alone"),
        ("majority", "the commonest class alone"),
    ):
        if record.metrics["baselines"][key] is not None:
            compared.append(Compared(name, record.metrics["baselines"][key], None))
    return Headline(compared, _measured_on(record), _cautions(record, compared))


def _interval(figures: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of the accuracy; runs of earlier versions stored a perfect one as 1 to 1."""
    low, high = figures["intervals"]["accuracy"]
    if low == high:
        num_units = figures["resampling"]["num_units"]
        low, high = interval_without_spread(figures["accuracy"], num_units)
    return low, high


def _measured_on(record: Record) -> str:
    figures = record.metrics[record.split]
    folds = record.metrics["folds"]
    how = f", each by the one of {len(folds)} classifiers that had it held out" if folds else ""
    part = {"test": "test", "val": "validation"}[record.split]
    told = f"Measured on {figures['num_clips']:,} {part} clips{how}."
    return f"{told} {describe_interval(figures)}"


def _cautions(record: Record, compared: list[Compared]) -> list[str]:
    resampling = record.metrics[record.split]["resampling"]
    low = compared[0].interval[0] if compared[0].interval else compared[0].accuracy
    cautions = []
    if record.split == "val":
        cautions.append(
            "There is no test part. These clips chose the epoch and the temperature, so the "
            "figures flatter, and how good the model is on new clips is not known."
        )
    is_resampled = resampling["units"] == "groups" and compared[0].accuracy not in (0, 1)
    if is_resampled and resampling["num_units"] < FEWEST_GROUPS:
        cautions.append(f"{resampling['num_units']} groups are few: the interval is too narrow.")
    cautions += [
        f"It is not shown to be better than {other.name}, which gives {other.accuracy:.3f}."
        for other in compared[1:]
        if other.accuracy >= low
    ]
    return cautions
