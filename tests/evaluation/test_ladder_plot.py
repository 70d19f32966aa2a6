from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filmstrip.evaluation.ladder_plot import Point, pareto, plot_ladder

POINTS = [
    Point("lite-gru", 0.87, [0.8, 0.92], 3e9, 0.2, False),
    Point("mean-linear", 0.62, [0.5, 0.7], 2e9, 0.15, True),
]
COST_AND_ACCURACY = st.lists(
    st.tuples(st.floats(1, 1e12), st.floats(0, 1)), min_size=1, max_size=20
)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


@given(points=COST_AND_ACCURACY)
def test_the_line_joins_those_that_no_other_beats(points: list[tuple[float, float]]) -> None:
    costs, accuracies = zip(*points, strict=True)
    front = pareto(costs, accuracies)
    for place, (cost, accuracy) in enumerate(points):
        is_beaten = any(
            c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points
        )
        if not is_beaten:
            assert (cost, accuracy) in [points[i] for i in front]
        elif place in front:
            pytest.fail(f"{cost}, {accuracy} is beaten")
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)


def test_the_chart_shows_its_values(tmp_path: Path) -> None:
    plot_ladder(POINTS, {"the commonest class": 0.17}, tmp_path / "a.png")
    better = [replace(POINTS[0], accuracy=0.9), POINTS[1]]
    plot_ladder(better, {"the commonest class": 0.17}, tmp_path / "b.png")
    plot_ladder(POINTS, {"the commonest class": 0.3}, tmp_path / "c.png")
    first, second, third = (picture(tmp_path / f"{name}.png") for name in "abc")
    assert (first != second).any()
    assert (first != third).any()


def test_without_latency_there_is_one_panel_and_many_points_are_drawn(tmp_path: Path) -> None:
    plot_ladder(POINTS, {}, tmp_path / "two.png")
    many = [
        replace(POINTS[0], name=f"{n}", macs=1e9 * (n + 1), latency_seconds=None) for n in range(12)
    ]
    plot_ladder(many, {}, tmp_path / "one.png")
    assert picture(tmp_path / "one.png").shape[1] < picture(tmp_path / "two.png").shape[1]
