from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.app.compare.ladder import Ladder
from filmstrip.app.compare.rungs import make_rungs
from filmstrip.errors import DatasetError, FilmstripError
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.feasibility import check_divisible
from filmstrip.training.request import TrainingRequest
from filmstrip.training.train import train
from filmstrip.training.tune import tune

MakeRecipe = Callable[..., Recipe]


def folder_of(root: Path, num_classes: int, num_clips: int, group: str = "") -> Path:
    """Class folders of empty files: what is refused before decoding needs no videos."""
    for label in range(num_classes):
        (root / f"c{label}").mkdir(parents=True)
        for number in range(num_clips):
            (root / f"c{label}" / f"{group}{number}.mp4").touch()
    return root


def request_for(recipe: Recipe, data: Path, **settings: Any) -> TrainingRequest:
    return TrainingRequest(data=data, recipe=recipe, **settings)


@pytest.mark.parametrize("settings", [{}, {"num_folds": 2}, {"num_folds": 5}])
def test_classes_of_two_clips_are_refused_before_decoding(
    tmp_path: Path, recipe: MakeRecipe, listener: Any, settings: dict[str, int]
) -> None:
    request = request_for(recipe("mean-linear"), folder_of(tmp_path / "d", 40, 2), **settings)
    with pytest.raises(DatasetError):
        train(request, tmp_path / "run", reporter=listener)
    assert listener.phases == []
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_way_out_that_an_error_names_makes_the_split(
    tmp_path: Path, recipe: MakeRecipe
) -> None:
    data = folder_of(tmp_path / "d", 20, 2)
    request = request_for(recipe("mean-linear"), data)
    with pytest.raises(DatasetError, match="cannot fill val") as error:
        check_divisible(request, request.open_index())
    (option,) = re.findall(r"--set (\S+)", error.value.remedy)
    assert option == "split.test_fraction=0"
    changed = request_for(recipe("mean-linear", option), data)
    check_divisible(changed, changed.open_index())


def test_folds_that_cannot_be_dealt_name_a_number_that_can(
    tmp_path: Path, recipe: MakeRecipe
) -> None:
    request = request_for(recipe("mean-linear"), folder_of(tmp_path / "d", 3, 4), num_folds=9)
    with pytest.raises(DatasetError, match="num_folds 9") as error:
        check_divisible(request, request.open_index())
    assert "give --folds 3; or " in error.value.remedy
    again = request.model_copy(update={"num_folds": 3})
    check_divisible(again, again.open_index())


def test_two_sessions_are_refused_with_the_pattern_that_parts_them(
    tmp_path: Path, recipe: MakeRecipe
) -> None:
    for session in ("session1", "session2"):
        folder_of(tmp_path / "d" / session, 2, 6)
    request = request_for(recipe("mean-linear"), tmp_path / "d")
    with pytest.raises(DatasetError, match="cannot fill val") as error:
        check_divisible(request, request.open_index())
    assert "--group-pattern '.+'" in error.value.remedy
    changed = request.model_copy(update={"group_pattern": ".+"})
    check_divisible(changed, changed.open_index())


def test_a_splits_file_is_missed_before_decoding(
    tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    data = folder_of(tmp_path / "d", 3, 6)
    request = request_for(recipe("mean-linear"), data, splits=tmp_path / "gone.csv")
    with pytest.raises(DatasetError, match=r"gone\.csv: cannot be read"):
        train(request, tmp_path / "run", reporter=listener)
    assert listener.phases == []


def test_weights_and_engines_are_missed_before_decoding(
    tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    data = folder_of(tmp_path / "d", 3, 6)
    request = request_for(recipe("mean-linear"), data)
    lacking = request.model_copy(update={"weights": tmp_path / "gone.safetensors"})
    with pytest.raises(FilmstripError, match="gone"):
        train(lacking, tmp_path / "run", reporter=listener)
    with pytest.raises(FilmstripError, match="no-such-engine"):
        train(request, tmp_path / "run", reporter=listener, engine="no-such-engine")
    assert listener.phases == []


def test_tune_checks_the_split_before_the_first_trial(
    tmp_path: Path, recipe: MakeRecipe, listener: Any
) -> None:
    request = request_for(recipe("mean-linear"), folder_of(tmp_path / "d", 3, 2))
    with pytest.raises(DatasetError, match="cannot fill val") as error:
        tune(request, [("training.l2=0.1",)], tmp_path / "search", reporter=listener)
    assert listener.notes == []
    assert "--folds" not in error.value.remedy


def test_compare_refuses_data_that_leaves_no_test_set(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "d", 3, 6)
    rungs = make_rungs("mean-linear", ["split.test_fraction=0"], [], False)
    request = request_for(rungs[0].recipe, data)
    ladder = Ladder(request, rungs, 1, tmp_path / "out", tmp_path / "cache")
    ladder.out.mkdir()
    with pytest.raises(DatasetError, match="test is empty"):
        ladder.check(request.open_index())
