"""The comparison as Markdown for documentation, and the cells that it shares with the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

from filmstrip.app.compare.comparison import Comparison, Line
from filmstrip.evaluation.ladder import SIGNIFICANCE_LEVEL
from filmstrip.evaluation.ladder_plot import Point, plot_ladder
from filmstrip.storage import replacing
from filmstrip.text import printable

BASELINES = {"majority": "commonest class", "metadata": "size and duration alone"}
"""What they are called in tables."""

ACCURACY_COLUMNS = ("recipe", "accuracy", "95 % interval", "against the best", "ECE")
SIZE_COLUMNS = ("recipe", "parameters", "of the head", "file", "frames a clip", "MACs a clip")
SPEED_COLUMNS = ("recipe", "frames/s", "latency a clip", "of the head", "training")
_SPREAD_COLUMNS = ("recipe", "accuracy by seed", "deviation", "from, to", "macro F1", "Brier score")

CHART = "compare.png"
PAGE = "compare.md"


def accuracy_cells(line: Line) -> list[str]:
    """The cells of ``ACCURACY_COLUMNS`` after the name."""
    low, high = line.standing.interval
    return [
        f"{line.standing.accuracy:.3f}",
        f"{low:.3f} to {high:.3f}",
        _against_best(line),
        f"{line.ece:.3f}",
    ]


def size_cells(line: Line) -> list[str]:
    """The cells of ``SIZE_COLUMNS`` after the name."""
    cost = line.cost
    return [
        _count(cost.num_parameters),
        _count(cost.num_head_parameters),
        f"{cost.model_bytes / 1e6:.1f} MB",
        str(cost.frames_per_clip),
        _count(cost.macs),
    ]


def speed_cells(line: Line) -> list[str]:
    """The cells of ``SPEED_COLUMNS`` after the name."""
    cost = line.cost
    return [
        f"{cost.frames_per_second:.0f}",
        _seconds(cost.latency_seconds),
        _seconds(cost.head_latency_seconds),
        _seconds(line.training_seconds),
    ]


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know to read the tables rightly."""
    best = comparison.best
    units = best.standing.units
    sentences = [
        f"{comparison.grouping}; {_splitting(comparison)}. Every recipe has the same clips and "
        "splits.",
        "Accuracy: of all answers under all seeds. Interval: "
        f"{best.standing.num_units} {units} drawn anew, "
        + ("whole, with all their answers." if units == "groups" else "with all their answers.")
        + " Where all draws agree, it is Wilson's interval for as many independent outcomes.",
        "Against the best: McNemar's exact test for each seed, the seeds' p-values combined "
        "(Rüger), corrected for all pairs (Holm). * marks what is shown to be worse: p below "
        f"{SIGNIFICANCE_LEVEL}, and the interval of the difference below 0. Without the mark, "
        "chance may explain the difference. The best is chosen by these very figures, which "
        "flatters it a little.",
        "ECE: calibration error over 15 bins, mean over the seeds. MACs: multiply-accumulates of "
        "the whole model for a clip of so many frames. Frames/s: decoded and passed through the "
        "backbone, as an extraction does. Latency: from file to answer, one clip at a time in "
        f"float32, median of {best.cost.num_clips_timed}. Training: one model, once the features "
        f"are there. Measured on: {comparison.machine['processor']}.",
    ]
    metadata = _known(comparison).get("metadata")
    if metadata and mean(metadata) > best.standing.interval[0]:
        sentences.append(
            "WARNING: the best is not shown to be above size and duration alone, which reach "
            f"{mean(metadata):.3f} without a look at one pixel. 'filmstrip doctor' tells more."
        )
    random = [line.rung.name for line in comparison.lines if line.weights_origin == "random"]
    if random:
        sentences.append(
            f"WARNING: {', '.join(random)}: the backbone's weights are RANDOM; the accuracy says "
            "nothing about the recipe with trained ones."
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
    baselines = {BASELINES[name]: mean(seeds) for name, seeds in _known(comparison).items()}
    plot_ladder(points, baselines, folder / CHART)
    with replacing(folder / PAGE) as temporary:
        text = _markdown(comparison, command)
        temporary.write_text(text, encoding="utf-8", errors="replace")


def baseline_lines(comparison: Comparison) -> list[tuple[str, str]]:
    """Name and accuracy of what sees no picture."""
    return [
        (BASELINES[name], f"{mean(by_seed):.3f}") for name, by_seed in _known(comparison).items()
    ]


def _markdown(comparison: Comparison, command: Sequence[str]) -> str:
    lines = comparison.lines
    names = [f"`{printable(line.rung.name)}`" for line in lines]

    def table(columns: Sequence[str], cells: Callable[[Line], list[str]]) -> str:
        return _table(columns, [[n, *cells(line)] for n, line in zip(names, lines, strict=True)])

    accuracy = table(ACCURACY_COLUMNS, accuracy_cells)
    for name, cell in baseline_lines(comparison):
        accuracy += f"\n| {name} | {cell} | | | |"
    folds = "folds" if comparison.num_folds else "splits"
    told = "\n\n".join(notes(comparison))
    return f"""# Recipes on {printable(comparison.data.name)}

{accuracy}

![Accuracy against cost]({CHART})

{table(_SPREAD_COLUMNS, _spread_cells)}

Deviation, from and to are those of the {len(lines[0].fold_accuracies)} {folds} of all seeds.

{table(SIZE_COLUMNS, size_cells)}

{table(SPEED_COLUMNS, speed_cells)}

{told}

```console
{printable(shlex.join(command))}
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
        f"{line.macro_f1:.3f}",
        f"{line.brier:.3f}",
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


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
