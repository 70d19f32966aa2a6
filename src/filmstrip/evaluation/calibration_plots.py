"""Probabilities to pictures: whether they mean what they say, and what abstaining gains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from filmstrip.evaluation.bootstrap import wilson_interval
from filmstrip.evaluation.calibration import (
    ReliabilityBin,
    accuracy_against_coverage,
    expected_calibration_error,
    reliability,
)
from filmstrip.evaluation.drawing import BLUE, GREY, INK, ORANGE, plain, save


def plot_reliability(probs: npt.ArrayLike, labels: npt.ArrayLike, path: Path) -> None:
    """Draw accuracy against confidence, and below it how many clips each bin holds.

    A bin of few clips strays far from the diagonal by chance alone: its interval (Wilson's, of the
    clips as if they were independent) shows how far.

    Args:
        probs: (N, K) probabilities of the test clips.
        labels: (N,) their true classes.
        path: the PNG to write.
    """
    bins = [b for b in reliability(probs, labels) if b.num_clips]
    confidence = [b.confidence for b in bins]
    accuracy = np.array([b.accuracy for b in bins])
    num_clips = sum(b.num_clips for b in bins)
    figure = Figure(figsize=(5.0, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for axes in (above, below):
        plain(axes)
        axes.set_xlim(-0.02, 1.02)
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2, label="perfect")
    low, high = np.transpose([_share_interval(b) for b in bins])
    above.errorbar(
        confidence,
        accuracy,
        yerr=[accuracy - low, high - accuracy],
        fmt="o",
        color=BLUE,
        ecolor=GREY,
        elinewidth=1,
        markersize=5,
        label="the clips of a bin, 95 % interval",
    )
    above.set_ylim(-0.03, 1.03)
    above.set_ylabel("accuracy of these clips", fontsize=9, color=INK)
    above.yaxis.set_major_formatter("{x:.0%}")
    above.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
    )
    bars = below.bar(
        [b.low for b in bins],
        [b.num_clips for b in bins],
        width=[b.high - b.low for b in bins],
        align="edge",
        color=BLUE,
        edgecolor="white",
    )
    below.bar_label(bars, fontsize=7, color=INK, padding=1)
    below.margins(y=0.25)
    below.set_ylabel("clips", fontsize=9, color=INK)
    below.set_xlabel("confidence", fontsize=9, color=INK)
    below.xaxis.set_major_formatter("{x:.0%}")
    error = expected_calibration_error(probs, labels)
    title = f"Reliability: {num_clips:,} test clips, calibration error {error:.3f}"
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    save(figure, path)


def plot_coverage(
    probs: npt.ArrayLike, labels: npt.ArrayLike, path: Path, *, threshold: float | None
) -> None:
    """Draw the accuracy of the answers that remain if the least confident are withheld.

    Args:
        probs: (N, K) probabilities of the test clips.
        labels: (N,) their true classes.
        path: the PNG to write.
        threshold: the confidence below which the model abstains, to be marked, if any.
    """
    confidence, coverage, accuracy = accuracy_against_coverage(probs, labels)
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    axes.plot(coverage, accuracy, color=BLUE)
    told = ""
    if threshold is not None:
        answered = np.flatnonzero(confidence >= threshold)
        if len(answered):
            place = answered[-1]
            axes.scatter([coverage[place]], [accuracy[place]], color=ORANGE, zorder=3)
            told = (
                f"threshold {threshold:.2f}: {coverage[place]:.0%} answered, "
                f"{accuracy[place]:.0%} of these rightly"
            )
        else:
            told = f"threshold {threshold:.2f}: no clip is answered"
    lowest = min(float(accuracy.min()), 0.9)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(max(0.0, lowest - 0.05), 1.01)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("share of clips answered, the most confident first", fontsize=9, color=INK)
    axes.set_ylabel("accuracy of the answers", fontsize=9, color=INK)
    axes.set_title(told, loc="left", fontsize=8, color=GREY)
    title = f"Accuracy against coverage: {len(np.asarray(labels)):,} test clips"
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    save(figure, path)


def _share_interval(reliability_bin: ReliabilityBin) -> tuple[float, float]:
    num_right = round(reliability_bin.accuracy * reliability_bin.num_clips)
    low, high = wilson_interval(num_right, reliability_bin.num_clips)
    return low, high
