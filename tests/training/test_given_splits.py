from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.errors import DatasetError
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

MakeRecipe = Callable[..., Recipe]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def into_split_folders(videos: Path, folder: Path, recordings: str) -> Path:
    """The clips of ``videos`` in train, val and test folders, the recording in each name."""
    sides = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    for label in ("left", "right", "up"):
        for number, (side, recording) in enumerate(zip(sides, recordings, strict=True)):
            target = folder / side / label / f"v_{label}_g0{recording}_c0{number}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos / label / f"{label}_{number}.mp4", target)
    return folder


@pytest.fixture(scope="module")
def folders_run(
    videos: Path, recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A run on train, val and test folders, each recording on one side."""
    folder = tmp_path_factory.mktemp("folders")
    data = into_split_folders(videos, folder / "data", recordings="11223344")
    run = RunFolder(folder / "run")
    train(TrainingRequest(data=data, recipe=recipe("mean-linear")), run.path)
    return run


def test_given_train_val_and_test_folders_are_kept(folders_run: RunFolder) -> None:
    rows = table(folders_run.splits_file)
    assert len(rows) == 24
    assert all(row["path"].startswith(f"{row['split']}/{row['label']}/") for row in rows)


def test_a_recording_on_two_sides_of_given_folders_is_refused_unless_allowed(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = into_split_folders(videos, tmp_path / "data", recordings="11223314")
    request = TrainingRequest(data=data, recipe=recipe("mean-linear"))
    with pytest.raises(DatasetError, match="leaks, 3 pairs") as error:
        train(request, tmp_path / "run")
    assert "v_left_g01_c00.mp4 in train" in error.value.given
    metrics = train(request.model_copy(update={"allow_leak": True}), tmp_path / "run")
    assert {pair["kind"] for pair in metrics["leaks"]["pairs"]} == {"group"}


def test_no_warning_is_given_where_each_recording_is_on_one_side(
    folders_run: RunFolder, tmp_path: Path, listener: Any
) -> None:
    request = folders_run.request()
    train(request, tmp_path / "run", reporter=listener)
    assert not [note for note in listener.notes if "WARNING" in note]


def test_a_class_whose_training_clips_cannot_be_read_is_refused(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = into_split_folders(videos, tmp_path / "data", recordings="11223344")
    for path in (data / "train" / "up").iterdir():
        path.write_bytes(b"")
    balanced = recipe("mean-linear", "training.class_weights=balanced")
    with pytest.raises(DatasetError, match="train has no 'up'"):
        train(TrainingRequest(data=data, recipe=balanced), tmp_path / "run")


def test_the_splits_of_another_run_are_used_again_and_must_leave_something_for_val(
    finished_run: RunFolder, videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    seeded = recipe("mean-linear", "training.seed=5")
    request = TrainingRequest(data=videos, recipe=seeded, splits=finished_run.splits_file)
    train(request, tmp_path / "run")
    assert table(tmp_path / "run" / "splits.csv") == table(finished_run.splits_file)
    without_val = tmp_path / "splits.csv"
    without_val.write_text(finished_run.splits_file.read_text().replace(",val", ",train"))
    request = TrainingRequest(data=videos, recipe=seeded, splits=without_val)
    with pytest.raises(DatasetError, match="val is empty"):
        train(request, tmp_path / "other")


def test_without_a_test_part_nothing_is_claimed(
    finished_run: RunFolder, videos: Path, tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    without_test = tmp_path / "splits.csv"
    without_test.write_text(finished_run.splits_file.read_text().replace(",test", ",train"))
    run = RunFolder(tmp_path / "run")
    stored = finished_run.path / "recipe.yaml"
    ended = filmstrip(
        "train", videos, "--recipe", stored, "--splits", without_test, "--out", run.path
    )
    assert ended.exit_code == 0, ended.stderr
    metrics = run.metrics()
    assert metrics is not None
    assert "test" not in metrics
    assert metrics["baselines"] == {"majority": None, "metadata": None}
    assert "No test part was given" in (run.model / "README.md").read_text()
    assert "For comparison" not in ended.stdout
    assert [path.name for path in run.plots.iterdir()] == ["history.png"]


def test_a_packed_file_trains_to_the_answers_of_its_videos(
    folders_run: RunFolder, recipe: MakeRecipe, tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    file = tmp_path / "clips.npz"
    stored = folders_run.path / "recipe.yaml"
    data = folders_run.request().data
    packed = filmstrip("pack", data, "--recipe", stored, "--out", file)
    assert packed.exit_code == 0
    assert "24 clips" in packed.stderr
    trained = filmstrip("train", file, "--recipe", stored, "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.stderr
    metrics, expected = RunFolder(tmp_path / "run").metrics(), folders_run.metrics()
    assert metrics is not None
    assert expected is not None
    pairs = zip(
        table(tmp_path / "run" / "predictions.csv"),
        table(folders_run.path / "predictions.csv"),
        strict=True,
    )
    for found, wanted in pairs:
        assert (found["label"], found["split"]) == (wanted["label"], wanted["split"])
        for name in ("prob_left", "prob_right", "prob_up"):
            assert float(found[name]) == pytest.approx(float(wanted[name]), abs=1e-4)
    for split in ("train", "val", "test"):
        assert metrics[split]["accuracy"] == expected[split]["accuracy"]
