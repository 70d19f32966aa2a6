"""What a finished run shows, checked against the classifier's own answers and scikit-learn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss

from filmstrip.dataset.index import open_index
from filmstrip.evaluation.temperature import PRIOR_DEVIATION, fit_temperature
from filmstrip.features.engine import Engine
from filmstrip.features.source import ClipReader
from filmstrip.model.classifier import load_classifier
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.training.run_folder import RunFolder

CLASSES = ["left", "right", "up"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_folder_holds_what_its_page_says(finished_run: RunFolder) -> None:
    found = {
        path.relative_to(finished_run.path).as_posix()
        for path in finished_run.path.rglob("*")
        if path.is_file() and "logs/" not in path.as_posix()
    }
    assert found == {
        ".lock",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "clips.csv",
        "fingerprints.npz",
        "history.csv",
        "metrics.json",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "plots/confusion.png",
        "plots/coverage.png",
        "plots/history.png",
        "plots/mistakes.png",
        "plots/per_class.png",
        "plots/reliability.png",
        "predictions.csv",
        "recipe.yaml",
        "run.json",
        "skipped.csv",
        "splits.csv",
        "training_time.json",
    }
    assert list((finished_run.path / "logs").glob("events.out.tfevents.*"))


def test_the_figures_have_the_layout_that_programs_rely_on(finished_run: RunFolder) -> None:
    metrics = json.loads(finished_run.metrics_file.read_text())
    parts = ["train", "val", "test", "calibration", "baselines", "folds"]
    assert list(metrics) == ["leaks", "grouping", *parts]
    assert metrics["folds"] == []
    assert set(metrics["baselines"]) == {"majority", "metadata"}
    for split in ("train", "val", "test"):
        assert set(metrics[split]) >= {"accuracy", "top5", "loss", "macro_f1", "num_clips"}
    assert sum(metrics[split]["num_clips"] for split in ("train", "val", "test")) == 24


def test_the_figures_are_those_of_the_answers_by_scikit_learn(finished_run: RunFolder) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    for split in ("train", "val", "test"):
        rows = [r for r in table(finished_run.path / "predictions.csv") if r["split"] == split]
        probs = np.array([[float(row[f"prob_{name}"]) for name in CLASSES] for row in rows])
        truth = [row["label"] for row in rows]
        predicted = [row["predicted"] for row in rows]
        assert predicted == [CLASSES[place] for place in probs.argmax(axis=1)]
        assert [float(row["confidence"]) for row in rows] == list(probs.max(axis=1))
        probs /= probs.sum(axis=1, keepdims=True)  # the table has six digits
        figures = metrics[split]
        assert figures["num_clips"] == len(rows)
        assert figures["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
        macro_f1 = f1_score(truth, predicted, average="macro", zero_division=0)
        assert figures["macro_f1"] == pytest.approx(macro_f1)
        assert figures["loss"] == pytest.approx(log_loss(truth, probs, labels=CLASSES), abs=1e-4)
        assert figures["top5"] == 1


def test_every_clip_is_answered_and_on_the_side_that_the_splits_say(
    finished_run: RunFolder, videos: Path
) -> None:
    splits = {row["path"]: row["split"] for row in table(finished_run.splits_file)}
    answered = {row["path"]: row["split"] for row in table(finished_run.path / "predictions.csv")}
    assert answered == splits
    assert set(splits) == set(open_index(videos).names)
    assert set(splits.values()) == {"train", "val", "test"}


def test_the_history_has_a_row_for_each_epoch(finished_run: RunFolder) -> None:
    rows = table(finished_run.history_file)
    assert list(rows[0]) == [
        "epoch",
        "train_loss",
        "val_loss",
        "train_accuracy",
        "val_accuracy",
        "learning_rate",
    ]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(0 < float(row["val_loss"]) < 10 for row in rows)


def answers_of(run: RunFolder, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the saved model, up to a constant for each clip, and the true classes."""
    rows = [row for row in table(run.path / "predictions.csv") if row["split"] == split]
    probs = np.array([[float(row[f"prob_{name}"]) for name in CLASSES] for row in rows])
    config = json.loads((run.model / "config.json").read_text())
    logits = config["temperature"] * np.log(probs.clip(1e-6))
    return logits, np.array([CLASSES.index(row["label"]) for row in rows])


def test_the_model_kept_is_that_of_the_epoch_with_the_lowest_validation_loss(
    finished_run: RunFolder,
) -> None:
    logits, labels = answers_of(finished_run, "val")
    lowest = min(float(row["val_loss"]) for row in table(finished_run.history_file))
    assert log_loss(labels, softmax(logits, axis=1), labels=[0, 1, 2]) == pytest.approx(
        lowest, abs=1e-3
    )


def test_the_temperature_is_that_of_the_validation_part_and_lowers_its_loss(
    finished_run: RunFolder,
) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    config = json.loads((finished_run.model / "config.json").read_text())
    logits, labels = answers_of(finished_run, "val")
    assert metrics["calibration"] == {
        "temperature": config["temperature"],
        "threshold": config["threshold"],
        "num_calibration_clips": metrics["val"]["num_clips"],
        "num_familiarity_clips": metrics["train"]["num_clips"] + metrics["val"]["num_clips"],
    }
    assert config["temperature"] == pytest.approx(
        fit_temperature(logits, labels, PRIOR_DEVIATION), rel=0.01
    )
    lowest = min(float(row["val_loss"]) for row in table(finished_run.history_file))
    assert metrics["val"]["loss"] <= lowest + 1e-6
    # Four clips of validation say too little for a threshold.
    assert config["threshold"] is None
    assert metrics["test"]["coverage"] == 1


def test_the_plots_are_pictures(finished_run: RunFolder) -> None:
    for path in finished_run.plots.iterdir():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 2000


def test_the_recipe_with_its_overrides_can_be_trained_from_again(finished_run: RunFolder) -> None:
    stored = load_recipe(str(finished_run.path / "recipe.yaml"))
    assert stored == finished_run.request().recipe
    assert stored.framing.size == 32
    versions = json.loads(finished_run.request_file.read_text())["versions"]
    assert {"filmstrip", "torch", "timm", "av", "python"} <= set(versions)


def test_the_model_card_tells_figures_baselines_and_recipe(finished_run: RunFolder) -> None:
    card = (finished_run.model / "README.md").read_text()
    metrics = finished_run.metrics()
    assert metrics is not None
    assert f"{metrics['test']['accuracy']:.3f}" in card
    assert f"{metrics['baselines']['majority']:.3f}" in card
    assert f"calibration error of its probabilities: {metrics['test']['ece']:.3f}" in card
    assert f"temperature of {metrics['calibration']['temperature']:.3f}" in card
    recipe = yaml.safe_load(card.split("```yaml")[1].split("```")[0])
    assert recipe["framing"]["size"] == 32


def test_the_scaler_is_fitted_on_the_training_part_alone(
    finished_run: RunFolder, videos: Path
) -> None:
    classifier = load_classifier(finished_run.path)
    reader = ClipReader(classifier.spec.sampling, classifier.spec.framing)
    engine = Engine(classifier.backbone)
    splits = {row["path"]: row["split"] for row in table(finished_run.splits_file)}
    index = open_index(videos)
    features = {
        name: engine.embed(reader.read(row)[0]).double().numpy()
        for name, row in zip(index.names, index.rows, strict=True)
    }
    train = np.concatenate([features[name] for name in features if splits[name] == "train"])
    everything = np.concatenate(list(features.values()))
    scaler = classifier.sequence.scaler
    offset, scale = scaler.offset.double().numpy(), scaler.scale.double().numpy()
    np.testing.assert_allclose(offset, train.mean(axis=0), atol=1e-4)
    assert np.abs(offset - everything.mean(axis=0)).max() > 1e-3
    # Principal components, whitened: on the training part uncorrelated and of variance one.
    scaled = (train - offset) @ scale
    np.testing.assert_allclose(np.cov(scaled.T, ddof=0), np.eye(16), atol=1e-2)


def test_a_frozen_backbone_is_saved_as_it_was_given(finished_run: RunFolder) -> None:
    from filmstrip.model.backbone import build_backbone
    from filmstrip.model.weights import load_backbone_weights

    spec = finished_run.request().recipe.backbone
    given = build_backbone(spec, 32)
    load_backbone_weights(given, spec, None)
    saved = load_file(finished_run.model / "model.safetensors")
    for name, tensor in given.state_dict().items():
        assert (saved[f"backbone.{name}"] == tensor).all(), name
