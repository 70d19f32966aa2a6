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
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.encode import write_video

Filmstrip = Callable[..., Any]


@pytest.fixture
def sequences(videos: Path, tmp_path: Path) -> Path:
    """The clips of ``videos`` named after four sequences, each with clips of every class."""
    root = tmp_path / "sequences"
    for label in ("left", "right", "up"):
        (root / label).mkdir(parents=True)
        for number in range(8):
            name = f"seq{number // 2:02}_{number}.mp4"
            shutil.copy(videos / label / f"{label}_{number}.mp4", root / label / name)
    return root


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_writes_the_split_that_train_makes_and_says_how_the_clips_are_grouped(
    sequences: Path, finished_run: RunFolder, tmp_path: Path, filmstrip: Filmstrip
) -> None:
    stored = finished_run.path / "recipe.yaml"
    splits = tmp_path / "splits.csv"
    ended = filmstrip("split", sequences, "--recipe", stored, "--seed", 3, "--out", splits)
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout.startswith("24 clips in 4 groups, by 'seqNN' in the name")
    run = RunFolder(tmp_path / "run")
    trained = filmstrip(
        *("train", sequences, "--recipe", stored, "--seed", 3, "--epochs", 1, "--out", run.path)
    )
    assert trained.exit_code == 0, trained.stderr
    assert rows_of(splits) == rows_of(run.splits_file)


def test_json_counts_clips_groups_and_classes_on_each_side(
    sequences: Path, filmstrip: Filmstrip
) -> None:
    ended = filmstrip("split", sequences, "--json")
    assert ended.exit_code == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["num_clips"], shown["num_groups"]) == (24, 4)
    assert shown["leaks"]["num_pairs"] == 0
    [sides] = shown["splits"]
    assert sum(side["num_groups"] for side in sides.values()) == 4
    assert sum(side["num_clips"] for side in sides.values()) == 24
    assert sides["train"]["classes"] == {"left": 4, "right": 4, "up": 4}


def test_folds_are_written_one_by_one_and_test_each_clip_once(
    sequences: Path, tmp_path: Path, filmstrip: Filmstrip
) -> None:
    ended = filmstrip("split", sequences, "--folds", 2, "--out", tmp_path / "splits.csv")
    assert ended.exit_code == 0, ended.stderr
    files = [tmp_path / f"splits-{number}.csv" for number in (1, 2)]
    tested = [row["path"] for file in files for row in rows_of(file) if row["split"] == "test"]
    assert len(tested) == len(set(tested)) == 24


def test_a_given_split_that_leaks_is_refused_and_its_pairs_are_written(
    sequences: Path, tmp_path: Path, filmstrip: Filmstrip
) -> None:
    lines = ["path,label,split"]
    for clip in sorted(sequences.rglob("*.mp4")):
        side = "test" if clip.name.startswith("seq00_0") else "train"
        lines.append(f"{clip.relative_to(tmp_path)},{clip.parent.name},{side}")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    ended = filmstrip("split", tmp_path / "clips.csv", "--out", tmp_path / "splits.csv")
    assert ended.exit_code == 1
    assert "the given split leaks, 3 pairs" in ended.stderr
    assert {row["kind"] for row in rows_of(tmp_path / "splits-leaks.csv")} == {"group"}
    assert not (tmp_path / "splits.csv").exists()


@pytest.fixture
def memorable(tmp_path: Path) -> Path:
    """Two classes that nothing tells apart but their recordings, each encoded three times.

    The names say nothing, so only what the clips show can keep the copies together.
    """
    rng = np.random.default_rng(4)
    for number in range(24):
        label = "ab"[number % 2]
        frames = render_clip("left", np.random.default_rng([5, number]), 12, 48)
        for crf in ("18", "24", "30"):
            name = f"{rng.integers(10**9):09}.mp4"
            write_video(tmp_path / "data" / label / name, frames, 12, options={"crf": crf})
    return tmp_path / "data"


def test_an_accuracy_that_copies_alone_give_is_measured_as_a_leak(
    memorable: Path, filmstrip: Filmstrip
) -> None:
    settings = (
        "framing.size=48",
        "sampling.num_frames=4",
        "training.epochs=25",
        "training.learning_rate=0.03",
    )
    quick = [word for setting in settings for word in ("--set", setting)]
    asked = ("split", memorable, "--recipe", "mean-linear", *quick, "--folds", 3)
    ended = filmstrip(*asked, "--measure-leak", "--json")
    assert ended.exit_code == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["num_clips"], shown["num_groups"]) == (72, 24)
    random, grouped = (shown["measured"][name] for name in ("random", "grouped"))
    assert random["num_leaking_pairs"] > 0
    assert grouped["num_leaking_pairs"] == 0
    assert shown["measured"]["leak"] == pytest.approx(random["accuracy"] - grouped["accuracy"])
    # With 24 recordings the spread is wide: chance, one half, is in one interval, below the other.
    assert random["interval"][0] > 0.5
    assert grouped["interval"][0] <= 0.5 <= grouped["interval"][1]


def test_many_classes_are_counted_where_a_column_for_each_could_not_be_read(
    tmp_path: Path, filmstrip: Filmstrip
) -> None:
    for label in range(60):
        (tmp_path / f"class{label}").mkdir()
        for clip in range(10):
            (tmp_path / f"class{label}" / f"{clip}.mp4").write_bytes(b"%d %d" % (label, clip))
    ended = filmstrip("split", tmp_path, "--no-near-duplicates")
    assert ended.exit_code == 0, ended.stderr
    table = [line.split() for line in ended.stdout.splitlines()[-4:]]
    assert table[0] == ["part", "clips", "groups", "classes", "fewest", "clips", "of", "one"]
    assert [line[0] for line in table[1:]] == ["train", "val", "test"]
    assert [line[3] for line in table[1:]] == ["60", "60", "60"]
    assert sum(int(line[1]) for line in table[1:]) == 600
