from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline import TimelineStep
from filmstrip.inference.timeline_plot import plot_timeline, short_clock


def _steps(num_steps: int, num_classes: int, seconds: float) -> list[TimelineStep]:
    probs = np.random.default_rng(0).dirichlet(np.full(num_classes, 0.1), num_steps)
    return [
        TimelineStep(number * seconds, (number + 1) * seconds, one)
        for number, one in enumerate(probs)
    ]


def test_an_hour_of_many_classes_is_drawn_in_strips(tmp_path: Path) -> None:
    names = [f"class $ {number} {'of a long name ' * 3}" for number in range(101)]
    segments = [Segment(names[100], 1.0, 700.0, 0.9)]
    plot_timeline(_steps(1800, 101, 2.0), segments, names, tmp_path / "hour.png")
    plot_timeline(_steps(10, 2, 2.0), [], ["a", "b"], tmp_path / "short.png")
    with Image.open(tmp_path / "hour.png") as hour, Image.open(tmp_path / "short.png") as short:
        assert hour.format == "PNG"
        assert hour.height > 6 * short.height
        assert hour.height < 5000


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (2.5, "0:02.5"), (59.96, "1:00"), (3661, "1:01:01")]
)
def test_times_on_the_axis_are_short(seconds: float, words: str) -> None:
    assert short_clock(seconds) == words
