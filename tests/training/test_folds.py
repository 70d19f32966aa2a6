from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.index import open_index
from filmstrip.inference.evaluate import evaluate_run
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

MakeRecipe = Callable[..., Recipe]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folds_run(
    videos: Path, recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """Two folds over recordings of two neighbouring clips of each class."""
    folder = tmp_path_factory.mktemp("folds")
    for label in ("left", "right", "up"):
        for number in range(8):
            target = folder / "data" / label / f"v_{label}_g0{number // 2}_c0{number}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos / label / f"{label}_{number}.mp4", target)
    run = RunFolder(folder / "run")
    request = TrainingRequest(data=folder / "data", recipe=recipe("mean-linear"), num_folds=2)
    train(request, run.path)
    return run


def test_folds_test_each_clip_once_and_never_divide_a_recording(folds_run: RunFolder) -> None:
    tested: list[str] = []
    for fold in folds_run.folds:
        sides: dict[str, set[str]] = {}
        for row in table(fold.splits_file):
            sides.setdefault(row["group"], set()).add(row["split"])
            tested += [row["path"]] if row["split"] == "test" else []
        assert all(len(found) == 1 for found in sides.values())
        assert set.union(*sides.values()) == {"train", "val", "test"}
    assert len(folds_run.folds) == 2
    assert sorted(tested) == sorted(open_index(folds_run.request().data).names)


def test_the_figures_of_folds_are_pooled_and_each_fold_has_its_own(folds_run: RunFolder) -> None:
    metrics = folds_run.metrics()
    assert metrics is not None
    rows = table(folds_run.path / "predictions.csv")
    assert len(rows) == 24
    right = [row["label"] == row["predicted"] for row in rows]
    assert metrics["test"]["num_clips"] == 24
    assert metrics["test"]["accuracy"] == pytest.approx(np.mean(right))
    for number, figures in enumerate(metrics["folds"], start=1):
        own = [hit for hit, row in zip(right, rows, strict=True) if row["fold"] == str(number)]
        assert figures["num_clips"] == len(own)
        assert figures["accuracy"] == pytest.approx(np.mean(own))
        assert set(figures["baselines"]) == {"majority", "metadata"}
        config = json.loads((folds_run.fold(number).model / "config.json").read_text())
        calibration = dict(figures["calibration"])
        num_familiarity_clips = calibration.pop("num_familiarity_clips")
        assert num_familiarity_clips == config["familiarity"]["num_held_out_clips"]
        assert calibration == {name: config[name] for name in calibration}
    config = json.loads((folds_run.model / "config.json").read_text())
    assert metrics["calibration"]["temperature"] == config["temperature"]
    assert metrics["test"]["resampling"] == {"units": "groups", "num_units": 4}
    accuracies = [figures["accuracy"] for figures in metrics["folds"]]
    summary = metrics["summary"]["accuracy"]
    assert summary["mean"] == pytest.approx(np.mean(accuracies))
    assert summary["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))


def test_evaluating_a_run_of_folds_pools_to_the_same_figures(folds_run: RunFolder) -> None:
    metrics = folds_run.metrics()
    assert metrics is not None
    for split in ("test", "val"):
        measured, skipped = evaluate_run(folds_run.path, split=split)
        assert skipped == []
        for name in ("accuracy", "top5", "macro_f1", "num_clips", "confusion"):
            assert measured[name] == metrics[split][name], name  # type: ignore[literal-required]
        assert measured["loss"] == pytest.approx(metrics[split]["loss"], abs=1e-4)


def test_the_model_of_a_run_of_folds_learns_from_all_but_its_validation_part(
    folds_run: RunFolder,
) -> None:
    sides = [row["split"] for row in table(folds_run.splits_file)]
    assert set(sides) == {"train", "val"}
    assert sides.count("train") > 16
    card = (folds_run.model / "README.md").read_text()
    assert "Over 2 folds" in card
    assert "it has no test part of its own" in card


def test_folds_that_were_cut_short_go_on_to_the_same_figures(
    folds_run: RunFolder, tmp_path: Path
) -> None:
    cut = RunFolder(Path(shutil.copytree(folds_run.path, tmp_path / "cut")))
    for gone in ("metrics.json", "predictions.csv", "folds/2", "folds/1/metrics.json"):
        path = cut.path / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = train(folds_run.request(), cut.path, resume=True)
    assert again == folds_run.metrics()
    whole = table(folds_run.path / "predictions.csv")
    assert table(cut.path / "predictions.csv") == whole
