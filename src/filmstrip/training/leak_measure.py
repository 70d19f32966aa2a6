"""How much of an accuracy is leak: one recipe under a random and under a grouped split.

A random split deals the clips one by one, as many published figures do, so that a model is tested
on recordings that it has learnt from. What it gains by that is lost on new recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import TrainingRequest
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
    return LeakMeasure(*found)
