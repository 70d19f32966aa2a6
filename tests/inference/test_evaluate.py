from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from filmstrip.errors import DatasetError, RunError
from filmstrip.inference.evaluate import evaluate_run
from filmstrip.training.run_folder import RunFolder


def figures(run: RunFolder, split: str) -> dict[str, Any]:
    metrics = run.metrics()
    assert metrics is not None
    return dict(metrics[split])


@pytest.fixture
def own_run(finished_run: RunFolder, own_videos: Path, tmp_path: Path) -> RunFolder:
    """A copy of the finished run on videos that the test may change."""
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    request = run.request().model_copy(update={"data": own_videos})
    run.write_json(run.request_file, {"request": request.model_dump(mode="json")})
    return run


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_run_measured_again_has_its_figures(finished_run: RunFolder, split: str) -> None:
    measured, skipped = evaluate_run(finished_run.path, split=split)
    expected = figures(finished_run, split)
    assert skipped == []
    assert measured["loss"] == pytest.approx(expected["loss"], abs=1e-4)
    for name in ("accuracy", "top5", "macro_f1", "num_clips", "confusion", "per_class"):
        assert measured[name] == expected[name], name  # type: ignore[literal-required]


def test_other_data_without_splits_are_measured_whole(
    finished_run: RunFolder, own_videos: Path
) -> None:
    for name in ("left_0", "up_3"):
        (own_videos / name.split("_")[0] / f"{name}.mp4").unlink()
    measured, _ = evaluate_run(finished_run.path, own_videos, allow_leak=True)
    assert measured["num_clips"] == 22
    of_model, _ = evaluate_run(finished_run.model, own_videos, allow_leak=True)
    assert of_model == measured


def test_data_that_lack_a_class_are_measured_by_the_model_s_own_order(
    finished_run: RunFolder, own_videos: Path
) -> None:
    shutil.rmtree(own_videos / "left")
    measured, _ = evaluate_run(finished_run.path, own_videos, allow_leak=True)
    clips = {entry["name"]: entry["num_clips"] for entry in measured["per_class"]}
    assert clips == {"left": 0, "right": 8, "up": 8}


def test_a_class_that_the_model_does_not_know_is_refused(
    finished_run: RunFolder, own_videos: Path
) -> None:
    (own_videos / "up").rename(own_videos / "upwards")
    with pytest.raises(DatasetError, match="'upwards' is unknown"):
        evaluate_run(finished_run.path, own_videos)


def test_a_split_that_is_none_is_refused(finished_run: RunFolder, videos: Path) -> None:
    with pytest.raises(DatasetError, match="'tset'"):
        evaluate_run(finished_run.path, split="tset")


def test_a_file_that_was_damaged_since_is_left_out_with_its_reason(
    own_run: RunFolder, own_videos: Path
) -> None:
    rows = own_run.splits_file.read_text().splitlines()
    damaged = own_videos / next(row.split(",")[0] for row in rows if row.endswith(",test"))
    damaged.write_bytes(b"")
    measured, skipped = evaluate_run(own_run.path)
    assert [file.path for file in skipped] == [damaged]
    assert measured["num_clips"] == figures(own_run, "test")["num_clips"] - 1


def test_a_part_of_which_nothing_can_be_read_is_a_dataset_error(
    own_run: RunFolder, own_videos: Path
) -> None:
    for path in own_videos.rglob("*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no clips"):
        evaluate_run(own_run.path)


def test_a_file_that_is_gone_since_is_named(own_run: RunFolder, own_videos: Path) -> None:
    (own_videos / "up" / "up_5.mp4").unlink()
    with pytest.raises(DatasetError, match=r"up/up_5\.mp4"):
        evaluate_run(own_run.path)


def test_a_folder_that_is_no_run_or_no_finished_one_is_an_error(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        evaluate_run(finished_run.model)
    unfinished = tmp_path / "run"
    unfinished.mkdir()
    shutil.copy(finished_run.request_file, unfinished)
    with pytest.raises(RunError, match="unfinished"):
        evaluate_run(unfinished)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_refitted_run_says_that_it_has_learnt_from_its_validation_part(
    own_run: RunFolder, listener: Any, split: str
) -> None:
    request = own_run.request()
    recipe = request.recipe
    recipe = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"refit": True})}
    )
    request = request.model_copy(update={"recipe": recipe})
    own_run.write_json(own_run.request_file, {"request": request.model_dump(mode="json")})
    evaluate_run(own_run.path, split=split, reporter=listener)
    assert any("has learnt from the validation" in note for note in listener.notes) == (
        split == "val"
    )


def test_own_data_that_was_moved_is_an_error_that_asks_for_its_new_place(
    own_run: RunFolder, own_videos: Path
) -> None:
    own_videos.rename(own_videos.with_name("elsewhere"))
    with pytest.raises(DatasetError, match="no such file or folder") as error:
        evaluate_run(own_run.path)
    assert f"filmstrip evaluate {own_run.path} NEW_PLACE" in error.value.remedy


def test_own_data_of_which_a_part_was_moved_asks_for_its_new_place(
    own_run: RunFolder, own_videos: Path
) -> None:
    (own_videos / "up").rename(own_videos / "upwards")
    with pytest.raises(DatasetError) as error:
        evaluate_run(own_run.path)
    assert "NEW_PLACE" in error.value.remedy


def test_own_clips_that_were_edited_since_are_named(
    own_run: RunFolder, own_videos: Path, listener: Any
) -> None:
    shutil.copy(own_videos / "up" / "up_1.mp4", own_videos / "up" / "up_2.mp4")
    evaluate_run(own_run.path, reporter=listener)
    assert any("1 clip of the run's data were edited" in note for note in listener.notes)
    assert any("up/up_2.mp4" in note for note in listener.notes)
