"""A planted leak, from the files to the first line of all that tells of its figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from filmstrip.cache import Cache
from filmstrip.dataset.synthetic import render_clip
from filmstrip.errors import DatasetError
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.division import Division
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train
from filmstrip.video.encode import write_video

MakeRecipe = Callable[..., Recipe]
LABELS = ("growing", "left")
SIDES = ("train",) * 6 + ("val",) * 2 + ("test",) * 2


def frames_of(label: str, number: int) -> np.ndarray:
    return render_clip(label, np.random.default_rng([number, LABELS.index(label)]), 24, 64)


def write_table(path: Path, rows: list[tuple[Path, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        writer.writerows((clip.relative_to(path.parent), label, side) for clip, label, side in rows)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str, str]]:
    """Ten clips of each of two classes and their sides; none shares a recording with another."""
    root = tmp_path_factory.mktemp("leaks")
    rows = []
    for label in LABELS:
        for number, side in enumerate(SIDES):
            path = root / label / f"{label}_{number}.mp4"
            write_video(path, frames_of(label, number), 16)
            rows.append((path, label, side))
    return rows


@pytest.fixture(scope="module")
def leaking(sound: list[tuple[Path, str, str]]) -> Path:
    """The same, and a recording cut in two, and a clip encoded twice, on both sides."""
    root = sound[0][0].parent.parent
    rows = list(sound)
    for name, side, part in (("half", "train", slice(12)), ("other", "test", slice(12, None))):
        path = root / "left" / f"{name}.mp4"
        write_video(path, frames_of("left", 77)[part], 16)
        rows.append((path, "left", side))
    for name, side, crf in (("first", "train", "18"), ("second", "test", "30")):
        path = root / "growing" / f"{name}.mp4"
        write_video(path, frames_of("growing", 78), 16, options={"crf": crf})
        rows.append((path, "growing", side))
    return write_table(root / "leaking.csv", rows)


EXPECTED = {
    ("growing/first.mp4", "growing/second.mp4", "near", "train", "test"),
    ("left/half.mp4", "left/other.mp4", "continuation", "train", "test"),
}


def told(pairs: list[dict[str, str]]) -> set[tuple[str, ...]]:
    """The pairs, the clip in train first."""
    turned = set()
    for pair in pairs:
        ends = [(pair["first"], pair["first_split"]), (pair["second"], pair["second_split"])]
        ends.sort(key=lambda end: end[1] != "train")
        turned.add((ends[0][0], ends[1][0], pair["kind"], ends[0][1], ends[1][1]))
    return turned


def test_a_given_split_with_a_recording_cut_in_two_is_refused_before_there_is_a_run(
    leaking: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    request = TrainingRequest(data=leaking, recipe=recipe("mean-linear"))
    with pytest.raises(DatasetError, match="the given split leaks, 2 pairs of") as error:
        train(request, tmp_path / "run", reporter=listener)
    assert "left/half.mp4 in train" in error.value.given
    assert "one recording, cut in two" in error.value.given
    assert not RunFolder(tmp_path / "run").request_file.exists()
    assert [title for title, _, _ in listener.phases] == ["Comparing clips"]
    with (tmp_path / "run-leaks.csv").open(newline="") as file:
        assert told(list(csv.DictReader(file))) == EXPECTED


@pytest.fixture(scope="module")
def leaky_run(
    leaking: Path, recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A run on the leaking split, which was allowed."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "leaky")
    train(TrainingRequest(data=leaking, recipe=recipe("mean-linear"), allow_leak=True), run.path)
    return run


def test_an_allowed_leak_stands_in_the_figures_and_in_a_table(leaky_run: RunFolder) -> None:
    metrics = leaky_run.metrics()
    assert metrics is not None
    leaks = metrics["leaks"]
    assert leaks["allowed"] is True
    assert leaks["checked"] == ["exact", "near", "groups", "continuation"]
    assert leaks["num_pairs"] == 2
    assert told(leaks["pairs"]) == EXPECTED
    with leaky_run.leaks_file.open(newline="") as file:
        assert told(list(csv.DictReader(file))) == EXPECTED


def test_an_allowed_leak_is_the_first_line_of_the_model_card(leaky_run: RunFolder) -> None:
    first = (leaky_run.model / "README.md").read_text().splitlines()[0]
    assert first.startswith("**LEAKY FIGURES: 2 pairs of clips")


def test_an_allowed_leak_is_the_first_line_that_commands_print(
    leaky_run: RunFolder, leaking: Path, filmstrip: Callable[..., Any]
) -> None:
    stored = leaky_run.path / "recipe.yaml"
    trained = filmstrip(
        *("train", leaking, "--recipe", stored, "--allow-leak", "--resume"),
        *("--out", leaky_run.path),
    )
    measured = filmstrip("evaluate", leaky_run.path)
    for ended in (trained, measured):
        assert ended.exit_code == 0, ended.stderr
        assert ended.stdout.startswith("LEAKY FIGURES: 2 pairs of clips")
    as_json = json.loads(filmstrip("evaluate", leaky_run.path, "--json").stdout)
    assert as_json["leaks"]["num_pairs"] == 2
    compared = filmstrip("compare-runs", leaky_run.path, leaky_run.path)
    assert compared.stdout.startswith(f"{leaky_run.path}: LEAKY FIGURES")


def test_an_allowed_leak_stands_above_each_plot(
    leaky_run: RunFolder, finished_run: RunFolder
) -> None:
    orange = (213, 94, 0)
    for run, is_marked in ((leaky_run, True), (finished_run, False)):
        pictures = list(run.plots.glob("*.png"))
        assert pictures
        for picture in pictures:
            with Image.open(picture) as opened:
                assert (opened.convert("RGB").getpixel((2, 2)) == orange) is is_marked


def test_the_same_clips_are_split_by_filmstrip_without_parting_them(
    leaking: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    run = RunFolder(tmp_path / "run")
    request = TrainingRequest(data=leaking.parent, recipe=recipe("mean-linear"))
    metrics = train(request, run.path, reporter=listener)
    assert metrics["leaks"] == {
        "allowed": False,
        "checked": ["exact", "near", "groups", "continuation"],
        "num_pairs": 0,
        "pairs": [],
    }
    assert metrics["grouping"]["num_clips"] == 24
    assert metrics["grouping"]["num_groups"] == 22
    assert not run.leaks_file.exists()
    assert any("each its own group" in note for note in listener.notes)
    assert any("2 pairs that belong together" in note for note in listener.notes)


@pytest.mark.parametrize("seed", range(4))
def test_halves_and_copies_stay_together_in_every_split_and_fold(
    leaking: Path, recipe: MakeRecipe, tmp_path: Path, cache: Path, seed: int
) -> None:
    seeded = recipe("mean-linear", f"training.seed={seed}")
    request = TrainingRequest(data=leaking, recipe=seeded, num_folds=4)
    index = request.open_index()
    division = Division(request, index, Cache(cache), Reporter(), tmp_path / "leaks.csv")
    unsplit = index.with_splits([""] * len(index))
    parts = [*division.folds(index), division.all_but_val(index), division.split(unsplit)]
    for part in parts:
        sides = dict(zip(part.names, (row.split for row in part.rows), strict=True))
        for first, second, *_ in EXPECTED:
            assert sides[first] == sides[second]
        assert division.leaks(part) == []


def test_a_random_division_parts_what_belongs_together_and_records_it(
    leaking: Path, recipe: MakeRecipe, tmp_path: Path, cache: Path
) -> None:
    found = 0
    for seed in range(4):
        seeded = recipe("mean-linear", f"training.seed={seed}")
        request = TrainingRequest(data=leaking, recipe=seeded, num_folds=4, division="random")
        index = request.open_index()
        division = Division(request, index, Cache(cache), Reporter(), tmp_path / "leaks.csv")
        pairs = [pair for part in division.folds(index) for pair in division.leaks(part)]
        record = division.record(pairs)
        assert record["num_pairs"] == len(
            {(one["first"], one["second"]) for one in record["pairs"]}
        )
        found += record["num_pairs"]
    assert found > 0


def test_what_was_not_looked_for_is_not_claimed(
    leaking: Path, filmstrip: Callable[..., Any], finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    stored = finished_run.path / "recipe.yaml"
    ended = filmstrip(
        *("train", leaking, "--recipe", stored, "--epochs", 1, "--no-near-duplicates"),
        *("--out", run.path),
    )
    assert ended.exit_code == 0, ended.stderr
    assert "NOT looked for: near-duplicates and recordings that were cut" in ended.stderr
    assert run.leaks()["checked"] == ["exact", "groups"]
    assert "were NOT looked for" in (run.model / "README.md").read_text()


def test_the_splits_of_a_run_that_were_changed_by_hand_are_checked_too(
    leaky_run: RunFolder, leaking: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    changed = tmp_path / "splits.csv"
    changed.write_text(leaky_run.splits_file.read_text())
    request = TrainingRequest(data=leaking.parent, recipe=recipe("mean-linear"), splits=changed)
    with pytest.raises(DatasetError, match="leaks"):
        train(request, tmp_path / "run")


def test_names_that_tell_of_one_recording_on_two_sides_are_refused(
    sound: list[tuple[Path, str, str]], recipe: MakeRecipe, tmp_path: Path
) -> None:
    rows = []
    for number, (clip, label, side) in enumerate(sound):
        recording = number % 10 if number < 12 else number
        link = tmp_path / label / f"{label}_seq{recording:02}_{number}.mp4"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(clip)
        rows.append((link, label, "test" if number == 10 else side))
    table = write_table(tmp_path / "clips.csv", rows)
    with pytest.raises(DatasetError, match="1 pair of") as error:
        train(TrainingRequest(data=table, recipe=recipe("mean-linear")), tmp_path / "run")
    assert "left_seq00_10.mp4 in test (one group)" in error.value.given
