from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.evaluation.calibration import abstention_threshold
from filmstrip.evaluation.temperature import PRIOR_DEVIATION, fit_temperature
from filmstrip.model.classifier import load_classifier, probabilities
from filmstrip.recipes.recipe import Recipe
from filmstrip.training import split_trainer
from filmstrip.training.held_out import held_out_logits
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

MakeRecipe = Callable[..., Recipe]
CROSSED = ("training.refit=true", "training.calibration_folds=2", "training.epochs=2")


@pytest.fixture
def pairs(videos: Path) -> VideoIndex:
    """Twenty-four clips in twelve groups of two neighbours."""
    index = open_index(videos)
    rows = [replace(row, group=f"g{place // 2}") for place, row in enumerate(index.rows)]
    return replace(index, rows=tuple(rows))


def test_each_clip_is_answered_by_what_learnt_from_all_groups_but_those_of_its_fold(
    pairs: VideoIndex, tmp_path: Path
) -> None:
    learnt: dict[str, set[str]] = {}

    def learn(folder: Path, part: VideoIndex) -> Tensor:
        learnt[folder.name] = {row.group for row in part.rows if row.split == "train"}
        assert {row.split for row in part.rows} == {"train", "test"}
        marks = [[float(folder.name), place, 0.0] for place in range(len(part))]
        return torch.tensor(marks)

    logits = held_out_logits(pairs, 4, 0, tmp_path, learn, Reporter())
    assert logits is not None
    assert logits[:, 1].tolist() == list(range(24))
    answered_by = [str(int(number)) for number in logits[:, 0]]
    assert set(answered_by) == {"1", "2", "3", "4"} == set(learnt)
    everything = set(pairs.groups)
    for number, groups in learnt.items():
        held = {row.group for row, by in zip(pairs.rows, answered_by, strict=True) if by == number}
        assert groups == everything - held


def test_logits_that_are_known_are_not_computed_again(pairs: VideoIndex, tmp_path: Path) -> None:
    first = held_out_logits(
        pairs, 2, 0, tmp_path, lambda _, part: torch.rand(len(part), 3), Reporter()
    )

    def refuse(_folder: Path, _part: VideoIndex) -> Tensor:
        raise AssertionError("it learns again")

    again = held_out_logits(pairs, 2, 0, tmp_path, refuse, Reporter())
    assert first is not None
    assert again is not None
    torch.testing.assert_close(again, first, rtol=0, atol=0)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_damaged_logits_are_computed_again_and_that_is_said(
    pairs: VideoIndex, tmp_path: Path, listener: Any, share: float
) -> None:
    def learn(_folder: Path, part: VideoIndex) -> Tensor:
        return torch.ones(len(part), 3)

    held_out_logits(pairs, 2, 0, tmp_path, learn, Reporter())
    kept = tmp_path / "logits.npy"
    kept.write_bytes(kept.read_bytes()[: int(share * kept.stat().st_size)])
    again = held_out_logits(pairs, 2, 0, tmp_path, learn, listener)
    assert again is not None
    assert again.shape == (24, 3)
    assert "logits.npy is damaged" in listener.notes[0]


def test_too_few_groups_are_told_of_and_leave_the_validation_part_to_itself(
    videos: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    many = recipe("mean-linear", *CROSSED, "training.calibration_folds=50")
    train(TrainingRequest(data=videos, recipe=many), tmp_path / "many", reporter=listener)
    assert any("Too few groups for 50 folds" in note for note in listener.notes)
    plain = recipe("mean-linear", *CROSSED, "training.calibration_folds=0")
    train(TrainingRequest(data=videos, recipe=plain), tmp_path / "plain")
    specs = [load_classifier(tmp_path / name).spec for name in ("many", "plain")]
    assert specs[0] == specs[1]


def test_temperature_and_threshold_are_those_of_the_held_out_answers_to_all_but_the_test_part(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    crossed, plain = (RunFolder(tmp_path / name) for name in ("crossed", "plain"))
    quick = recipe("mean-linear", *CROSSED, "scaler.kind=standard")
    figures = train(TrainingRequest(data=videos, recipe=quick), crossed.path)
    logits = torch.from_numpy(np.load(crossed.path / "calibration" / "logits.npy"))
    index = open_index(videos)
    with crossed.splits_file.open(encoding="utf-8") as file:
        learnt = {row["path"] for row in csv.DictReader(file) if row["split"] != "test"}
    kept = [place for place, name in enumerate(index.names) if name in learnt]
    labels = index.labels[kept]
    assert len(logits) == len(kept) == 24 - figures["test"]["num_clips"]
    spec = load_classifier(crossed.path).spec
    assert spec.num_calibration_clips == len(kept)
    assert spec.temperature == fit_temperature(logits.numpy(), labels, PRIOR_DEVIATION)
    assert spec.threshold == abstention_threshold(probabilities(logits, spec.temperature), labels)
    assert not list((crossed.path / "calibration").rglob("*.ckpt"))

    without = quick.model_copy(
        update={"training": quick.training.model_copy(update={"calibration_folds": 0})}
    )
    others = train(TrainingRequest(data=videos, recipe=without), plain.path)
    assert others["test"]["accuracy"] == figures["test"]["accuracy"]
    assert others["calibration"]["temperature"] != spec.temperature
    assert others["val"]["accuracy"] == figures["val"]["accuracy"]


def test_a_large_validation_part_is_enough_by_itself(
    videos: Path, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_trainer, "ENOUGH_CLIPS", 3)
    train(TrainingRequest(data=videos, recipe=recipe("mean-linear", *CROSSED)), tmp_path / "run")
    assert not (tmp_path / "run" / "calibration").exists()
