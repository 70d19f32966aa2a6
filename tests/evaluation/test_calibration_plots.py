"""Pictures of calibration: real PNGs that show the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filmstrip.evaluation.calibration_plots import plot_coverage, plot_reliability


def answers(seed: int, num_clips: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(4, 0.4), num_clips), rng.integers(4, size=num_clips)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("num_clips", [1, 7, 400])
def test_both_are_drawn_with_few_clips_and_many_and_show_their_values(
    num_clips: int, tmp_path: Path
) -> None:
    seen = []
    for seed in (0, 1):
        plot_reliability(*answers(seed, num_clips), tmp_path / f"reliability{seed}.png")
        plot_coverage(*answers(seed, num_clips), tmp_path / f"coverage{seed}.png", threshold=None)
    for name in ("reliability", "coverage"):
        first, second = (picture(tmp_path / f"{name}{seed}.png") for seed in (0, 1))
        seen.append(first.shape != second.shape or (first != second).any())
        assert min(first.shape[:2]) > 300
    if num_clips > 1:
        assert all(seen)


def test_a_threshold_is_marked(tmp_path: Path) -> None:
    probs, labels = answers(0, 50)
    plot_coverage(probs, labels, tmp_path / "none.png", threshold=None)
    plot_coverage(probs, labels, tmp_path / "some.png", threshold=0.7)
    plot_coverage(probs, labels, tmp_path / "all.png", threshold=1.0)
    orange = [
        (picture(tmp_path / f"{name}.png") == [0xD5, 0x5E, 0x00]).all(axis=2).sum()
        for name in ("none", "some", "all")
    ]
    assert orange[1] > 20
    assert orange[0] == orange[2] == 0
