"""Pictures: real PNGs that show the data, at few classes and at many."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filmstrip.errors import StorageError
from filmstrip.evaluation.metrics import Metrics, evaluate
from filmstrip.evaluation.plots import (
    plot_confusion,
    plot_history,
    plot_per_class,
)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def differ(first: Path, second: Path) -> bool:
    return not np.array_equal(picture(first), picture(second))


def history(num_epochs: int, val_accuracy: float) -> list[dict[str, str]]:
    return [
        {
            "epoch": str(epoch),
            "train_loss": str(1 / epoch),
            "val_loss": str(2 / epoch),
            "train_accuracy": str(1 - 1 / epoch),
            "val_accuracy": str(val_accuracy),
        }
        for epoch in range(1, num_epochs + 1)
    ]


def test_the_history_shows_its_values_and_the_best_epoch(tmp_path: Path) -> None:
    plot_history(history(5, 0.5), tmp_path / "a.png", best_epoch=3)
    plot_history(history(5, 0.5), tmp_path / "same.png", best_epoch=3)
    plot_history(history(5, 0.6), tmp_path / "value.png", best_epoch=3)
    plot_history(history(5, 0.5), tmp_path / "best.png", best_epoch=4)
    assert not differ(tmp_path / "a.png", tmp_path / "same.png")
    assert differ(tmp_path / "a.png", tmp_path / "value.png")
    assert differ(tmp_path / "a.png", tmp_path / "best.png")


def test_a_history_of_one_epoch_shows_both_its_points(tmp_path: Path) -> None:
    plot_history(history(1, 0.5), tmp_path / "a.png", best_epoch=1)
    plot_history(history(1, 0.8), tmp_path / "b.png", best_epoch=1)
    assert differ(tmp_path / "a.png", tmp_path / "b.png")


def random_metrics(num_classes: int, seed: int, names: list[str]) -> Metrics:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(num_classes), 3 * num_classes)
    labels = np.arange(3 * num_classes) % num_classes
    return evaluate(probs, labels, names, num_resamples=20)


@pytest.mark.parametrize("num_classes", [2, 6, 51, 101])
def test_confusion_and_classes_are_drawn_at_few_classes_and_at_many(
    num_classes: int, tmp_path: Path
) -> None:
    names = [f"an action with quite a long name, number {place}" for place in range(num_classes)]
    metrics = random_metrics(num_classes, 0, names)
    plot_confusion(metrics["confusion"], names, tmp_path / "confusion.png")
    plot_per_class(
        metrics["per_class"], metrics["intervals"]["per_class"], tmp_path / "classes.png"
    )
    for name in ("confusion.png", "classes.png"):
        pixels = picture(tmp_path / name)
        assert min(pixels.shape[:2]) > 150
        assert pixels.std() > 5
        assert (tmp_path / name).stat().st_size < 600_000


def test_confusion_and_classes_show_their_figures(tmp_path: Path) -> None:
    for seed in (0, 1):
        metrics = random_metrics(4, seed, ["a", "b", "c", "d"])
        plot_confusion(
            metrics["confusion"], ["a", "b", "c", "d"], tmp_path / f"confusion{seed}.png"
        )
        plot_per_class(
            metrics["per_class"], metrics["intervals"]["per_class"], tmp_path / f"classes{seed}.png"
        )
    assert differ(tmp_path / "confusion0.png", tmp_path / "confusion1.png")
    assert differ(tmp_path / "classes0.png", tmp_path / "classes1.png")


def test_a_row_of_the_confusion_is_as_dark_as_its_share_whatever_its_clips(tmp_path: Path) -> None:
    plot_confusion([[5, 0], [0, 500]], ["a", "b"], tmp_path / "a.png")
    darkest = (picture(tmp_path / "a.png") == [8, 48, 107]).all(axis=2)  # the end of "Blues"
    per_column = darkest.sum(axis=0)
    # The cells are one inch at 120 pixels an inch, one below the other, less their counts.
    assert (per_column > 100).sum() >= 235


def test_a_name_may_hold_what_matplotlib_takes_for_mathematics_line_ends_and_no_text(
    tmp_path: Path,
) -> None:
    names = ["$\\frac{$", "two\nlines\udcff"]
    plot_confusion([[1, 2], [3, 4]], names, tmp_path / "confusion.png")
    assert picture(tmp_path / "confusion.png").size


@pytest.mark.filterwarnings("error")
def test_a_name_that_the_font_cannot_write_is_no_warning(tmp_path: Path) -> None:
    plot_confusion([[1, 2], [3, 4]], ["\N{CLAPPER BOARD}", "b"], tmp_path / "confusion.png")
    assert picture(tmp_path / "confusion.png").size


def test_a_confusion_that_does_not_fit_its_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 class names"):
        plot_confusion([[1, 0], [0, 1]], ["a", "b", "c"], tmp_path / "a.png")


def test_a_chart_that_cannot_be_written_leaves_the_older_one_whole(
    tmp_path: Path, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "a.png"
    plot_history(history(5, 0.5), path, best_epoch=1)  # and matplotlib has its cache of fonts
    older = path.read_bytes()
    with largest_file(5000), pytest.raises(StorageError):
        plot_history(history(5, 0.5), path, best_epoch=1)
    assert path.read_bytes() == older
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
