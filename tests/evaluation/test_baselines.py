"""What must be beaten: the commonest class, and what a file's size and duration give."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score

from filmstrip.errors import DatasetError
from filmstrip.evaluation.baselines import majority_baseline, metadata_baseline


def test_the_majority_baseline_answers_the_commonest_training_class() -> None:
    train, test = [0, 1, 1, 2], [1, 1, 0, 2, 1]
    figures = majority_baseline(train, test, num_classes=3)
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((4, 1)), train)
    predicted = dummy.predict(np.zeros((5, 1)))
    assert figures["accuracy"] == accuracy_score(test, predicted) == 3 / 5
    assert figures["macro_f1"] == pytest.approx(
        f1_score(test, predicted, average="macro", zero_division=0)
    )
    assert figures["num_clips"] == 5
    for figure in ("accuracy", "macro_f1"):
        low, high = figures["intervals"][figure]
        assert low <= figures[figure] <= high


def test_of_equally_common_classes_the_first_is_answered() -> None:
    assert majority_baseline([2, 1, 1, 2], [1, 1, 1, 2], num_classes=3)["accuracy"] == 3 / 4


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


def test_a_duration_known_in_training_may_be_unknown_in_the_test() -> None:
    rng = np.random.default_rng(3)
    train, test = rng.integers(3, size=60), rng.integers(3, size=30)
    seen, asked = metadata(train, rng, True), metadata(test, rng, True)
    asked[::2, 2] = np.nan
    assert metadata_baseline(seen, train, asked, test)["accuracy"] > 0.9


def test_the_metadata_baseline_gives_the_same_figures_again() -> None:
    rng = np.random.default_rng(4)
    train, test = rng.integers(3, size=40), rng.integers(3, size=40)
    seen, asked = metadata(train, rng, False), metadata(test, rng, False)
    assert metadata_baseline(seen, train, asked, test) == metadata_baseline(
        seen, train, asked, test
    )


def test_constant_metadata_and_a_single_training_class_are_no_obstacle() -> None:
    same = np.tile([320.0, 240.0, 2.0], (6, 1))
    figures = metadata_baseline(same, [0] * 6, same, [0, 0, 0, 1, 1, 1])
    assert figures["accuracy"] == 0.5


@pytest.mark.parametrize(("train", "test"), [([], [0]), ([0], [])])
def test_an_empty_part_is_refused(train: list[int], test: list[int]) -> None:
    with pytest.raises(DatasetError):
        majority_baseline(train, test, num_classes=2)
    with pytest.raises(DatasetError):
        metadata_baseline(np.ones((len(train), 3)), train, np.ones((len(test), 3)), test)


@pytest.mark.parametrize("test", [[2], [-1], [0.5], [[0]]])
def test_what_is_no_class_is_refused(test: list) -> None:
    with pytest.raises(ValueError, match="labels must be"):
        majority_baseline([0, 1], test, num_classes=2)


def test_metadata_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit the labels"):
        metadata_baseline(np.ones((2, 3)), [0, 1], np.ones((1, 2)), [0])
