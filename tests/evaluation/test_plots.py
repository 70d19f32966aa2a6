"""Pictures: real PNGs that show the data, at few classes and at many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filmstrip.evaluation.metrics import evaluate
from filmstrip.evaluation.plots import (
    Mistake,
    plot_confusion,
    plot_contact_sheet,
    plot_history,
    plot_mistakes,
    plot_per_class,
)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def is_alone(path: Path) -> bool:
    return [file.name for file in path.parent.iterdir()] == [path.name]


def history(shift: float) -> list[dict[str, object]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 1 / epoch + shift,
            "train_accuracy": 1 - 1 / epoch,
            "val_accuracy": "" if epoch == 2 else 0.5,
        }
        for epoch in range(1, 6)
    ]


def test_the_history_shows_the_losses_and_bears_gaps(tmp_path: Path) -> None:
    plot_history(history(0.1), tmp_path / "a.png")
    first = picture(tmp_path / "a.png")
    assert is_alone(tmp_path / "a.png")
    plot_history(history(0.6), tmp_path / "b.png", best_epoch=3)
    second = picture(tmp_path / "b.png")
    assert first.shape != second.shape or (first != second).any()


@pytest.mark.parametrize("num_classes", [2, 6, 51, 101])
def test_confusion_and_classes_are_drawn_at_few_classes_and_at_many(
    num_classes: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    names = [f"an action with quite a long name, number {place}" for place in range(num_classes)]
    probs = rng.dirichlet(np.ones(num_classes), 3 * num_classes)
    labels = np.arange(3 * num_classes) % num_classes
    metrics = evaluate(probs, labels, names, num_resamples=20)
    plot_confusion(metrics["confusion"], names, tmp_path / "confusion.png")
    plot_per_class(
        metrics["per_class"], metrics["intervals"]["per_class"], tmp_path / "classes.png"
    )
    for name in ("confusion.png", "classes.png"):
        pixels = picture(tmp_path / name)
        assert min(pixels.shape[:2]) > 150
        assert pixels.std() > 5
        assert (tmp_path / name).stat().st_size < 600_000


def mistake(value: int) -> Mistake:
    frames = np.full((9, 40, 60, 3), value, dtype=np.uint8)
    return Mistake(name="kick/a.avi", frames=frames, truth="kick", predicted="hug", confidence=0.9)


def test_the_sheet_of_mistakes_shows_their_frames(tmp_path: Path) -> None:
    plot_mistakes([mistake(10), mistake(200)], tmp_path / "a.png", num_mistakes=5)
    pixels = picture(tmp_path / "a.png")
    for value in (10, 200):
        assert (np.abs(pixels - value).max(axis=2) <= 3).sum() > 1000


def test_without_mistakes_the_sheet_says_so(tmp_path: Path) -> None:
    plot_mistakes([], tmp_path / "a.png")
    assert (picture(tmp_path / "a.png") < 128).any()


def test_a_contact_sheet_takes_clips_of_various_shapes(tmp_path: Path) -> None:
    tall, wide = np.zeros((2, 90, 30, 3), np.uint8), np.full((7, 20, 90, 3), 99, np.uint8)
    plot_contact_sheet([("tall", tall), ("wide", wide)], tmp_path / "a.png", title="Two clips")
    assert picture(tmp_path / "a.png").shape[1] > 200


def test_a_picture_replaces_an_older_one_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    plot_mistakes([mistake(50)], tmp_path / "a.png")
    assert picture(tmp_path / "a.png").size
    assert is_alone(tmp_path / "a.png")
