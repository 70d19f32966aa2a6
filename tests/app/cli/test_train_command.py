"""``filmstrip train``, ``evaluate``, ``recipes``, ``pack`` and ``tune`` as a shell calls them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.recipes.catalogue import RECIPE_NAMES, load_recipe
from filmstrip.training.run_folder import RunFolder

Filmstrip = Callable[..., Any]


@pytest.fixture
def quick(recipe: Callable[..., Any], tmp_path: Path) -> Path:
    from filmstrip.recipes.catalogue import to_yaml

    (tmp_path / "quick.yaml").write_text(to_yaml(recipe("mean-linear")))
    return tmp_path / "quick.yaml"


def test_train_prints_figures_and_the_next_command(
    filmstrip: Filmstrip, videos: Path, quick: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ended = filmstrip("train", videos, "--recipe", quick, "--out", out, "--epochs", 1, "--seed", 3)
    assert ended.exit_code == 0
    metrics = RunFolder(out).metrics()
    assert metrics is not None
    for split in ("train", "val", "test"):
        assert f"{metrics[split]['accuracy']:.3f}" in ended.stdout
    assert "For comparison, on the same test clips" in ended.stdout
    assert "3 classes; 24 clips" in ended.stderr
    assert "Extracting features: 24/24" in ended.stderr
    assert "Training: 1/1" in ended.stderr
    assert f"Next: filmstrip predict {out}" in ended.stderr
    training = RunFolder(out).request().recipe.training
    assert (training.epochs, training.seed) == (1, 3)


def test_train_with_json_prints_one_object_and_nothing_else(
    filmstrip: Filmstrip, videos: Path, quick: Path, tmp_path: Path
) -> None:
    arguments = ("train", videos, "--recipe", quick, "--out", tmp_path / "run", "--json")
    ended = filmstrip(*arguments)
    assert json.loads(ended.stdout) == RunFolder(tmp_path / "run").metrics()
    assert "Training: 2/2" in ended.stderr
    again = filmstrip(*arguments, "--resume")
    assert (again.exit_code, again.stdout) == (0, ended.stdout)


def test_evaluate_prints_the_figures_of_each_class_or_one_object(
    filmstrip: Filmstrip, finished_run: RunFolder
) -> None:
    shown = filmstrip("evaluate", finished_run.path, "--split", "val")
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in ("left", "right", "up", "precision", "val"))
    printed = json.loads(filmstrip("evaluate", finished_run.path, "--json").stdout)
    metrics = finished_run.metrics()
    assert metrics is not None
    assert printed["split"] == "test"
    assert printed["accuracy"] == metrics["test"]["accuracy"]


def test_evaluate_names_what_it_left_out(
    filmstrip: Filmstrip, finished_run: RunFolder, own_videos: Path
) -> None:
    (own_videos / "up" / "up_2.mp4").write_bytes(b"")
    ended = filmstrip("evaluate", finished_run.path, own_videos, "--json", "--allow-leak")
    assert json.loads(ended.stdout)["num_clips"] == 23
    assert "Left out" in ended.stderr
    assert "up_2.mp4" in ended.stderr


def test_recipes_lists_all_and_shows_one_as_yaml_with_its_source(filmstrip: Filmstrip) -> None:
    listed = filmstrip("recipes").stdout
    assert all(name in listed for name in RECIPE_NAMES)
    shown = filmstrip("recipes", "xception-gru").stdout
    assert "Source:" in shown
    assert "Deviation:" in shown
    assert "name: legacy_xception" in shown


def test_a_saved_recipe_is_read_back_as_it_was(filmstrip: Filmstrip, tmp_path: Path) -> None:
    saved = tmp_path / "my.yaml"
    assert filmstrip("recipes", "vgg16-bilstm", "--save", saved).exit_code == 0
    assert load_recipe(str(saved)) == load_recipe("vgg16-bilstm")
    assert "name: vgg16-bilstm" in filmstrip("recipes", saved).stdout


def test_saving_where_a_folder_is_ends_in_three_parts(filmstrip: Filmstrip, tmp_path: Path) -> None:
    ended = filmstrip("recipes", "lite-gru", "--save", tmp_path)
    assert ended.exit_code == 1
    assert "could not be written" in ended.stderr


def test_pack_leaves_out_what_cannot_be_read_and_names_it(
    filmstrip: Filmstrip, own_videos: Path, quick: Path, tmp_path: Path
) -> None:
    (own_videos / "left" / "left_4.mp4").write_bytes(b"no video")
    out = tmp_path / "clips.npz"
    ended = filmstrip("pack", own_videos, "--recipe", quick, "--out", out)
    assert ended.exit_code == 0
    assert "left_4.mp4" in ended.stderr
    assert f"23 clips in {out}." in ended.stderr
    with np.load(out) as arrays:
        assert arrays["frames"].shape == (23, 4, 32, 32, 3)


def test_tune_shows_the_trials_best_first(
    filmstrip: Filmstrip, videos: Path, quick: Path, tmp_path: Path
) -> None:
    out = tmp_path / "search"
    ended = filmstrip(
        *("tune", videos, "--recipe", quick, "--out", out, "--set", "training.epochs=1"),
        *("--try", "training.learning_rate=[1e-9, 0.05]"),
    )
    assert ended.exit_code == 0
    with (out / "trials.csv").open(newline="") as file:
        best, other = csv.DictReader(file)
    assert f"Best by validation: {best['run']}" in ended.stdout
    assert ended.stdout.index(best["settings"]) < ended.stdout.index(other["settings"])


def test_a_lost_class_ends_in_exit_code_one_unless_allowed(
    filmstrip: Filmstrip, own_videos: Path, quick: Path, tmp_path: Path
) -> None:
    for path in sorted((own_videos / "up").iterdir())[1:]:
        path.unlink()
    command = ("train", own_videos, "--recipe", quick, "--epochs", 1, "--out", tmp_path / "run")
    ended = filmstrip(*command)
    assert ended.exit_code == 1
    assert "1 class is lost: up" in ended.stderr
    assert "--allow-missing-classes" in ended.stderr
    ended = filmstrip(*command, "--allow-missing-classes")
    assert ended.exit_code == 0
    assert "WARNING: 1 class is lost: up" in ended.stderr


def test_a_class_whose_files_all_turn_out_damaged_is_refused_by_name(
    filmstrip: Filmstrip, own_videos: Path, quick: Path, tmp_path: Path
) -> None:
    for path in (own_videos / "up").iterdir():
        path.write_bytes(b"no video")
    command = ("train", own_videos, "--recipe", quick, "--epochs", 1, "--out", tmp_path / "run")
    ended = filmstrip(*command)
    assert ended.exit_code == 1
    assert "1 class is lost: up" in ended.stderr
    ended = filmstrip("doctor", own_videos, "--recipe", quick, "--workers", 1, "--json")
    assert ended.exit_code == 1
    found = json.loads(ended.stdout)["findings"]
    assert any(one["kind"] == "lost_class" and "up" in one["cause"] for one in found)


@pytest.mark.parametrize("command", ["split", "doctor", "train", "extract"])
def test_every_command_says_how_it_read_the_folders(
    filmstrip: Filmstrip, videos: Path, quick: Path, tmp_path: Path, command: str
) -> None:
    for path in videos.rglob("*.mp4"):  # two clips of each class in each session
        session = f"session{1 + int(path.stem[-1]) // 2}"
        target = tmp_path / "d" / session / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    out = ("--out", tmp_path / "out") if command in ("train", "extract") else ()
    ended = filmstrip(command, tmp_path / "d", "--recipe", quick, *out)
    assert (
        "session1, session2, session3, session4 are groups; the folders in them are the classes: "
        "left, right, up." in ended.stderr
    )
