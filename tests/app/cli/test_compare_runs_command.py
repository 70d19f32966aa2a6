from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.storage import write_table
from filmstrip.training.run_folder import RunFolder

Filmstrip = Callable[..., Any]


@pytest.fixture
def perfect_run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """The finished run, if it had answered all clips rightly."""
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "perfect")))
    with run.predictions_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["predicted"] = row["label"]
    write_table(run.predictions_file, list(rows[0]), rows)
    return run


def test_two_runs_are_compared_on_the_clips_that_one_alone_answers_rightly(
    filmstrip: Filmstrip, finished_run: RunFolder, perfect_run: RunFolder
) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    for split in ("test", "train"):
        ended = filmstrip(
            "compare-runs", finished_run.path, perfect_run.path, "--split", split, "--json"
        )
        shown = json.loads(ended.stdout)
        num_wrong = round((1 - metrics[split]["accuracy"]) * metrics[split]["num_clips"])
        assert shown["num_clips"] == metrics[split]["num_clips"]
        assert (shown["only_first"], shown["only_second"]) == (0, num_wrong)
        assert shown["first"]["accuracy"] == pytest.approx(metrics[split]["accuracy"])
        assert shown["second"]["accuracy"] == 1
        assert shown["p_value"] == pytest.approx(min(1, 2 / 2**num_wrong))
        assert shown["resampling"]["units"] == "clips"


def test_the_table_names_both_runs_and_says_what_the_test_says(
    filmstrip: Filmstrip, finished_run: RunFolder
) -> None:
    ended = filmstrip("compare-runs", finished_run.path, finished_run.path)
    assert ended.exit_code == 0
    assert "McNemar's exact test: p = 1." in ended.stdout
    assert "neither is shown to be better" in ended.stdout
    interval = re.search(r"\+0\.000 \(95 % interval (-0\.\d+) to (\+0\.\d+)", ended.stdout)
    assert interval is not None  # two equal runs may still differ on other clips
    assert float(interval[1]) == -float(interval[2]) < 0


def test_a_folder_that_is_no_run_is_an_error_in_three_parts(
    filmstrip: Filmstrip, finished_run: RunFolder, tmp_path: Path
) -> None:
    ended = filmstrip("compare-runs", finished_run.path, tmp_path)
    assert ended.exit_code == 1
    assert "Error: " in ended.stderr
    assert "Next: " in ended.stderr
