"""A timeline as a picture: how probable each class is over time, and the segments below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from filmstrip.evaluation.drawing import BLUE, GREY, INK, plain, save
from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline import TimelineStep
from filmstrip.inference.timeline_strips import Strip, wrap
from filmstrip.text import printable

_MAX_STRIPS = 6
_MAX_CLASSES = 20
_ROW_INCHES = 0.17
_LANE_SHARE = 0.6  # a segment's row, in rows of probabilities
_LONGEST_NAME = 28
_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)


def plot_timeline(
    steps: Sequence[TimelineStep],
    segments: Sequence[Segment],
    class_names: Sequence[str],
    path: Path,
) -> None:
    """Draw a row for each class, dark where it is probable, and below it the segments.

    A recording of more than a minute is wrapped into up to six strips, so that an hour can be read.
    Of many classes those are shown that come highest at any time.

    Args:
        steps: all of the recording, in order, at least one.
        segments: in order.
        class_names: in the order of the steps' probabilities.
        path: the PNG to write.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    edges = np.array([*(step.start_seconds for step in steps), steps[-1].end_seconds])
    probs = np.stack([step.probs for step in steps], axis=1)  # (K, S)
    shown = _highest(probs, [class_names.index(one.label) for one in segments])
    labels = [class_names[place] for place in shown]
    strips = wrap(segments, float(edges[-1]), _MAX_STRIPS)
    rows = len(shown) * (1 + _LANE_SHARE)
    height = len(strips) * (rows * _ROW_INCHES + 0.5) + 0.6
    figure = Figure(figsize=(11, height), layout="constrained")
    panels = figure.subplots(
        2 * len(strips), 1, squeeze=False, height_ratios=[1, _LANE_SHARE] * len(strips)
    )[:, 0]
    for strip, upper, lower in zip(strips, panels[::2], panels[1::2], strict=True):
        image = upper.pcolormesh(
            edges, np.arange(len(shown) + 1), probs[shown], cmap="Blues", vmin=0, vmax=1
        )
        _draw_segments(lower, strip, segments, labels)
        for axes, size in ((upper, 7), (lower, 5)):
            _dress(axes, strip, labels, size)
        upper.set_xticklabels([])
    panels[-1].set_xlabel("time in the recording", fontsize=9, color=INK)
    bar = figure.colorbar(image, ax=panels[:2], fraction=0.02, pad=0.01, aspect=12)
    bar.ax.tick_params(length=0, labelsize=7, labelcolor=INK)
    bar.outline.set_visible(False)
    left_out = len(class_names) - len(shown)
    words = f"; the {len(shown)} highest of {len(class_names)} classes" if left_out else ""
    figure.suptitle(
        f"Probability of each class, and the segments below{words}",
        x=0.01,
        ha="left",
        color=INK,
        fontsize=11,
    )
    save(figure, path)


def _highest(probs: NDArray[np.float64], said: Sequence[int]) -> list[int]:
    """The classes to show, in their own order: those of segments come before all others."""
    rank = probs.max(axis=1)
    rank[list(said)] += 1
    return sorted(np.argsort(-rank, kind="stable")[:_MAX_CLASSES].tolist())


def _draw_segments(
    axes: Axes, strip: Strip, segments: Sequence[Segment], labels: Sequence[str]
) -> None:
    for piece in strip.pieces:
        label = segments[piece.number].label
        if label in labels:
            span = (piece.start_seconds, piece.end_seconds - piece.start_seconds)
            axes.broken_barh([span], (labels.index(label) + 0.1, 0.8), color=BLUE)


def _dress(axes: Axes, strip: Strip, labels: Sequence[str], size: float) -> None:
    plain(axes)
    axes.set_xlim(strip.start_seconds, strip.end_seconds)
    axes.set_ylim(len(labels), 0)
    axes.set_yticks(np.arange(len(labels)) + 0.5, [_short(name) for name in labels])
    axes.tick_params(axis="y", labelsize=size)
    axes.tick_params(axis="x", labelsize=8, labelcolor=GREY)
    axes.grid(visible=False, axis="y")
    span = strip.end_seconds - strip.start_seconds
    tick = next((one for one in _TICK_SECONDS if span <= 12 * one), span)
    axes.xaxis.set_major_locator(MultipleLocator(tick))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _place: short_clock(at)))


def short_clock(seconds: float) -> str:
    """Seconds as ``M:SS`` or ``H:MM:SS``, with a decimal where they are not whole."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:04.1f}".removesuffix(".0")
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _short(name: str) -> str:
    name = printable(name)
    # A dollar would begin a formula.
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return short.replace("$", r"\$")
