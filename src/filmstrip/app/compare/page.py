"""The comparison as Markdown for documentation, and the cells that it shares with the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from filmstrip.app.compare.comparison import Comparison, Line
from filmstrip.evaluation.ladder import SIGNIFICANCE_LEVEL
from filmstrip.evaluation.ladder_plot import Point, plot_ladder
from filmstrip.storage import replacing

BASELINES = {
    "majority": "The commonest class",
    "metadata": "Width, height and duration alone",
}
"""What they are called in tables."""

ACCURACY_COLUMNS = ("recipe", "accuracy", "95 % interval", "against the best", "ECE", "macro F1")
COST_COLUMNS = (
    "recipe",
    "parameters",
    "of the head",
    "MACs a clip",
    "frames a clip",
    "frames/s",
    "latency",
    "of the head",
    "training",
    "model",
)

CHART = "compare.png"
PAGE = "compare.md"


def accuracy_cells(line: Line) -> list[str]:
    """The cells of ``ACCURACY_COLUMNS``."""
    low, high = line.standing.interval
    return [
        f"{line.standing.accuracy:.3f}",
        f"{low:.3f} to {high:.3f}",
        _against_best(line),
        f"{line.ece:.3f}",
        f"{line.macro_f1:.3f}",
    ]


def cost_cells(line: Line) -> list[str]:
    """The cells of ``COST_COLUMNS``."""
    cost = line.cost
    return [
        _count(cost.num_parameters),
        _count(cost.num_head_parameters),
        _count(cost.macs),
        str(cost.frames_per_clip),
        f"{cost.frames_per_second:.0f}",
        _milliseconds(cost.latency_seconds),
        _milliseconds(cost.head_latency_seconds),
        f"{line.training_seconds:.1f} s",
        f"{cost.model_bytes / 1e6:.1f} MB",
    ]


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know to read the tables rightly."""
    best = comparison.best
    units = best.standing.units
    sentences = [
        f"{comparison.num_clips} clips tested ({comparison.grouping}); {_splitting(comparison)}. "
        "All recipes have the same splits and clips.",
        f"Accuracy is that of all answers under all seeds; its interval comes from drawing "
        f"{best.standing.num_units} whole {units}"
        + (" with all their clips and answers." if units == "groups" else " with all answers."),
        f"Against the best: McNemar's exact test for each seed, combined over the seeds (Rüger), "
        f"corrected for all pairs by Holm's method. * shown to be worse: p below "
        f"{SIGNIFICANCE_LEVEL} and the interval of the difference below 0. Without it, chance "
        "suffices to explain the difference. The best is chosen by these figures, which flatters "
        "it a little.",
        f"ECE (15 bins), macro F1: mean over the seeds. MACs (multiply-accumulates): a clip of the "
        "stated number of frames, backbone included. Frames/s: decoding and backbone, as an "
        "extraction runs. Latency: one clip from file to answer in float32, median of "
        f"{best.cost.num_clips_timed}. Training: one model, its features being there. Measured on "
        f"{comparison.machine['processor']}.",
    ]
    random = [line.rung.name for line in comparison.lines if line.weights_origin == "random"]
    if random:
        sentences.append(
            f"RANDOM backbone weights, whose accuracy says nothing: {', '.join(random)}."
        )
    if comparison.num_left_out:
        sentences.append(f"{comparison.num_left_out} files were left out for all recipes.")
    return sentences


def write_page(comparison: Comparison, command: Sequence[str], folder: Path) -> None:
    """Write ``compare.md`` and ``compare.png``.

    Args:
        comparison: what to show.
        command: that made it, for the reader to repeat.
        folder: gets the files.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    points = [
        Point(
            line.rung.name,
            line.standing.accuracy,
            line.standing.interval,
            line.cost.macs,
            line.cost.latency_seconds,
            line.rung.is_order_blind,
        )
        for line in comparison.lines
    ]
    baselines = {BASELINES[name].lower(): mean(seeds) for name, seeds in _known(comparison).items()}
    plot_ladder(points, baselines, folder / CHART)
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(_markdown(comparison, command), encoding="utf-8")


def baseline_lines(comparison: Comparison) -> list[tuple[str, str]]:
    """Name and accuracy of what sees no picture."""
    return [
        (BASELINES[name], f"{mean(by_seed):.3f}") for name, by_seed in _known(comparison).items()
    ]


def _markdown(comparison: Comparison, command: Sequence[str]) -> str:
    lines = comparison.lines
    accuracy = [[f"`{line.rung.name}`", *accuracy_cells(line)] for line in lines]
    accuracy += [[name, cell, "", "", "", ""] for name, cell in baseline_lines(comparison)]
    spread = [[f"`{line.rung.name}`", *_spread_cells(line)] for line in lines]
    costs = [[f"`{line.rung.name}`", *cost_cells(line)] for line in lines]
    folds = "folds" if comparison.num_folds else "splits"
    told = "\n\n".join(notes(comparison))
    return f"""# Recipes on {comparison.data.name}

{_table(ACCURACY_COLUMNS, accuracy)}

![Accuracy against cost]({CHART})

{_table(("recipe", "accuracy by seed", f"deviation over {folds}", f"{folds} from, to"), spread)}

{_table(COST_COLUMNS, costs)}

{told}

```console
{shlex.join(command)}
```
"""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = [columns, ["---"] * len(columns)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*head, *rows])


def _spread_cells(line: Line) -> list[str]:
    folds = line.fold_accuracies
    return [
        ", ".join(f"{accuracy:.3f}" for accuracy in line.standing.accuracy_by_seed),
        f"{stdev(folds):.3f}" if len(folds) > 1 else "–",
        f"{min(folds):.2f} to {max(folds):.2f}",
    ]


def _against_best(line: Line) -> str:
    against = line.standing.against_best
    if against is None:
        return "best"
    p = against.adjusted_p_value
    told = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    return f"{against.difference:+.3f}, {told}{' *' if against.is_worse else ''}"


def _splitting(comparison: Comparison) -> str:
    seeds = f"{comparison.num_seeds} seed{'s' if comparison.num_seeds > 1 else ''}"
    if comparison.num_folds:
        return f"{comparison.num_folds} folds, groups whole, {seeds} of splits and weights"
    return f"one split for each of {seeds}"


def _known(comparison: Comparison) -> dict[str, tuple[float, ...]]:
    """The baselines that could be measured."""
    return {name: seeds for name, seeds in comparison.baselines.items() if None not in seeds}


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.3g} ms"
