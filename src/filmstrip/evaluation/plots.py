"""Figures to charts: training curves, confusion, per-class bars.

Each function writes one PNG. Charts are made by ``matplotlib.figure.Figure`` itself, never by
pyplot, whose state is shared between threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from filmstrip.evaluation.drawing import BLUE, GREY, GRID, INK, ORANGE, plain, save, shortened
from filmstrip.evaluation.metrics import ClassIntervals, ClassMetrics

_MAX_NAMES = 150  # beside a confusion: more could not be read
_MAX_BARS = 120
# What is drawn, its colour, and how far below the middle of the row.
_BARS: tuple[tuple[Literal["precision", "recall"], str, float], ...] = (
    ("precision", BLUE, -0.2),
    ("recall", ORANGE, 0.2),
)


def plot_history(history: Sequence[Mapping[str, Any]], path: Path, *, best_epoch: int) -> None:
    """Draw loss and accuracy over the epochs, side by side, with the best epoch marked.

    Args:
        history: a row for each epoch with ``epoch``, ``train_loss``, ``val_loss``,
            ``train_accuracy`` and ``val_accuracy``; numbers or their text.
        path: the PNG to write.
        best_epoch: the epoch whose weights were kept.
    """
    epochs = [int(row["epoch"]) for row in history]
    # A line would hide what each of a few epochs gave, and one point alone makes no line.
    marker = "o" if len(epochs) <= 20 else None
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        plain(axes)
        for part, name, colour in (("train", "training", BLUE), ("val", "validation", ORANGE)):
            values = [float(row[f"{part}_{quantity}"]) for row in history]
            axes.plot(epochs, values, color=colour, label=name, marker=marker, markersize=3)
        axes.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, label="best epoch")
        axes.set_xlabel("epoch", color=INK, fontsize=9)
        axes.set_title(quantity, loc="left", fontsize=10, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
        if quantity == "accuracy":
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter("{x:.0%}")
    title = f"Training: best epoch {best_epoch} of {epochs[-1]}"
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    save(figure, path)


def plot_confusion(confusion: npt.ArrayLike, class_names: Sequence[str], path: Path) -> None:
    """Draw the confusion: rows are the truth, the colour is the share of the row's clips.

    The counts are written into the cells as long as they can be read. Beyond 150 classes only
    every second, third, … name stands at the edges.

    Args:
        confusion: (K, K) counts of test clips, rows truth.
        class_names: the K names.
        path: the PNG to write.
    """
    counts = np.asarray(confusion)
    num_classes = len(class_names)
    if counts.shape != (num_classes, num_classes):
        raise ValueError(f"confusion {counts.shape} does not fit {num_classes} class names")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell_inches = float(np.clip(10 / num_classes, 0.115, 0.6 if num_classes > 3 else 1.0))
    side_inches = min(cell_inches * num_classes, 14.0)
    cell_points = 72 * side_inches / num_classes
    figure = Figure(figsize=(side_inches, side_inches))
    axes = figure.add_axes((0, 0, 1, 1))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    _write_counts(axes, counts, shares, cell_points)
    _name_cells(axes, class_names, cell_points)
    axes.spines[:].set_color(GRID)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("truth", color=INK)
    title = f"Confusion: {counts.sum():,} test clips of {num_classes} classes"
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10)

    bar_height = min(1.0, 3.0 / side_inches)
    bar = figure.add_axes((1 + 0.15 / side_inches, 1 - bar_height, 0.12 / side_inches, bar_height))
    figure.colorbar(picture, cax=bar, format="{x:.0%}")
    bar.set_ylabel("share of the row", fontsize=7, color=GREY)
    bar.tick_params(labelsize=7, labelcolor=GREY, length=0)
    bar.spines[:].set_visible(False)
    save(figure, path)


def plot_per_class(
    per_class: Sequence[ClassMetrics], intervals: Sequence[ClassIntervals], path: Path
) -> None:
    """Draw precision and recall of each class with their intervals, the weakest F1 on top.

    Classes without clips are left out. Of more than 120 classes the 120 weakest are drawn.

    Args:
        per_class: as ``Metrics`` has it for the test clips.
        intervals: the same classes in the same order, as ``Metrics["intervals"]`` has them.
        path: the PNG to write.
    """
    pairs = zip(per_class, intervals, strict=True)
    present = [(figures, spread) for figures, spread in pairs if figures["num_clips"] > 0]
    present.sort(key=lambda pair: (pair[0]["f1"], pair[0]["name"]))
    shown = present[:_MAX_BARS]
    row_inches, font = (0.36, 9) if len(shown) <= 30 else (0.2, 7)
    height_inches = row_inches * len(shown)
    figure = Figure(figsize=(6.0, height_inches))
    axes = figure.add_axes((0, 0, 1, 1))
    plain(axes)
    axes.grid(visible=False, axis="y")
    rows = np.arange(len(shown))
    for key, colour, offset in _BARS:
        values = np.array([figures[key] for figures, _ in shown])
        low, high = np.array([spread[key] for _, spread in shown]).T
        axes.barh(
            rows + offset,
            values,
            height=0.36,
            color=colour,
            label=key,
            xerr=[values - low, high - values],
            error_kw={"ecolor": INK, "elinewidth": 0.8, "alpha": 0.75},
        )
    labels = [f"{shortened(f['name'], 40)} ({f['num_clips']:,})" for f, _ in shown]
    axes.set_yticks(rows, labels, parse_math=False, fontsize=font)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(labeltop=len(shown) > 30)
    axes.set_xlabel("the lines are 95 % intervals", fontsize=8, color=GREY, loc="left")
    legend_foot = (0, 1 + 0.2 / height_inches)  # above the numbers, below the title
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=legend_foot,
        borderpad=0,
        borderaxespad=0,
    )
    num_clips = sum(figures["num_clips"] for figures, _ in present)
    title = f"Precision and recall of {len(present)} classes, {num_clips:,} test clips"
    if len(shown) < len(present):
        title += f": the {len(shown)} weakest"
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=34)
    save(figure, path)


def _write_counts(
    axes: Axes, counts: npt.NDArray[Any], shares: npt.NDArray[np.float64], cell_points: float
) -> None:
    """Write the counts that are not 0 into their cells, unless they would be too small to read."""
    num_digits = len(str(counts.max()))
    # A digit of DejaVu Sans is 0.62 of the font's size wide.
    font = min(10.0, 0.5 * cell_points, 0.85 * cell_points / (0.62 * num_digits))
    if font < 5:
        return
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.55 else INK
        count = str(counts[row, column])
        axes.text(column, row, count, ha="center", va="center", fontsize=font, color=colour)


def _name_cells(axes: Axes, class_names: Sequence[str], cell_points: float) -> None:
    """Write the names at the left and below; below level, slanted or upright, as they fit."""
    every = math.ceil(len(class_names) / _MAX_NAMES)
    ticks = range(0, len(class_names), every)
    labels = [shortened(class_names[k], 32) for k in ticks]
    font = min(9.0, 0.8 * cell_points * every)
    if max(map(len, labels)) * 0.65 * font < cell_points:
        axes.set_xticks(ticks, labels, parse_math=False)
    elif len(class_names) <= 12:
        slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(ticks, labels, parse_math=False, **slanted)
    else:
        axes.set_xticks(ticks, labels, parse_math=False, rotation=90)
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.tick_params(length=0, labelsize=font, labelcolor=INK)
