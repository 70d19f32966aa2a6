from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video

Filmstrip = Callable[..., Any]


@pytest.fixture(scope="session")
def recording(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds: up, left, right, up."""
    names = ("up/up_1.mp4", "left/left_2.mp4", "right/right_3.mp4", "up/up_4.mp4")
    frames = [frame for name in names for _, frame in iterate_frames(videos / name)]
    path = tmp_path_factory.mktemp("recordings") / "long.mp4"
    write_video(path, np.stack(frames), 12)
    return path


def test_segments_are_printed_and_written_in_every_format(
    filmstrip: Filmstrip, finished_run: RunFolder, recording: Path, tmp_path: Path
) -> None:
    outs = [part for suffix in ("json", "csv", "srt", "vtt") for part in ("--out", f"t.{suffix}")]
    outs = [str(tmp_path / part) if part.startswith("t.") else part for part in outs]
    probs = tmp_path / "probs.csv"
    thresholds = ("--enter", "0.3", "--leave", "0.2")  # of three classes one always has as much
    ended = filmstrip(
        "timeline",
        finished_run.path,
        recording,
        "--window",
        1,
        *thresholds,
        *outs,
        "--probs",
        probs,
    )
    assert ended.exit_code == 0
    content = json.loads((tmp_path / "t.json").read_text())
    lines = ended.stdout.splitlines()
    assert [line.split()[2] for line in lines] == [part["label"] for part in content["segments"]]
    assert len(lines) >= 1
    assert lines[0].startswith("00:00:0")
    assert f"{len(lines)} segments in 00:00:04.000." in ended.stderr
    assert len((tmp_path / "t.csv").read_text().splitlines()) == len(lines) + 1
    assert (tmp_path / "t.srt").read_text().count("-->") == len(lines)
    assert (tmp_path / "t.vtt").read_text().startswith("WEBVTT\n")
    rows = np.loadtxt(probs, delimiter=",", skiprows=1)
    assert rows.shape[1] == 5
    np.testing.assert_allclose(rows[:, 2:].sum(axis=1), 1, atol=1e-5)
    assert (rows[0, 0], rows[-1, 1]) == (0, 4)


def test_where_no_class_is_sure_there_is_no_segment(
    filmstrip: Filmstrip, finished_run: RunFolder, recording: Path
) -> None:
    ended = filmstrip("timeline", finished_run.path, recording, "--enter", 1, "--leave", 1)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "0 segments" in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "t.txt"], "t.txt"),
        (["--enter", "0.3"], "leave"),
        (["--window", "100"], "window of 100 seconds"),
        (["--embed"], "--embed without --html"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_read(
    filmstrip: Filmstrip, finished_run: RunFolder, recording: Path, options: list[str], words: str
) -> None:
    ended = filmstrip("timeline", finished_run.path, recording, *options)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert words in ended.stderr


def test_a_file_that_is_missing_is_named(
    filmstrip: Filmstrip, finished_run: RunFolder, tmp_path: Path
) -> None:
    ended = filmstrip("timeline", finished_run.path, tmp_path / "gone.mp4")
    assert ended.exit_code == 1
    assert f"Error: {tmp_path / 'gone.mp4'}: there is no such file" in ended.stderr


def test_a_chart_and_a_page_are_written(
    filmstrip: Filmstrip, finished_run: RunFolder, recording: Path, tmp_path: Path
) -> None:
    plot, html = tmp_path / "t.png", tmp_path / "t.html"
    options = ("--enter", "0.35", "--leave", "0.3", "--plot", plot, "--html", html, "--embed")
    ended = filmstrip("timeline", finished_run.path, recording, "--window", 1, *options)
    assert ended.exit_code == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = html.read_text(encoding="utf-8")
    assert text.count("<tr data-start=") == len(ended.stdout.splitlines())
    assert 'src="data:video/mp4;base64,' in text


def test_timeline_of_an_address_is_that_of_its_file(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    recording: Path,
    serve: Callable[..., Any],
    tmp_path: Path,
) -> None:
    server = serve([recording.read_bytes()], path="/long.mp4")
    out, page = tmp_path / "t.json", tmp_path / "t.html"
    options = ("--enter", "0.3", "--leave", "0.2", "--window", 1)
    of_file = filmstrip("timeline", finished_run.path, recording, *options)
    ended = filmstrip(
        *("timeline", finished_run.path, server.address, *options, "--out", out, "--html", page)
    )
    assert ended.exit_code == 0
    assert ended.stdout == of_file.stdout
    assert json.loads(out.read_text())["source"] == server.address
    assert f'src="{server.address}"' in page.read_text()
