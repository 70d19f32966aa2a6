"""The first figure of a report, with all that it must not be quoted without."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

from filmstrip.app.report.record import Record

FEWEST_GROUPS = 10
"""Intervals from fewer whole groups come out too narrow."""


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
    low, high = figures["intervals"]["accuracy"]
    compared = [Compared(record.request.recipe.name, figures["accuracy"], (low, high))]
    for key, name in (
        ("metadata", "width, height and duration alone"),
        ("majority", "the commonest class alone"),
    ):
        if record.metrics["baselines"][key] is not None:
            compared.append(Compared(name, record.metrics["baselines"][key], None))
    return Headline(compared, _measured_on(record), _cautions(record, compared))


def _measured_on(record: Record) -> str:
    figures = record.metrics[record.split]
    resampling = figures["resampling"]
    drawn = f"{resampling['num_units']:,} {resampling['units']} drawn anew"
    folds = record.metrics["folds"]
    how = f", each by the one of {len(folds)} classifiers that had it held out" if folds else ""
    part = {"test": "test", "val": "validation"}[record.split]
    return (
        f"Measured on {figures['num_clips']:,} {part} clips{how}. The interval is a 95 % bootstrap "
        f"interval, with {drawn}."
    )


def _cautions(record: Record, compared: list[Compared]) -> list[str]:
    figures = record.metrics[record.split]
    resampling = figures["resampling"]
    low, high = figures["intervals"]["accuracy"]
    cautions = []
    if record.split == "val":
        cautions.append(
            "There is no test part. These clips chose the epoch and the temperature, so the "
            "figures flatter, and how good the model is on new clips is not known."
        )
    if low == high:
        num_clips = figures["num_clips"]
        num_right = round(figures["accuracy"] * num_clips)
        share = binomtest(num_right, num_clips).proportion_ci(0.95, method="wilson")
        cautions.append(
            "All clips have one outcome, so drawing them anew shows no spread. Wilson's interval "
            f"is {share.low:.3f} to {share.high:.3f}, if clips are independent."
        )
    if resampling["units"] == "groups" and resampling["num_units"] < FEWEST_GROUPS:
        cautions.append(f"{resampling['num_units']} groups are few: the interval is too narrow.")
    for other in compared[1:]:
        if other.accuracy >= low:
            cautions.append(
                f"It is not shown to be better than {other.name}, which gives {other.accuracy:.3f}."
            )
    return cautions
