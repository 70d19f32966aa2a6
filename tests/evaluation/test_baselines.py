"""What must be beaten: the commonest class, and what a file's size and duration give."""

from __future__ import annotations

import numpy as np
import pytest

from filmstrip.errors import DatasetError
from filmstrip.evaluation.baselines import majority_baseline, metadata_baseline


def test_the_majority_baseline_answers_the_commonest_training_class() -> None:
    figures = majority_baseline([0, 1, 1, 2], [1, 1, 0, 2, 1], num_classes=3)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["num_clips"] == 5
    low, high = figures["intervals"]["accuracy"]
    assert low <= 3 / 5 <= high


def metadata(labels: np.ndarray, rng: np.random.Generator, leaks: bool) -> np.ndarray:
    width = 320 + (2 * labels if leaks else rng.integers(0, 8, len(labels)))
    height = np.full(len(labels), 240)
    return np.stack([width, height, rng.uniform(1, 3, len(labels))], axis=1).astype(float)


def test_a_class_that_shows_in_two_pixels_of_width_is_found() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.integers(4, size=120), rng.integers(4, size=60)
    figures = metadata_baseline(metadata(train, rng, True), train, metadata(test, rng, True), test)
    assert figures["accuracy"] > 0.95


def test_metadata_that_says_nothing_stays_near_chance() -> None:
    rng = np.random.default_rng(1)
    train, test = rng.integers(4, size=400), rng.integers(4, size=400)
    figures = metadata_baseline(
        metadata(train, rng, False), train, metadata(test, rng, False), test
    )
    assert 0.15 < figures["accuracy"] < 0.35


def test_an_unknown_duration_is_no_obstacle() -> None:
    rng = np.random.default_rng(2)
    train, test = rng.integers(3, size=60), rng.integers(3, size=30)
    seen, asked = metadata(train, rng, True), metadata(test, rng, True)
    seen[:, 2] = asked[:, 2] = np.nan
    assert metadata_baseline(seen, train, asked, test)["accuracy"] > 0.9


def test_constant_metadata_and_a_single_training_class_are_no_obstacle() -> None:
    same = np.tile([320.0, 240.0, 2.0], (6, 1))
    figures = metadata_baseline(same, [0] * 6, same, [0, 0, 0, 1, 1, 1])
    assert figures["accuracy"] == 0.5


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(DatasetError):
        majority_baseline([], [0], num_classes=2)
