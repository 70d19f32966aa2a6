"""Figures against scikit-learn's, and intervals against what is known of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from filmstrip.errors import DatasetError
from filmstrip.evaluation.bootstrap import wilson_interval
from filmstrip.evaluation.calibration import expected_calibration_error
from filmstrip.evaluation.measures import average_precisions
from filmstrip.evaluation.metrics import (
    FIGURES,
    Metrics,
    describe_interval,
    evaluate,
    summarise_folds,
)


def random_answers(seed: int, num_clips: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_clips)
    labels[:num_classes] = np.arange(num_classes)
    probs = rng.dirichlet(np.ones(num_classes), size=num_clips)
    probs[np.arange(num_clips), labels] += rng.uniform(0, 0.5, num_clips)
    return probs / probs.sum(axis=1, keepdims=True), labels


def names(num_classes: int) -> list[str]:
    return [f"class {number}" for number in range(num_classes)]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), num_classes=st.integers(3, 12), extra=st.integers(0, 80))
def test_every_figure_equals_scikit_learns(seed: int, num_classes: int, extra: int) -> None:
    probs, labels = random_answers(seed, num_classes + extra, num_classes)
    metrics = evaluate(probs, labels, names(num_classes), num_resamples=10)
    predicted = probs.argmax(axis=1)
    classes = np.arange(num_classes)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    top5 = 1.0
    if num_classes > 5:
        top5 = top_k_accuracy_score(labels, probs, k=5, labels=classes)
    assert metrics["top5"] == pytest.approx(top5)
    assert metrics["loss"] == pytest.approx(log_loss(labels, probs, labels=classes))
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    one_hot = np.eye(num_classes)[labels]
    precision = average_precision_score(one_hot, probs, average="macro")
    assert metrics["mean_average_precision"] == pytest.approx(precision)
    brier = brier_score_loss(labels, probs, labels=classes, scale_by_half=False)
    assert metrics["brier"] == pytest.approx(brier)
    assert metrics["ece"] == pytest.approx(expected_calibration_error(probs, labels))
    assert metrics["coverage"] == 1
    assert metrics["accuracy_answered"] == metrics["accuracy"]
    assert metrics["confusion"] == confusion_matrix(labels, predicted, labels=classes).tolist()
    precision, recall, f1, counts = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    for place, figures in enumerate(metrics["per_class"]):
        assert figures["name"] == f"class {place}"
        assert figures["precision"] == pytest.approx(precision[place])
        assert figures["recall"] == pytest.approx(recall[place])
        assert figures["f1"] == pytest.approx(f1[place])
        assert figures["num_clips"] == counts[place]
    assert metrics["num_clips"] == len(labels)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    num_clips=st.integers(1, 60),
    num_resamples=st.sampled_from([1, 30]),
)
def test_each_interval_holds_its_figure_even_with_few_clips_and_absent_classes(
    seed: int, num_clips: int, num_resamples: int
) -> None:
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(4), num_clips), rng.integers(4, size=num_clips)
    metrics = evaluate(probs, labels, names(4), num_resamples=num_resamples)
    for figure in FIGURES:
        low, high = metrics["intervals"][figure]
        assert low <= metrics[figure] <= high
    for figures, intervals in zip(
        metrics["per_class"], metrics["intervals"]["per_class"], strict=True
    ):
        for figure in ("precision", "recall", "f1"):
            low, high = intervals[figure]
            assert 0 <= low <= figures[figure] <= high <= 1
    cells = np.array(metrics["intervals"]["confusion"])
    assert cells.shape == (4, 4, 2)
    assert (cells[..., 0] <= np.array(metrics["confusion"])).all()
    assert (cells[..., 1] >= np.array(metrics["confusion"])).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), num_classes=st.integers(2, 6), digits=st.integers(1, 6))
def test_average_precision_of_a_draw_is_scikit_learns_of_the_clips_drawn(
    seed: int, num_classes: int, digits: int
) -> None:
    probs, labels = random_answers(seed, 40, num_classes)
    scores = np.round(probs, digits)  # few digits make ties
    weights = np.random.default_rng(seed).integers(0, 3, size=(3, 40))
    measured = average_precisions(scores, labels, weights.astype(float))
    for draw, row in zip(weights, measured, strict=True):
        drawn = np.repeat(np.arange(40), draw)
        for k in range(num_classes):
            if (labels[drawn] == k).any():
                expected = average_precision_score(labels[drawn] == k, scores[drawn, k])
                assert row[k] == pytest.approx(expected)
            else:
                assert np.isnan(row[k])


def test_a_class_without_clips_leaves_mean_average_precision_to_the_others() -> None:
    probs, labels = random_answers(4, 30, 3)
    padded = np.pad(probs, ((0, 0), (0, 1)))
    alone = evaluate(probs, labels, names(3))
    beside = evaluate(padded, labels, names(4))
    assert beside["mean_average_precision"] == alone["mean_average_precision"]
    intervals = [figures["intervals"]["mean_average_precision"] for figures in (alone, beside)]
    assert intervals[0] == intervals[1]


def test_coverage_and_accuracy_of_what_is_answered() -> None:
    probs, labels = random_answers(6, 80, 4)
    answered = probs.max(axis=1) >= 0.5
    metrics = evaluate(probs, labels, names(4), answered=answered)
    right = probs.argmax(axis=1) == labels
    assert metrics["coverage"] == pytest.approx(answered.mean())
    assert metrics["accuracy_answered"] == pytest.approx(right[answered].mean())
    assert metrics["accuracy"] == pytest.approx(right.mean())


def test_a_model_that_answers_nothing_has_an_accuracy_that_nothing_is_known_of() -> None:
    metrics = evaluate([[0.6, 0.4]], [0], names(2), answered=[False])
    assert (metrics["coverage"], metrics["accuracy_answered"]) == (0, 0)
    assert metrics["intervals"]["accuracy_answered"] == [0, 1]


def test_the_figures_say_what_was_drawn_for_the_intervals() -> None:
    probs, labels = random_answers(7, 12, 3)
    groups = [f"recording {number // 3}" for number in range(12)]
    grouped = evaluate(probs, labels, names(3), groups=groups)
    alone = evaluate(probs, labels, names(3))
    assert grouped["resampling"] == {"units": "groups", "num_units": 4}
    assert alone["resampling"] == {"units": "clips", "num_units": 12}
    for figure in FIGURES:
        assert grouped[figure] == alone[figure]


def test_the_intervals_are_the_same_for_the_same_seed_only() -> None:
    probs, labels = random_answers(1, 60, 4)
    metrics = evaluate(probs, labels, names(4), seed=3)
    assert evaluate(probs, labels, names(4), seed=3) == metrics
    assert evaluate(probs, labels, names(4), seed=4) != metrics


def test_a_lower_confidence_gives_an_interval_within_the_wider_one() -> None:
    probs, labels = random_answers(1, 200, 4)
    wide = evaluate(probs, labels, names(4), confidence=0.95)["intervals"]["accuracy"]
    narrow = evaluate(probs, labels, names(4), confidence=0.5)["intervals"]["accuracy"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_interval_of_accuracy_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        right = rng.random(100) < 0.7
        probs = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        metrics = evaluate(probs, np.zeros(100, int), names(2), num_resamples=100, seed=trial)
        low, high = metrics["intervals"]["accuracy"]
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 100 <= 0.99


def test_more_clips_make_the_interval_narrower() -> None:
    widths = []
    for num_clips in (30, 3000):
        probs, labels = random_answers(2, num_clips, 3)
        low, high = evaluate(probs, labels, names(3))["intervals"]["accuracy"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_a_class_without_clips_leaves_macro_f1_to_the_others() -> None:
    probs = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1]])
    labels = np.array([0, 1, 1])
    metrics = evaluate(probs, labels, names(3))
    present = f1_score(labels, probs.argmax(axis=1), average="macro", labels=[0, 1])
    assert metrics["macro_f1"] == pytest.approx(present)
    assert metrics["per_class"][2] == {
        "name": "class 2",
        "precision": 0,
        "recall": 0,
        "f1": 0,
        "num_clips": 0,
    }
    assert metrics["intervals"]["per_class"][2] == {
        "name": "class 2",
        "precision": [0, 1],
        "recall": [0, 1],
        "f1": [0, 1],
    }


def test_a_class_without_clips_leaves_every_other_interval_as_it_is() -> None:
    probs, labels = random_answers(3, 50, 3)
    alone = evaluate(probs, labels, names(3))["intervals"]
    padded = evaluate(np.pad(probs, ((0, 0), (0, 1))), labels, names(4))["intervals"]
    assert padded["macro_f1"] == alone["macro_f1"]
    assert padded["per_class"][:3] == alone["per_class"]


def test_of_equally_probable_classes_the_first_counts_as_more_probable() -> None:
    metrics = evaluate(np.full((7, 7), 1 / 7), np.arange(7), names(7), num_resamples=1)
    assert metrics["accuracy"] == pytest.approx(1 / 7)
    assert metrics["top5"] == pytest.approx(5 / 7)


def test_a_certain_mistake_costs_a_finite_loss() -> None:
    metrics = evaluate([[1.0, 0.0]], [1], names(2), num_resamples=1)
    assert metrics["loss"] == pytest.approx(log_loss([1], [[1.0, 0.0]], labels=[0, 1]))


def test_the_figures_are_plain_json() -> None:
    probs, labels = random_answers(5, 20, 3)
    metrics = evaluate(probs, labels, names(3))
    assert json.loads(json.dumps(metrics)) == metrics


def test_a_part_without_clips_is_refused_in_three_parts() -> None:
    with pytest.raises(DatasetError) as error:
        evaluate(np.empty((0, 3)), np.empty(0, int), names(3))
    assert error.value.expected
    assert error.value.remedy


@pytest.mark.parametrize(
    ("probs", "labels"),
    [
        ([[0.5, 0.5]], [2]),
        ([[0.5, float("nan")]], [0]),
        ([[0.5, 0.5]], [0, 1]),
        ([[0.5, 0.5]], [-1]),
        ([[0.5, 0.5]], [0.0]),
        ([[0.9, 0.9]], [0]),
        ([[1.5, -0.5]], [0]),
        ([[0.2, 0.3, 0.5]], [0]),
    ],
)
def test_what_is_no_set_of_probabilities_and_labels_is_refused(probs: list, labels: list) -> None:
    with pytest.raises(ValueError, match=r"probs|labels|class names"):
        evaluate(probs, labels, names(2))


@pytest.mark.parametrize("setting", [{"confidence": 1.0}, {"num_resamples": 0}])
def test_a_setting_that_gives_no_interval_is_refused(setting: dict) -> None:
    with pytest.raises(ValueError, match="confidence must lie in"):
        evaluate([[0.5, 0.5]], [0], names(2), **setting)


def test_the_summary_of_folds_is_mean_deviation_and_range() -> None:
    folds = [
        evaluate(*random_answers(seed, 20 + seed, 6), names(6), num_resamples=1)
        for seed in range(4)
    ]
    summary = summarise_folds(folds)
    assert summary["num_folds"] == 4
    assert summary["num_clips"] == 20 + 21 + 22 + 23
    for figure in FIGURES:
        values = [fold[figure] for fold in folds]
        assert summary[figure] == pytest.approx(
            {
                "mean": np.mean(values),
                "standard_deviation": np.std(values, ddof=1),
                "min": np.min(values),
                "max": np.max(values),
            }
        )


def test_a_single_fold_has_no_deviation() -> None:
    fold = evaluate([[0.6, 0.4]], [0], names(2), num_resamples=1)
    assert summarise_folds([fold])["accuracy"] == {
        "mean": 1.0,
        "standard_deviation": None,
        "min": 1.0,
        "max": 1.0,
    }


def test_no_folds_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no folds"):
        summarise_folds([])


def _perfect(num_clips: int, num_classes: int, **options: object) -> Metrics:
    labels = np.arange(num_clips) % num_classes
    names = [f"class {k}" for k in range(num_classes)]
    return evaluate(np.eye(num_classes)[labels], labels, names, **options)


def test_evaluate_gives_a_perfect_score_wilson_s_interval() -> None:
    metrics = _perfect(30, 6, answered=np.ones(30, bool))
    intervals = metrics["intervals"]
    whole = wilson_interval(30, 30)
    for figure in ("accuracy", "top5", "macro_f1", "mean_average_precision", "coverage"):
        assert intervals[figure] == pytest.approx(whole)
    assert intervals["accuracy_answered"] == pytest.approx(whole)
    for of_class in intervals["per_class"]:
        for figure in ("precision", "recall", "f1"):
            assert of_class[figure] == pytest.approx(wilson_interval(5, 5))


def test_evaluate_gives_a_zero_score_wilson_s_interval() -> None:
    labels = np.zeros(12, int)
    metrics = evaluate(np.eye(2)[1 - labels], labels, ["a", "b"])
    assert metrics["intervals"]["accuracy"] == pytest.approx(wilson_interval(0, 12))


def test_evaluate_counts_groups_for_a_perfect_score() -> None:
    metrics = _perfect(30, 3, groups=[f"recording {n // 10}" for n in range(30)])
    assert metrics["intervals"]["accuracy"] == pytest.approx(wilson_interval(3, 3))
    assert metrics["intervals"]["per_class"][0]["recall"] == pytest.approx(wilson_interval(3, 3))


def test_evaluate_is_certain_of_what_is_1_by_definition() -> None:
    intervals = _perfect(9, 3)["intervals"]
    assert intervals["top5"] == intervals["coverage"] == [1, 1]


def test_describe_interval_names_the_method() -> None:
    assert "Wilson's" in describe_interval(_perfect(9, 3))
    labels = np.array([0, 1, 0, 1, 1, 0])
    metrics = evaluate(np.eye(2)[[0, 1, 0, 1, 0, 0]], labels, ["a", "b"])
    assert "bootstrap" in describe_interval(metrics)
