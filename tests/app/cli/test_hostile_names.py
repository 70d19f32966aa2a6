"""Names of classes and files that try to act on the terminal or on another program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.training.run_folder import RunFolder

Filmstrip = Callable[..., Any]

HOSTILE = "a\x1b]0;owned\x07\r\nError: b\u202ec"
SHOWN = r"a\x1b]0;owned\x07\r\nError: b\u202ec"


@pytest.fixture
def hostile_model(finished_run: RunFolder, tmp_path: Path) -> Path:
    """The model of the finished run, every class of which has a hostile name."""
    folder = Path(shutil.copytree(finished_run.model, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["class_names"] = [f"{HOSTILE} --> {name}" for name in config["class_names"]]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def hostile_data(videos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("left", "right"):
        shutil.copytree(videos / name, folder / f"{HOSTILE}{name}")
    (folder / f"{HOSTILE}left" / f"{HOSTILE}.mp4").write_bytes(b"no video")
    return folder


def has_no_control_characters(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def is_clean(text: str) -> bool:
    return has_no_control_characters(text) and "\nError: b" not in text


def test_predict_escapes_hostile_labels_and_file_names(
    filmstrip: Filmstrip, hostile_model: Path, hostile_data: Path
) -> None:
    ended = filmstrip("predict", hostile_model, hostile_data / f"{HOSTILE}left")
    assert ended.exit_code == 1
    assert is_clean(ended.stdout)
    assert is_clean(ended.stderr)
    assert len(ended.stdout.splitlines()) == 8
    assert all(line.count(SHOWN) == 2 for line in ended.stdout.splitlines())
    assert f"{SHOWN}.mp4: " in ended.stderr


def test_predict_json_keeps_the_exact_names(
    filmstrip: Filmstrip, hostile_model: Path, hostile_data: Path
) -> None:
    clip = hostile_data / f"{HOSTILE}left" / "left_0.mp4"
    answer = json.loads(filmstrip("predict", hostile_model, clip, "--json").stdout)
    assert answer["path"] == str(clip)
    assert answer["label"].startswith(HOSTILE)


def test_doctor_escapes_hostile_labels_and_file_names(
    filmstrip: Filmstrip, hostile_data: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ended = filmstrip("doctor", hostile_data, "--html", page)
    assert ended.exit_code == 1
    assert is_clean(ended.stdout)
    assert is_clean(ended.stderr)
    assert r"\x1b]0;owned\x07\r\nError:" in ended.stdout
    assert has_no_control_characters(page.read_text())


def test_timeline_escapes_hostile_labels_in_subtitles(
    filmstrip: Filmstrip, hostile_model: Path, videos: Path, tmp_path: Path
) -> None:
    names = [tmp_path / f"out.{suffix}" for suffix in ("srt", "vtt", "html")]
    outs = [part for name in names[:2] for part in ("--out", name)]
    rules = ("--window", 0.5, "--enter", 0.3, "--leave", 0.2)
    clip = videos / "left" / "left_0.mp4"
    ended = filmstrip("timeline", hostile_model, clip, *rules, *outs, "--html", names[2])
    assert ended.exit_code == 0
    num_segments = len(ended.stdout.splitlines())
    assert num_segments >= 1
    assert is_clean(ended.stdout)
    assert has_no_control_characters(names[2].read_text())
    for path in names[:2]:
        assert is_clean(path.read_text())
        assert path.read_text().count("-->") == num_segments
        assert path.read_text().count(SHOWN) == num_segments


def test_usage_errors_escape_what_was_typed(filmstrip: Filmstrip) -> None:
    for arguments in (
        [f"--{HOSTILE}"],
        [HOSTILE],
        ["recipes", f"--{HOSTILE}"],
        ["recipes", HOSTILE],
    ):
        ended = filmstrip(*arguments)
        assert ended.exit_code in (1, 2)
        assert is_clean(ended.stderr)
        assert "owned" in ended.stderr


def test_pictures_with_hostile_labels_are_drawn(
    filmstrip: Filmstrip, hostile_model: Path, videos: Path, tmp_path: Path
) -> None:
    clip = videos / "left" / "left_0.mp4"
    assert filmstrip("predict", hostile_model, clip, "--render", tmp_path / "a.mp4").exit_code == 0
    rules = ("--window", 0.5, "--enter", 0.3, "--leave", 0.2)
    plot = tmp_path / "plot.png"
    assert filmstrip("timeline", hostile_model, clip, *rules, "--plot", plot).exit_code == 0
    assert plot.is_file()
