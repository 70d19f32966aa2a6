"""The first figure of a report, with all that it must not be quoted without."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

from filmstrip.app.report.record import Record
from filmstrip.evaluation.bootstrap import FEWEST_GROUPS


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
    interval = _wilson(record) if _has_no_spread(record) else figures["intervals"]["accuracy"]
    compared = [Compared(record.request.recipe.name, figures["accuracy"], tuple(interval))]
    for key, name in (
        ("metadata", "size and duration alone"),
        ("majority", "the commonest class alone"),
    ):
        if record.metrics["baselines"][key] is not None:
            compared.append(Compared(name, record.metrics["baselines"][key], None))
    return Headline(compared, _measured_on(record), _cautions(record, compared))


def _has_no_spread(record: Record) -> bool:
    low, high = record.metrics[record.split]["intervals"]["accuracy"]
    return bool(low == high)


def _wilson(record: Record) -> tuple[float, float]:
    """Wilson's 95 % interval, for clips that are independent of each other."""
    figures = record.metrics[record.split]
    num_right = round(figures["accuracy"] * figures["num_clips"])
    share = binomtest(num_right, figures["num_clips"]).proportion_ci(0.95, method="wilson")
    return float(share.low), float(share.high)


def _measured_on(record: Record) -> str:
    figures = record.metrics[record.split]
    folds = record.metrics["folds"]
    how = f", each by the one of {len(folds)} classifiers that had it held out" if folds else ""
    part = {"test": "test", "val": "validation"}[record.split]
    told = f"Measured on {figures['num_clips']:,} {part} clips{how}."
    if _has_no_spread(record):
        return (
            f"{told} All have one outcome, so drawing them anew shows no spread: the interval is "
            "Wilson's, which takes clips as independent."
        )
    resampling = figures["resampling"]
    drawn = f"{resampling['num_units']:,} {resampling['units']} drawn anew"
    return f"{told} The interval is a 95 % bootstrap interval, with {drawn}."


def _cautions(record: Record, compared: list[Compared]) -> list[str]:
    resampling = record.metrics[record.split]["resampling"]
    low = compared[0].interval[0] if compared[0].interval else compared[0].accuracy
    cautions = []
    if record.split == "val":
        cautions.append(
            "There is no test part. These clips chose the epoch and the temperature, so the "
            "figures flatter, and how good the model is on new clips is not known."
        )
    if resampling["units"] == "groups" and resampling["num_units"] < FEWEST_GROUPS:
        cautions.append(f"{resampling['num_units']} groups are few: the interval is too narrow.")
    cautions += [
        f"It is not shown to be better than {other.name}, which gives {other.accuracy:.3f}."
        for other in compared[1:]
        if other.accuracy >= low
    ]
    return cautions
