"""A comparison from the first clip to the last figure: what each rung reaches, and at what cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from filmstrip.app.compare.costs import measure_costs
from filmstrip.app.compare.ladder import Ladder
from filmstrip.app.compare.rungs import Rung
from filmstrip.errors import RunError
from filmstrip.evaluation.ladder import Standing, rank
from filmstrip.features.engine import default_device
from filmstrip.features.trial import machine
from filmstrip.inference.cost import Cost
from filmstrip.model.classifier import CONFIG_FILE
from filmstrip.model.stored import read_config
from filmstrip.storage import locked, replacing
from filmstrip.text import to_json
from filmstrip.training.answers import read_predictions
from filmstrip.training.clock import training_seconds
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one rung.

    Attributes:
        rung: the recipe.
        weights_origin: where its backbone's weights came from, in words.
        standing: its accuracy, and how it stands to the best.
        fold_accuracies: of each fold of each seed; of each seed without folds.
        macro_f1: mean over the seeds, as all below.
        ece: expected calibration error.
        brier: Brier score.
        training_seconds: of one model, its features being there.
        cost: of the model of the first seed that is for use.
    """

    rung: Rung
    weights_origin: str
    standing: Standing
    fold_accuracies: tuple[float, ...]
    macro_f1: float
    ece: float
    brier: float
    training_seconds: float
    cost: Cost


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the table, the chart and the page show.

    Attributes:
        data: what was compared on.
        grouping: a sentence on its groups.
        num_clips: that were tested.
        num_left_out: files that some rung cannot read, or that were quarantined.
        num_folds: 0 for one split.
        num_seeds: how many splits and initialisations.
        lines: the best first.
        baselines: the accuracy of what needs no picture, for each seed: ``majority``, ``metadata``.
        machine: on which seconds were measured.
    """

    data: Path
    grouping: str
    num_clips: int
    num_left_out: int
    num_folds: int
    num_seeds: int
    lines: tuple[Line, ...]
    baselines: dict[str, tuple[float, ...]]
    machine: dict[str, str]

    @property
    def best(self) -> Line:
        """The most accurate."""
        return self.lines[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as ``compare.json`` holds them."""
        return {
            "data": str(self.data),
            "grouping": self.grouping,
            "num_clips": self.num_clips,
            "num_left_out": self.num_left_out,
            "num_folds": self.num_folds,
            "seeds": list(range(self.num_seeds)),
            "best": self.best.rung.name,
            "recipes": [_line_as_json(line) for line in self.lines],
            "baselines": {
                name: {"accuracy": mean(by_seed), "accuracy_by_seed": list(by_seed)}
                for name, by_seed in self.baselines.items()
            },
            "machine": self.machine,
        }


def compare_recipes(ladder: Ladder, reporter: Reporter) -> Comparison:
    """Train what is not trained yet, and compare; run again, it goes on where it was cut short.

    Raises:
        FilmstripError: bad data, recipe, weights or folder; what was finished is kept.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    index = ladder.request.wanted_index()
    with locked(ladder.out):
        for sentence in index.summary():
            reporter.note(sentence)
        ladder.check(index)
        features = ladder.take_features(index, reporter)
        ladder.train(reporter)
        costs = measure_costs(ladder, features, reporter)
        comparison = _compared(ladder, costs)
        with replacing(ladder.out / "compare.json") as temporary:
            temporary.write_text(to_json(comparison.as_json(), indent=2) + "\n", "utf-8")
    return comparison


def _compared(ladder: Ladder, costs: dict[str, Cost]) -> Comparison:
    """Figures of finished runs."""
    index = ladder.clips()
    rungs = {rung.name: rung for rung in ladder.rungs}
    first = [read_predictions(run, "test") for run in ladder.runs(ladder.rungs[0])]
    clips = [sorted(answers) for answers in first]
    groups = [[answers[name].group for name in sorted(answers)] for answers in first]
    is_right = {name: [_is_right(run) for run in ladder.runs(rung)] for name, rung in rungs.items()}
    standings = rank(is_right, clips, groups)
    figures = [_metrics(run) for run in ladder.runs(ladder.rungs[0])]
    return Comparison(
        data=ladder.request.data,
        grouping=index.grouping,
        num_clips=len({name for names in clips for name in names}),
        num_left_out=len(index.skipped),
        num_folds=ladder.request.num_folds,
        num_seeds=ladder.num_seeds,
        lines=tuple(
            _line(ladder, rungs[name], standing, costs[name])
            for name, standing in standings.items()
        ),
        baselines={
            name: tuple(metrics["baselines"][name] for metrics in figures)
            for name in ("majority", "metadata")
        },
        machine=machine(default_device()),
    )


def _is_right(run: RunFolder) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N,) whether the test clips, in the order of their names, are answered rightly."""
    answers = read_predictions(run, "test")
    return np.array([answers[name].predicted == answers[name].label for name in sorted(answers)])


def _line(ladder: Ladder, rung: Rung, standing: Standing, cost: Cost) -> Line:
    runs = ladder.runs(rung)
    figures = [_metrics(run) for run in runs]
    num_models = ladder.request.num_folds + 1 if ladder.request.num_folds else 1
    return Line(
        rung=rung,
        weights_origin=read_config(runs[0].model / CONFIG_FILE).weights_origin,
        standing=standing,
        fold_accuracies=tuple(
            fold["accuracy"]
            for metrics in figures
            for fold in (metrics["folds"] or [metrics["test"]])
        ),
        macro_f1=mean(metrics["test"]["macro_f1"] for metrics in figures),
        ece=mean(metrics["test"]["ece"] for metrics in figures),
        brier=mean(metrics["test"]["brier"] for metrics in figures),
        training_seconds=mean(training_seconds(run.path) for run in runs) / num_models,
        cost=cost,
    )


def _metrics(run: RunFolder) -> dict[str, Any]:
    metrics = run.metrics()
    if metrics is None or "test" not in metrics:
        raise RunError(
            f"{run.path}: has no figures of a test part",
            "a run with folds, or data with a test part",
            "give --folds 5, or a split with test clips, and another --out.",
        )
    return metrics


def _line_as_json(line: Line) -> dict[str, Any]:
    standing = line.standing
    against = standing.against_best
    return {
        "name": line.rung.name,
        "recipe": line.rung.recipe.model_dump(mode="json"),
        "weights": line.weights_origin,
        "is_order_blind": line.rung.is_order_blind,
        "accuracy": standing.accuracy,
        "interval": standing.interval,
        "resampling": {"units": standing.units, "num_units": standing.num_units},
        "accuracy_by_seed": list(standing.accuracy_by_seed),
        "fold_accuracies": list(line.fold_accuracies),
        "against_best": None
        if against is None
        else {**asdict(against), "is_worse": against.is_worse},
        "macro_f1": line.macro_f1,
        "ece": line.ece,
        "brier": line.brier,
        "training_seconds": line.training_seconds,
        "cost": asdict(line.cost),
    }
