from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

Filmstrip = Callable[..., Any]

QUICK = ("--set", "framing.size=32", "--set", "sampling.frames_per_second=4")


@pytest.fixture
def three(videos: Path, tmp_path: Path) -> Path:
    """A class of two videos, and a loose one."""
    folder = tmp_path / "three"
    (folder / "left").mkdir(parents=True)
    shutil.copy(videos / "left" / "left_0.mp4", folder / "left")
    shutil.copy(videos / "left" / "left_1.mp4", folder / "left")
    shutil.copy(videos / "up" / "up_0.mp4", folder / "loose.mp4")
    return folder


def test_features_are_written_and_the_answer_says_where(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = filmstrip("extract", three, "--out", out, *QUICK, "--views", "plain")
    assert ended.exit_code == 0
    assert ended.stdout.startswith("3 clips (")
    assert ended.stdout.endswith(f": their features are in {out}.\n")
    assert "1792 features for each frame; weights: ImageNet" in ended.stderr
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.npy")} == {
        "left/left_0.mp4.npy",
        "left/left_1.mp4.npy",
        "loose.mp4.npy",
    }


def test_without_out_only_the_cache_is_filled_and_it_says_so(
    filmstrip: Filmstrip, three: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    ended = filmstrip("extract", three, *QUICK)
    assert ended.exit_code == 0
    assert "3 clips (3 computed, 0 cached)" in ended.stdout
    assert f"their features are in the cache, {tmp_path / 'cache' / 'features'}." in ended.stdout
    assert "Give --out" in ended.stdout
    assert "3 clips (0 computed, 3 cached)" in filmstrip("extract", three, *QUICK).stdout
    frames = filmstrip("extract", three, "--recipe", "cnn-lstm")
    assert "their frames are in the cache" in frames.stdout


def test_json_prints_one_summary(
    filmstrip: Filmstrip, three: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    (three / "bad.mp4").write_bytes(b"no video")
    for out, counts in ((None, (4, 0, 3, 1)), (tmp_path / "out", (4, 3, 0, 1))):
        given = [] if out is None else ["--out", out]
        ended = filmstrip("extract", three, "--json", *given, *QUICK)
        assert ended.exit_code == 1
        summary = json.loads(ended.stdout)
        assert summary.pop("seconds") > 0
        names = ("num_videos", "num_cached", "num_computed", "num_failed")
        assert summary == {
            **dict(zip(names, counts, strict=True)),
            "num_incomplete": 0,
            "out": None if out is None else str(out),
        }


def test_unreadable_files_are_named_listed_and_make_the_exit_code_1(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    (three / "left" / "bad.mp4").write_bytes(b"no video")
    (three / "empty.mp4").touch()
    out = tmp_path / "out"
    ended = filmstrip("extract", three, "--out", out, *QUICK, "--views", "plain")
    assert ended.exit_code == 1
    assert "Failed: left/bad.mp4: not a video" in ended.stderr
    assert "Failed: empty.mp4: " in ended.stderr
    assert f"2 of 5 videos could not be read; {out / 'failed.csv'} names each." in ended.stderr
    with (out / "failed.csv").open(encoding="utf-8", newline="") as file:
        assert {line["path"] for line in csv.DictReader(file)} == {"left/bad.mp4", "empty.mp4"}
    assert len(list(out.rglob("*.npy"))) == 3


def test_a_long_list_of_failures_is_left_to_the_file(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    for number in range(25):
        (three / f"empty_{number}.mp4").touch()
    ended = filmstrip("extract", three, "--out", tmp_path / "out", *QUICK)
    assert ended.stderr.count("Failed: ") == 20
    assert filmstrip("extract", three, *QUICK).stderr.count("Failed: ") == 25


def test_a_network_of_one_s_own_choice_goes_with_its_own_size_and_last_stage(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    network = ("--backbone", "test_resnet", "--set", "backbone.weights=none")
    ended = filmstrip("extract", three, *network, "--out", out, "--format", "parquet")
    assert ended.exit_code == 0, ended.stderr
    settings = json.loads((out / "features.json").read_text())
    assert settings["framing"]["size"] == 160
    assert settings["backbone"]["stage"] == -1
    assert settings["backbone"]["grid"] == 1
    table = pq.read_table(out / "features.parquet")
    assert table.schema.field("features").type.list_size == settings["num_features"]


def test_stage_grid_views_and_set_override_the_recipe(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--stage", 1, "--grid", 3, "--views", "plain,flip", *QUICK)
    ended = filmstrip("extract", three, *options, "--out", out)
    assert ended.exit_code == 0, ended.stderr
    settings = json.loads((out / "features.json").read_text())
    assert (settings["backbone"]["stage"], settings["backbone"]["grid"]) == (1, 3)
    assert settings["framing"]["size"] == 32
    assert np.load(out / "left/left_0.mp4.flip.npy").shape == (4, 24 * 9)


@pytest.mark.parametrize(
    ("arguments", "given", "remedy"),
    [
        (["--backbone", "resnet5O"], "backbone.name=resnet5O", "Did you mean"),
        (["--views", "plain,mirror"], "training.views", "shows each setting"),
        (["--grid", 9], "backbone.grid", "shows each setting"),
        (["--stage", 9], "backbone.stage=9", "--set backbone.stage"),
        (["--weights", "gone.safetensors"], "gone.safetensors: no such file", "check the path"),
        (["--recipe", "cnn-lstm"], "trained from scratch", "--weights FILE"),
    ],
)
def test_a_mistake_is_told_in_three_parts_and_leaves_no_folder(
    arguments: list[object],
    given: str,
    remedy: str,
    filmstrip: Filmstrip,
    three: Path,
    tmp_path: Path,
) -> None:
    ended = filmstrip("extract", three, "--out", tmp_path / "out", *arguments)
    assert (ended.exit_code, ended.stdout) == (1, "")
    error, _, after = ended.stderr.partition("\nExpected: ")
    assert given in error
    assert remedy in after
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_folder_s_place_is_told_before_anything_is_computed(
    filmstrip: Filmstrip, three: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    ended = filmstrip("extract", three, "--out", tmp_path / "out", *QUICK)
    assert ended.exit_code == 1
    assert f"Error: {tmp_path / 'out'}: could not be written (File exists)" in ended.stderr
    assert "Extracting" not in ended.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_an_interruption_says_how_to_go_on(
    filmstrip: Filmstrip, three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("filmstrip.features.extract.Extractor.run", interrupted)
    ended = filmstrip("extract", three, *QUICK)
    assert ended.exit_code == 130
    assert "run the same command to go on" in ended.stderr


@pytest.mark.parametrize("file_format", ["npy", "safetensors"])
@pytest.mark.parametrize("views", ["plain", "plain,flip"])
def test_names_as_long_as_the_disk_takes_are_extracted(
    filmstrip: Filmstrip, videos: Path, tmp_path: Path, file_format: str, views: str
) -> None:
    names = {f"{'x' * 250}{number}.mp4" for number in range(2)}
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    for name in names:
        shutil.copy(videos / "left" / "left_0.mp4", folder / name)
    given = ("--format", file_format, "--views", views, "--out", out)
    ended = filmstrip("extract", folder, *given, *QUICK)
    assert (ended.exit_code, "too long" in ended.stderr) == (0, False)
    with (out / "index.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["path"] for line in lines} == names
    files = {line["file"] for line in lines}
    assert len(files) == len(lines) == 2 * len(views.split(","))
    assert all((out / file).is_file() for file in files)


def test_extract_of_an_address_is_that_of_its_file(
    filmstrip: Callable[..., Any], videos: Path, serve: Callable[..., Any], tmp_path: Path
) -> None:
    clip = videos / "left" / "left_6.mp4"
    address = serve([clip.read_bytes()], path="/a/left_6.mp4").address
    broken = serve([b"no video"], path="/broken.mp4").address
    gone = "http://127.0.0.1:9/gone.mp4"
    options = ("--recipe", "mean-linear", "--set", "framing.size=32")
    ended = filmstrip("extract", clip, address, broken, gone, *options, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    with (tmp_path / "out" / "index.csv").open(newline="") as file:
        lines = {line["path"]: line["file"] for line in csv.DictReader(file)}
    assert set(lines) == {clip.name, address}
    of_file, of_address = (np.load(tmp_path / "out" / lines[name]) for name in lines)
    np.testing.assert_array_equal(of_file, of_address)
    with (tmp_path / "out" / "failed.csv").open(newline="") as file:
        failed = {line["path"]: line["reason"] for line in csv.DictReader(file)}
    assert set(failed) == {broken, gone}
    assert "filmstrip-" not in "".join(failed.values())
