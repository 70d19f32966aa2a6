"""How much of an accuracy is leak: one recipe under a random and under a grouped split.

A random split deals the clips one by one, as many published figures do, so that a model is tested
on recordings that it has learnt from. What it gains by that is lost on new recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filmstrip.dataset.leaks import counted
from filmstrip.training.begun import check_same_clips
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train


@dataclass(frozen=True, slots=True)
class LeakMeasure:
    """Two trainings that differ in how the clips were divided.

    Attributes:
        random: the content of ``metrics.json`` where they were dealt one by one.
        grouped: the same where groups, copies and cut recordings stayed whole.
    """

    random: dict[str, Any]
    grouped: dict[str, Any]

    @property
    def leak(self) -> float:
        """By how much the random split's test accuracy is higher."""
        return float(self.random["test"]["accuracy"] - self.grouped["test"]["accuracy"])

    def verdict(self) -> str:
        """What the difference says, and what it does not; its sign is not taken for granted."""
        random, grouped = self.random["test"], self.grouped["test"]
        num_pairs = self.random["leaks"]["num_pairs"]
        parted = f"{counted(num_pairs)} of clips that belong together stood apart"
        (low, high), (grouped_low, grouped_high) = (
            part["intervals"]["accuracy"] for part in (random, grouped)
        )
        if low <= grouped_high and grouped_low <= high:
            more = "" if self.random["folds"] else " --folds tests on every clip."
            return (
                f"The random split gives {self.leak:+.2f} ({parted}), but the intervals overlap: "
                f"so much may be chance.{more}"
            )
        if self.leak > 0:
            return (
                f"Of the {random['accuracy']:.2f} under a random split, {self.leak:.2f} is leak "
                f"({parted})."
            )
        return (
            f"The random split gives {self.leak:+.2f} ({parted}): what a recording shows misleads "
            "here, as it does where each recording holds one clip of each class. The grouped "
            "figure is the one for new recordings."
        )


def measure_leak(
    request: TrainingRequest,
    out: Path,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    engine: str = "auto",
) -> LeakMeasure:
    """Train twice; features come from the cache, so a frozen backbone sees each clip once.

    Args:
        request: what to train, with folds or without; given splits are set aside.
        out: gets the run folders ``random`` and ``grouped``.
        cache: the feature cache; ``default_cache()`` if not given.
        reporter: hears of progress.
        engine: how a frozen backbone is run.

    Raises:
        FilmstripError: as ``train`` does.
    """
    reporter = reporter or Reporter()
    found = []
    for division in ("random", "grouped"):
        reporter.note(f"Under a {division} split:")
        asked = request.model_copy(update={"division": division})
        found.append(train(asked, out / division, True, cache, reporter, engine))
    check_same_clips([RunFolder(out / "random"), RunFolder(out / "grouped")], "measurement", False)
    return LeakMeasure(*found)
