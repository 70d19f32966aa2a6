"""Trainings that end too early, within this process, and go on."""

from __future__ import annotations

import pickle
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from filmstrip.errors import StorageError
from filmstrip.model.head import Head
from filmstrip.video.transforms import Augmentation

CROPPED = Augmentation(temporal_crop=0.5)


def assert_same_weights(first: Head, second: Head) -> None:
    for (name, a), (_, b) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def interrupt_at(epoch: int) -> Callable[[str], None]:
    """Ctrl-C as the epoch ends; the training ends with the next batch."""
    num_told = 0

    def advance(_words: str) -> None:
        nonlocal num_told
        num_told += 1
        if num_told == epoch:
            signal.raise_signal(signal.SIGINT)

    return advance


def test_the_same_seed_gives_the_same_weights_and_another_others(task: Any, tmp_path: Path) -> None:
    one = task.fit(tmp_path / "1", task.spec(augmentation=CROPPED))
    torch.rand(7)
    assert_same_weights(one, task.fit(tmp_path / "2", task.spec(augmentation=CROPPED)))
    other = task.fit(tmp_path / "3", task.spec(augmentation=CROPPED, seed=1))
    assert not torch.equal(one.classify.weight, other.classify.weight)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant", "optimizer": "sgd"},
        {"schedule": "decay", "optimizer": "adamw"},
        {"schedule": "cosine", "gradient_clip": 0.5},
        {"schedule": "plateau", "decay": 0.1, "learning_rate": 1e-10, "epochs": 9},
        {"early_stopping": 2, "learning_rate": 0.3, "epochs": 9},
        {"monitor": "val_accuracy", "precision": "bf16"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_an_interrupted_training_goes_on_to_the_very_same_weights_and_history(
    task: Any, tmp_path: Path, settings: dict[str, object]
) -> None:
    chosen = task.spec(**{"epochs": 5, **settings}, augmentation=CROPPED)
    whole = task.fit(tmp_path / "whole", chosen)
    num_epochs = len(task.history(tmp_path / "whole")["epoch"])
    parts = tmp_path / "parts"
    for epoch in (2, num_epochs - 2):
        with pytest.raises(KeyboardInterrupt):
            task.fit(parts, chosen, resume=True, advance=interrupt_at(epoch))
    resumed = task.fit(parts, chosen, resume=True)
    assert_same_weights(resumed, whole)
    assert task.history(parts) == task.history(tmp_path / "whole")


def test_after_ctrl_c_the_last_whole_epoch_is_kept_and_ctrl_c_works_as_before(
    task: Any, tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    # A rate at which no epoch but the first is the best.
    chosen = task.spec(epochs=9, learning_rate=1e-12)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, task.linear, advance=interrupt_at(5))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert (best["epoch"], last["epoch"]) == (0, 4)
    assert len(task.history(tmp_path)["epoch"]) == 5
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_epoch_ends_the_work_too(task: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, task.spec(), task.linear, advance=interrupt_at(4))
    assert len(task.history(tmp_path)["epoch"]) == 4


def test_a_second_ctrl_c_ends_the_work_at_once(task: Any, tmp_path: Path) -> None:
    def press_twice(_words: str) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the epoch goes on")

    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, task.spec(), task.linear, advance=press_twice)


def test_progress_counts_the_epochs_that_a_checkpoint_brought(task: Any, tmp_path: Path) -> None:
    chosen = task.spec(epochs=6)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, task.linear, advance=interrupt_at(4))
    told: list[str] = []
    task.fit(tmp_path, chosen, task.linear, resume=True, advance=told.append)
    assert len(told) == 6
    assert "accuracy" in told[-1]


def test_a_training_that_had_ended_is_not_trained_further(task: Any, tmp_path: Path) -> None:
    for name, settings in {
        "early": {"epochs": 30, "early_stopping": 2, "learning_rate": 1e-12},
        "whole": {"epochs": 3},
    }.items():
        first = task.fit(tmp_path / name, task.spec(**settings), task.linear)
        history = task.history(tmp_path / name)
        again = task.fit(tmp_path / name, task.spec(**settings), task.linear, resume=True)
        assert task.history(tmp_path / name) == history
        assert_same_weights(first, again)


def test_a_folder_that_was_moved_still_knows_what_its_best_epoch_was(
    task: Any, tmp_path: Path
) -> None:
    # At this rate the loss rises after a few epochs.
    chosen = task.spec(epochs=20, learning_rate=0.3)
    whole = task.fit(tmp_path / "whole", chosen)
    losses = task.history(tmp_path / "whole")["val_loss"]
    best = losses.index(min(losses))
    assert 0 < best < 18
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path / "here", chosen, advance=interrupt_at(best + 2))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert_same_weights(task.fit(tmp_path / "there", chosen, resume=True), whole)


def test_without_resume_a_checkpoint_is_not_looked_at(task: Any, tmp_path: Path) -> None:
    task.fit(tmp_path, task.spec(epochs=2), task.linear)
    again = task.fit(tmp_path, task.spec(epochs=2, seed=1), task.linear)
    assert_same_weights(
        again, task.fit(tmp_path / "fresh", task.spec(epochs=2, seed=1), task.linear)
    )


def test_a_full_disk_is_a_storage_error_and_the_last_checkpoint_stays_whole(
    task: Any, tmp_path: Path, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    whole = task.fit(tmp_path / "whole", task.spec())
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path / "cut", task.spec(), advance=interrupt_at(3))
    checkpoint = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    with largest_file(len(before) // 2), pytest.raises(StorageError) as error:
        task.fit(tmp_path / "cut", task.spec(), resume=True)
    assert "same command again" in error.value.remedy
    assert checkpoint.read_bytes() == before
    assert {path.name for path in checkpoint.parent.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert_same_weights(task.fit(tmp_path / "cut", task.spec(), resume=True), whole)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def turn_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.find(b"data/0") + 200] ^= 1  # inside the first tensor
    path.write_bytes(content)


def put_another(path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"other": torch.zeros(3)}}, path)


def put_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Path("/")}))


@pytest.mark.parametrize("damage", [cut_in_half, empty, turn_one_bit, put_another, put_pickle])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_starts_the_training_again_and_says_so(
    task: Any, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    whole = task.fit(tmp_path / "whole", task.spec())
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path / "cut", task.spec(), advance=interrupt_at(3))
    damage(tmp_path / "cut" / "checkpoints" / name)
    notes: list[str] = []
    resumed = task.fit(tmp_path / "cut", task.spec(), resume=True, note=notes.append)
    assert_same_weights(resumed, whole)
    assert task.history(tmp_path / "cut") == task.history(tmp_path / "whole")
    (note,) = notes
    assert name in note
    assert "starts again from its first epoch" in note


def test_a_lost_best_checkpoint_is_not_replaced_by_a_worse_epoch(task: Any, tmp_path: Path) -> None:
    # A rate at which no epoch but the first is the best.
    chosen = task.spec(epochs=4, learning_rate=1e-12)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, task.linear, advance=interrupt_at(2))
    best = tmp_path / "checkpoints" / "best.ckpt"
    best.unlink()
    notes: list[str] = []
    task.fit(tmp_path, chosen, task.linear, resume=True, note=notes.append)
    assert "best.ckpt is missing" in notes[0]
    assert torch.load(best, weights_only=True)["epoch"] == 0
