from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.errors import RecipeError, RunError
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.tune import combinations, parse_choices, tune


@pytest.fixture
def request_(videos: Path, recipe: Callable[..., Recipe]) -> TrainingRequest:
    return TrainingRequest(data=videos, recipe=recipe("mean-linear"))


def test_choices_are_lists_of_yaml() -> None:
    assert parse_choices(["head.hidden=[64, [16, 8]]", " training.l2 = [0, 1e-3]"]) == {
        "head.hidden": [64, [16, 8]],
        "training.l2": [0, "1e-3"],
    }


@pytest.mark.parametrize("text", ["head.hidden", "head.hidden=64", "head.hidden=[]", "a=[1"])
def test_what_is_no_list_of_values_is_refused(text: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_choices([text])
    assert text in error.value.given
    assert "[64, 128]" in error.value.expected


def test_a_grid_holds_every_combination_once() -> None:
    points = combinations({"a": [1, 2], "b": [[16, 8], "x", 0.5]}, "grid", num_trials=1, seed=0)
    assert len(points) == 6
    assert set(points) >= {("a=1", "b=[16, 8]"), ("a=2", "b=x")}


def test_random_search_draws_different_combinations_by_its_seed() -> None:
    choices = {"a": list(range(10)), "b": list(range(10))}
    drawn = combinations(choices, "random", num_trials=12, seed=3)
    assert len(set(drawn)) == len(drawn) == 12
    assert drawn == combinations(choices, "random", num_trials=12, seed=3)
    assert drawn != combinations(choices, "random", num_trials=12, seed=4)
    assert len(combinations({"a": [1, 2]}, "random", num_trials=12, seed=3)) == 2


def test_the_best_trial_is_chosen_by_the_validation_part_and_finished_trials_are_taken_up(
    request_: TrainingRequest, tmp_path: Path, listener: Any
) -> None:
    rates = ("1e-9", "0.05", "0.01")
    points = [(f"training.learning_rate={rate}",) for rate in rates]
    tune(request_, points[:1], tmp_path)
    first = RunFolder(tmp_path / "trials" / "1").model / "model.safetensors"
    written = first.stat().st_mtime_ns
    trials = tune(request_, points, tmp_path, reporter=listener)
    assert first.stat().st_mtime_ns == written
    assert [note for note in listener.notes if note.startswith("Trial")][1].endswith(points[1][0])
    vals = []
    for trial in trials:
        metrics = RunFolder(trial.run).metrics()
        assert metrics is not None
        vals.append((-metrics["val"]["accuracy"], metrics["val"]["loss"]))
        assert (trial.val_accuracy, trial.val_loss) == (-vals[-1][0], vals[-1][1])
        assert trial.overrides == points[trial.number - 1]
    assert vals == sorted(vals)
    assert len({loss for _, loss in vals}) == 3
    assert len({RunFolder(trial.run).splits_file.read_text() for trial in trials}) == 1
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [trial.number for trial in trials]
    assert not [name for name in rows[0] if "test" in name]


def test_a_better_test_part_does_not_make_a_trial_better(
    request_: TrainingRequest, tmp_path: Path
) -> None:
    points = [("training.learning_rate=1e-9",), ("training.learning_rate=1e-8",)]
    before = tune(request_, points, tmp_path)
    worse = RunFolder(before[1].run)
    metrics = worse.metrics()
    assert metrics is not None
    metrics["test"] |= {"accuracy": 1.0, "loss": 0.0}
    worse.metrics_file.write_text(json.dumps(metrics))
    assert tune(request_, points, tmp_path) == before


def test_a_wrong_setting_is_found_before_the_first_trial(
    request_: TrainingRequest, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"training\.epoch"):
        tune(request_, [("training.epochs=1",), ("training.epoch=1",)], tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_two_searches_in_one_folder_are_refused(request_: TrainingRequest, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another Filmstrip process"):
        tune(request_, [("training.epochs=1",)], tmp_path)


def test_a_search_is_refused_once_its_data_has_changed(
    own_videos: Path, recipe: Callable[..., Recipe], tmp_path: Path, listener: Any
) -> None:
    request = TrainingRequest(data=own_videos, recipe=recipe("mean-linear"))
    points = [("training.learning_rate=0.01",), ("training.learning_rate=0.02",)]
    tune(request, points[:1], tmp_path / "search")
    shutil.copy(own_videos / "up" / "up_1.mp4", own_videos / "up" / "up_9.mp4")
    with pytest.raises(RunError, match=r"1 clip added \(up/up_9\.mp4\)"):
        tune(request, points, tmp_path / "search", reporter=listener)
    assert listener.phases == []
    assert not (tmp_path / "search" / "trials" / "2").exists()


def test_data_that_changes_during_a_search_is_noticed(
    own_videos: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    class Edits(Reporter):
        def note(self, text: str) -> None:
            if text.startswith("Trial 2"):
                shutil.copy(own_videos / "up" / "up_1.mp4", own_videos / "up" / "up_2.mp4")

    request = TrainingRequest(data=own_videos, recipe=recipe("mean-linear"))
    points = [("training.learning_rate=0.01",), ("training.learning_rate=0.02",)]
    with pytest.raises(RunError, match=r"trials/2.*1 clip edited \(up/up_2\.mp4\)"):
        tune(request, points, tmp_path / "search", reporter=Edits())


@pytest.mark.parametrize("setting", ["training.seed=1", "split.val_fraction=0.3"])
def test_settings_that_change_the_split_cannot_be_tried(
    request_: TrainingRequest, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(RecipeError, match="changes the split"):
        tune(request_, [("training.epochs=1",), (setting,)], tmp_path / "search")
    assert not (tmp_path / "search").exists()
