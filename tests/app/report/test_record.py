"""A run read back: where its clips are, whatever the data came as."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from filmstrip.app.report.data_card import MOST_FILES, spread
from filmstrip.app.report.page import write_report
from filmstrip.app.report.record import read_record
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import RunError
from filmstrip.training.run_folder import RunFolder, TrainingRequest


def _trained(data: Path, recipe: Callable[..., Any], out: Path) -> Path:
    from filmstrip.training.train import train

    train(TrainingRequest(data=data, recipe=recipe("mean-linear", "training.epochs=1")), out)
    return out


def test_clips_of_a_folder_are_found_by_their_names(finished_run: RunFolder, videos: Path) -> None:
    record = read_record(finished_run.path)
    assert [record.row(row["path"]).path for row in record.splits] == sorted(videos.glob("*/*"))


def test_clips_of_a_table_are_found_by_their_names(
    videos: Path, recipe: Callable[..., Any], tmp_path: Path
) -> None:
    clips = sorted(videos.glob("*/*"))
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([clip, clip.parent.name] for clip in clips)
    record = read_record(_trained(tmp_path / "clips.csv", recipe, tmp_path / "run"))
    assert [record.row(row["path"]).path for row in record.splits] == clips


def test_clips_in_arrays_are_shown_without_the_facts_of_files(
    videos: Path,
    recipe: Callable[..., Any],
    filmstrip: Callable[..., Any],
    tmp_path: Path,
    page_at: Callable[[Path], Any],
) -> None:
    packed = tmp_path / "clips.npz"
    assert filmstrip("pack", videos, "--recipe", "mean-linear", "--out", packed).exit_code == 0
    run = _trained(packed, recipe, tmp_path / "run")
    record = read_record(run)
    name = record.splits[5]["path"]
    assert record.row(name) == VideoRow(packed, "", packed_index=int(name.split("#")[1]))
    wrong = [r for r in record.predictions if r["split"] == "test" and r["predicted"] != r["label"]]
    page = page_at(write_report(run))
    assert [video["aria-label"] for video in page.all("video")] == [row["path"] for row in wrong]
    assert wrong
    assert "packed arrays have none" in page.section("data")
    assert "not whole" not in page.text


@pytest.mark.parametrize("name", ["predictions.csv", "splits.csv", "skipped.csv"])
def test_a_run_that_lacks_a_table_is_refused_by_its_name(
    finished_run: RunFolder, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(finished_run.path, tmp_path / "run"))
    (run / name).unlink()
    with pytest.raises(RunError, match=f"no readable {name}"):
        read_record(run)


@pytest.mark.parametrize("name", ["predictions.csv", "splits.csv", "skipped.csv"])
@pytest.mark.parametrize("content", [b"", bytes(range(256)), b"x" * 200_000])
def test_a_table_that_is_none_is_refused_by_its_name(
    finished_run: RunFolder, tmp_path: Path, name: str, content: bytes
) -> None:
    run = Path(shutil.copytree(finished_run.path, tmp_path / "run"))
    (run / name).write_bytes(content)
    with pytest.raises(RunError, match=f"no readable {name}"):
        read_record(run)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_damaged_figures_are_refused(finished_run: RunFolder, tmp_path: Path, content: str) -> None:
    run = Path(shutil.copytree(finished_run.path, tmp_path / "run"))
    (run / "metrics.json").write_text(content)
    with pytest.raises(RunError, match=r"metrics\.json: is damaged"):
        read_record(run)


def test_figures_of_another_version_are_refused_by_what_they_lack(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    metrics = run.metrics() or {}
    del metrics["calibration"]
    run.write_json(run.metrics_file, metrics)
    with pytest.raises(RunError, match="has no 'calibration'; another version"):
        read_record(run.path)


def test_of_many_files_evenly_spread_ones_are_looked_at() -> None:
    clips = [{"path": str(number)} for number in range(1203)]
    places = [int(clip["path"]) for clip in spread(clips)]
    assert len(places) == MOST_FILES
    assert {b - a for a, b in pairwise(places)} == {2, 3}
    assert spread(clips[:7]) == clips[:7]
