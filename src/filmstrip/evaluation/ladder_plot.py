"""Accuracy against cost, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from filmstrip.evaluation.bootstrap import Interval
from filmstrip.evaluation.drawing import GREY, INK, plain, save
from filmstrip.text import printable

# Okabe and Ito's colours but yellow, which is too pale on white, and shapes that differ too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


@dataclass(frozen=True, slots=True)
class Point:
    """One classifier.

    Attributes:
        name: in the legend.
        accuracy: in [0, 1].
        interval: of ``accuracy``.
        macs: multiply-accumulates a clip.
        latency_seconds: a clip; None where it was not measured.
        is_order_blind: drawn hollow.
    """

    name: str
    accuracy: float
    interval: Interval
    macs: float
    latency_seconds: float | None
    is_order_blind: bool


def plot_ladder(points: Sequence[Point], baselines: Mapping[str, float], path: Path) -> None:
    """Draw accuracy with its interval against arithmetic and, where measured, latency.

    A line joins the classifiers that no other beats in both accuracy and cost.

    Args:
        points: in the order of the legend.
        baselines: accuracy of what sees no picture, by name: a level across the chart.
        path: the PNG to write.
    """
    has_latency = all(point.latency_seconds is not None for point in points)
    num_panels = 2 if has_latency else 1
    figure = Figure(figsize=(4.4 * num_panels + 1.2, 4.2), layout="constrained")
    panels = figure.subplots(1, num_panels, sharey=True, squeeze=False)[0]
    _draw(panels[0], points, [point.macs / 1e9 for point in points], baselines)
    panels[0].set_xlabel("multiply-accumulates a clip, 10⁹", fontsize=9, color=INK)
    panels[0].set_ylabel("accuracy on test clips", fontsize=9, color=INK)
    panels[0].yaxis.set_major_formatter("{x:.0%}")
    if has_latency:
        seconds = [1000 * (point.latency_seconds or 0) for point in points]
        _draw(panels[1], points, seconds, baselines)
        panels[1].set_xlabel("from file to answer, ms a clip", fontsize=9, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    names = [*(_label(point) for point in points), *baselines]
    figure.legend(
        [shown[name] for name in names],
        names,
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )
    figure.suptitle(
        "Accuracy against cost, with 95 % intervals", x=0.01, ha="left", color=INK, fontsize=11
    )
    save(figure, path)


def pareto(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """The places of those that no other beats in accuracy at the same or lower cost, by cost."""
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i])):
        if not front or accuracies[place] > accuracies[front[-1]]:
            front.append(place)
    return front


def _draw(
    axes: Axes, points: Sequence[Point], costs: Sequence[float], baselines: Mapping[str, float]
) -> None:
    plain(axes)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    accuracies = [point.accuracy for point in points]
    front = pareto(costs, accuracies)
    axes.plot(
        [costs[place] for place in front],
        [accuracies[place] for place in front],
        color=GREY,
        linewidth=1,
        zorder=1,
    )
    styles = zip(cycle(_COLOURS), cycle(_SHAPES), strict=False)
    for point, cost, (colour, shape) in zip(points, costs, styles, strict=False):
        low, high = point.interval
        axes.errorbar(
            [cost],
            [point.accuracy],
            yerr=[[point.accuracy - low], [high - point.accuracy]],
            fmt=shape,
            color=colour,
            markerfacecolor="white" if point.is_order_blind else colour,
            markersize=7,
            elinewidth=1.2,
            label=_label(point),
        )
    for (name, accuracy), line in zip(baselines.items(), cycle(("--", ":")), strict=False):
        axes.axhline(accuracy, color=GREY, linestyle=line, linewidth=1.2, label=name, zorder=0)
    axes.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
    axes.set_ylim(0, 1.02)


def _label(point: Point) -> str:
    name = printable(point.name)
    return f"{name} (blind to order)" if point.is_order_blind else name
