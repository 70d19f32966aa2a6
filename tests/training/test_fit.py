from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from filmstrip.errors import RunError
from filmstrip.model.head import Head


def test_it_learns_and_the_best_epoch_by_validation_loss_is_kept(task: Any, tmp_path: Path) -> None:
    network = task.fit(tmp_path, task.spec(epochs=25, learning_rate=0.1))
    history = task.history(tmp_path)
    assert history["epoch"] == list(range(1, 26))
    assert history["train_loss"][-1] < 0.5 < history["train_loss"][0]
    assert max(history["val_accuracy"]) > 0.8
    best = min(history["val_loss"])
    assert best < history["val_loss"][-1]  # else the last epoch would do as well
    assert task.val_loss(network) == pytest.approx(best, abs=1e-5)
    assert not network.training


def test_without_a_validation_part_the_last_epoch_is_kept(task: Any, tmp_path: Path) -> None:
    settings = task.spec(epochs=5, learning_rate=0.3)  # so high that the last is not the best
    best = task.fit(tmp_path / "best", settings)
    losses = task.history(tmp_path / "best")["val_loss"]
    assert losses[-1] > min(losses)
    said = []
    last = task.fit(tmp_path / "last", settings, has_val=False, advance=said.append)
    assert task.val_loss(last) == pytest.approx(losses[-1], abs=1e-5)
    assert task.val_loss(best) == pytest.approx(min(losses), abs=1e-5)
    assert all(words.startswith("training accuracy") for words in said)


def test_the_best_epoch_by_validation_accuracy_is_kept_the_first_of_equal_ones(
    task: Any, tmp_path: Path
) -> None:
    network = task.fit(tmp_path, task.spec(epochs=12, learning_rate=0.1, monitor="val_accuracy"))
    history = task.history(tmp_path)
    best = history["val_accuracy"].index(max(history["val_accuracy"]))
    assert task.val_loss(network) == pytest.approx(history["val_loss"][best], abs=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "decay", "cosine"])
def test_the_history_shows_the_learning_rate_that_each_epoch_was_trained_with(
    task: Any, tmp_path: Path, schedule: str
) -> None:
    task.fit(tmp_path, task.spec(schedule=schedule, decay=0.5), task.linear)
    expected = {
        "constant": [0.02] * 4,
        "decay": [0.02, 0.01, 0.005, 0.0025],
        "cosine": [0.01 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)],
    }[schedule]
    assert task.history(tmp_path)["learning_rate"] == pytest.approx(expected)


def test_on_a_plateau_the_learning_rate_falls_once_the_loss_has_not_fallen_for_five_epochs(
    task: Any, tmp_path: Path
) -> None:
    task.fit(
        tmp_path,
        task.spec(epochs=15, schedule="plateau", decay=0.1, learning_rate=1e-12),
        task.linear,
    )
    rates = task.history(tmp_path)["learning_rate"]
    # The first epoch is the best; the five after it are borne, the one after these is not.
    assert rates == pytest.approx([1e-12] * 7 + [1e-13] * 8, rel=0.1)


def test_early_stopping_ends_after_that_many_epochs_without_a_better_one(
    task: Any, tmp_path: Path
) -> None:
    task.fit(tmp_path, task.spec(epochs=30, early_stopping=3, learning_rate=1e-12), task.linear)
    assert task.history(tmp_path)["epoch"] == [1, 2, 3, 4]


def test_mixed_precision_keeps_whole_weights_and_learns_much_the_same(
    task: Any, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("32", "bf16"):
        network = task.fit(tmp_path / precision, task.spec(precision=precision), task.gru)
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        losses[precision] = task.history(tmp_path / precision)["train_loss"][-1]
    assert losses["bf16"] != losses["32"]
    assert losses["bf16"] == pytest.approx(losses["32"], rel=0.1)


def test_a_training_that_diverges_is_an_error_that_names_the_remedy(
    task: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="diverged") as error:
        task.fit(
            tmp_path,
            task.spec(optimizer="sgd", batch_size=1, learning_rate=1e6, l2=1e6),
            task.linear,
        )
    assert "learning_rate" in error.value.remedy


def test_epochs_are_logged_for_tensorboard(task: Any, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task.fit(tmp_path, task.spec(), task.linear)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        logged = [event.value for event in events.Scalars(name)]
        assert logged == pytest.approx(task.history(tmp_path)[name], abs=1e-5)


def test_it_runs_outside_the_main_thread(task: Any, tmp_path: Path) -> None:
    trained: list[Head] = []
    thread = threading.Thread(
        target=lambda: trained.append(
            task.fit(tmp_path / "thread", task.spec(epochs=1), task.linear)
        )
    )
    thread.start()
    thread.join()
    in_main_thread = task.fit(tmp_path / "main", task.spec(epochs=1), task.linear)
    assert torch.equal(trained[0].classify.weight, in_main_thread.classify.weight)
