"""Models measured on data that holds some of the clips that they have learnt from."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.dataset.synthetic import render_clip
from filmstrip.errors import DatasetError
from filmstrip.inference.evaluate import evaluate_run
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train
from filmstrip.video.encode import write_video

MakeRecipe = Callable[..., Recipe]
LABELS = ("growing", "left")
SIDES = ("train",) * 5 + ("val",) * 2 + ("test",) * 3


def frames_of(label: str, number: int) -> np.ndarray:
    return render_clip(label, np.random.default_rng([number, LABELS.index(label)]), 24, 64)


@pytest.fixture(scope="module")
def trained(recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """Ten clips of each of two classes in a table with splits, and a run; not to be changed."""
    root = tmp_path_factory.mktemp("leak_check") / "data"
    table = root / "clips.csv"
    lines = ["path,label,split"]
    for label in LABELS:
        for number, side in enumerate(SIDES):
            write_video(root / label / f"{label}_{number}.mp4", frames_of(label, number), 16)
            lines.append(f"{label}/{label}_{number}.mp4,{label},{side}")
    table.write_text("\n".join(lines) + "\n")
    run = RunFolder(root.parent / "run")
    train(TrainingRequest(data=table, recipe=recipe("mean-linear")), run.path)
    return table, run


@pytest.fixture
def copied(trained: tuple[Path, RunFolder], tmp_path: Path) -> Path:
    """A copy of the clips in class folders, without the table of their splits."""
    folder = Path(shutil.copytree(trained[0].parent, tmp_path / "copied"))
    (folder / "clips.csv").unlink()
    return folder


def honest(run: RunFolder) -> dict[str, Any]:
    """The run's own figures on its test set."""
    metrics = run.metrics()
    assert metrics is not None
    return dict(metrics["test"])


def assert_is_honest(measured: dict[str, Any], run: RunFolder) -> None:
    expected = honest(run)
    assert measured["loss"] == pytest.approx(expected["loss"], abs=1e-4)
    for name in ("accuracy", "num_clips", "confusion", "per_class"):
        assert measured[name] == expected[name], name


def test_of_the_runs_own_clips_only_the_test_set_is_measured(
    trained: tuple[Path, RunFolder], copied: Path, listener: Any
) -> None:
    measured, skipped = evaluate_run(trained[1].path, copied, reporter=listener)
    assert_is_honest(measured, trained[1])
    assert skipped == []
    assert measured["leaks"]["num_pairs"] == 0
    assert measured["leaks"]["num_left_out"] == 14
    assert any(
        "has learnt from them: 14 clips (14 by the same bytes)" in note
        and "6 clips of 20 are measured" in note
        for note in listener.notes
    )


def test_clips_that_were_renamed_are_recognised(
    trained: tuple[Path, RunFolder], copied: Path
) -> None:
    for number, clip in enumerate(sorted(copied.rglob("*.mp4"))):
        clip.rename(clip.with_name(f"renamed {20 - number}.mp4"))
    measured, _ = evaluate_run(trained[1].path, copied)
    assert_is_honest(measured, trained[1])


@pytest.fixture
def encoded_again(tmp_path: Path) -> Path:
    """The clips of the run, encoded at a lower quality."""
    for label in LABELS:
        for number in range(len(SIDES)):
            path = tmp_path / "again" / label / f"{number}.mp4"
            write_video(path, frames_of(label, number), 16, options={"crf": "30"})
    return tmp_path / "again"


def test_copies_that_were_encoded_again_are_recognised(
    trained: tuple[Path, RunFolder], encoded_again: Path
) -> None:
    measured, _ = evaluate_run(trained[1].path, encoded_again)
    assert measured["num_clips"] == 6
    kinds = {(pair["kind"], pair["first_split"]) for pair in measured["leaks"]["left_out"]}
    assert kinds == {("near", "train"), ("near", "val")}


def test_copies_are_recognised_where_neither_the_clips_nor_their_cache_are(
    trained: tuple[Path, RunFolder], encoded_again: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[1].path, tmp_path / "run"))
    stored = json.loads((run / "run.json").read_text())
    stored["request"]["data"] = "/on/another/machine/clips.csv"
    (run / "run.json").write_text(json.dumps(stored))
    measured, _ = evaluate_run(run, encoded_again, cache=tmp_path / "cache")
    assert measured["num_clips"] == 6
    for pair in measured["leaks"]["left_out"]:
        assert Path(pair["first"]).stem == f"{Path(pair['second']).parent.name}_" + (
            Path(pair["second"]).stem
        )


def test_the_other_half_of_a_training_recording_is_recognised(
    recipe: MakeRecipe, tmp_path: Path
) -> None:
    lines = ["path,label,split"]
    for label in LABELS:
        for number, side in enumerate(SIDES):
            path = tmp_path / "data" / label / f"{number}.mp4"
            write_video(path, frames_of(label, number)[:12], 16)
            lines.append(f"{label}/{number}.mp4,{label},{side}")
            write_video(
                tmp_path / "rest" / label / f"{number}.mp4", frames_of(label, number)[12:], 16
            )
    (tmp_path / "data" / "clips.csv").write_text("\n".join(lines) + "\n")
    request = TrainingRequest(data=tmp_path / "data" / "clips.csv", recipe=recipe("mean-linear"))
    train(request, tmp_path / "run")
    measured, _ = evaluate_run(tmp_path / "run", tmp_path / "rest")
    found = {pair["second"]: pair for pair in measured["leaks"]["left_out"]}
    assert {pair["kind"] for pair in found.values()} == {"continuation"}
    assert all(pair["first"] == name for name, pair in found.items())
    # The colours of a second look differ across a few of the cuts.
    assert len(found) >= 10
    assert not [name for name in found if SIDES[int(Path(name).stem)] == "test"]


def test_new_clips_are_measured_and_none_is_taken_for_a_copy(
    trained: tuple[Path, RunFolder], tmp_path: Path, listener: Any
) -> None:
    for label in LABELS:
        for number in range(20, 24):
            write_video(tmp_path / "new" / label / f"{number}.mp4", frames_of(label, number), 16)
    measured, _ = evaluate_run(trained[1].path, tmp_path / "new", reporter=listener)
    assert measured["num_clips"] == 8
    assert measured["leaks"] == {
        "allowed": False,
        "checked": ["exact", "near", "continuation"],
        "num_pairs": 0,
        "pairs": [],
        "num_left_out": 0,
        "left_out": [],
    }
    assert not [note for note in listener.notes if "WARNING" in note or "Left out" in note]


def test_an_allowed_leak_measures_all_and_marks_the_metrics(
    trained: tuple[Path, RunFolder], copied: Path, filmstrip: Callable[..., Any]
) -> None:
    measured, _ = evaluate_run(trained[1].path, copied, allow_leak=True)
    assert measured["num_clips"] == 20
    assert measured["leaks"]["allowed"] is True
    assert measured["leaks"]["num_pairs"] == 14
    assert measured["leaks"]["pairs"][0] == {
        "first": "growing/growing_0.mp4",
        "second": "growing/growing_0.mp4",
        "kind": "exact",
        "first_split": "train",
        "second_split": "test",
    }
    shown = filmstrip("evaluate", trained[1].path, copied, "--allow-leak")
    assert shown.stdout.startswith("LEAKY FIGURES: 14 pairs")


def test_data_of_which_all_was_learnt_is_refused_with_what_to_do(
    trained: tuple[Path, RunFolder], copied: Path, filmstrip: Callable[..., Any]
) -> None:
    for label in LABELS:
        for number, side in enumerate(SIDES):
            if side == "test":
                (copied / label / f"{label}_{number}.mp4").unlink()
    with pytest.raises(
        DatasetError, match=r"all of its 14 clips \(14 by the same bytes\)"
    ) as error:
        evaluate_run(trained[1].path, copied)
    assert f"filmstrip evaluate {trained[1].path};" in error.value.remedy
    assert filmstrip("evaluate", trained[1].path, copied).exit_code == 1


def test_model_folder_is_checked_only_inside_its_run(
    trained: tuple[Path, RunFolder], copied: Path, tmp_path: Path, listener: Any
) -> None:
    measured, _ = evaluate_run(trained[1].model, copied)
    assert measured["num_clips"] == 6
    lone = Path(shutil.copytree(trained[1].model, tmp_path / "model"))
    measured, _ = evaluate_run(lone, copied, reporter=listener)
    assert measured["num_clips"] == 20
    assert measured["leaks"]["checked"] == []
    assert any("a model folder without its run" in note for note in listener.notes)


def test_without_near_duplicates_only_equal_bytes_are_recognised(
    trained: tuple[Path, RunFolder], encoded_again: Path, filmstrip: Callable[..., Any]
) -> None:
    command = ("evaluate", trained[1].path, encoded_again, "--no-near-duplicates", "--json")
    ended = filmstrip(*command)
    assert json.loads(ended.stdout)["leaks"]["checked"] == ["exact"]
    assert json.loads(ended.stdout)["num_clips"] == 20
    assert "NOT looked for" in ended.stderr


@pytest.fixture
def older(trained: tuple[Path, RunFolder], tmp_path: Path) -> RunFolder:
    """The run as an older version of Filmstrip left it."""
    run = RunFolder(Path(shutil.copytree(trained[1].path, tmp_path / "older")))
    run.clips_file.unlink()
    run.fingerprints_file.unlink()
    return run


def test_a_run_of_an_older_version_reads_its_clips_again(
    older: RunFolder, encoded_again: Path, copied: Path, listener: Any
) -> None:
    measured, _ = evaluate_run(older.path, copied, reporter=listener)
    assert measured["num_clips"] == 6
    assert any("They are read again from" in note for note in listener.notes)
    measured, _ = evaluate_run(older.path, encoded_again)
    assert measured["num_clips"] == 6


def test_a_run_of_an_older_version_whose_clips_are_gone_says_so(
    older: RunFolder, copied: Path, listener: Any
) -> None:
    stored = json.loads(older.request_file.read_text())
    stored["request"]["data"] = "/gone"
    older.request_file.write_text(json.dumps(stored))
    measured, _ = evaluate_run(older.path, copied, reporter=listener)
    assert measured["num_clips"] == 20
    assert any("WARNING: 14 of 14 training clips" in note for note in listener.notes)


def test_a_group_that_shares_its_name_with_a_training_group_is_a_warning(
    trained: tuple[Path, RunFolder], recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    data = Path(shutil.copytree(trained[0].parent, tmp_path / "data"))
    table = data / "clips.csv"
    rows = list(csv.reader(table.open(newline="")))
    grouped = [[*rows[0], "group"]] + [[*row, f"day {n % 10}"] for n, row in enumerate(rows[1:])]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(grouped)
    request = TrainingRequest(data=table, recipe=recipe("mean-linear"))
    train(request, tmp_path / "run")
    new = tmp_path / "new"
    lines = ["path,label,group"]
    for label in LABELS:
        for number in (30, 31):
            write_video(new / label / f"{number}.mp4", frames_of(label, number), 16)
            lines.append(f"{label}/{number}.mp4,{label},day {number % 10}")
    (new / "clips.csv").write_text("\n".join(lines) + "\n")
    measured, _ = evaluate_run(tmp_path / "run", new / "clips.csv", reporter=listener)
    assert measured["num_clips"] == 4
    assert any("WARNING: 4 clips have the group of a training clip" in n for n in listener.notes)


def test_a_run_of_folds_has_learnt_from_all_and_its_folds_from_their_own(
    trained: tuple[Path, RunFolder], copied: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "folds run")
    train(TrainingRequest(data=copied, recipe=recipe("mean-linear"), num_folds=2), run.path)
    moved = Path(shutil.copytree(copied, tmp_path / "moved"))
    with pytest.raises(DatasetError, match="all of its 20 clips"):
        evaluate_run(run.path, moved)
    measured, _ = evaluate_run(run.fold(1).path, moved)
    assert_is_honest(measured, run.fold(1))


def test_the_fingerprints_of_a_run_are_small(trained: tuple[Path, RunFolder]) -> None:
    assert trained[1].fingerprints_file.stat().st_size < 20 * 24 * 256
