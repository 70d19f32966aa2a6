from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import iterate_frames


@pytest.mark.parametrize("method", ["integrated-gradients", "grad-cam"])
def test_it_writes_a_strip_an_overlay_and_numbers(
    filmstrip, finished_run: RunFolder, videos: Path, tmp_path: Path, method: str
) -> None:
    clip = Path(shutil.copy(videos / "up" / "up_1.mp4", tmp_path / "a [b] $(c).mp4"))
    out = tmp_path / "why"
    ended = filmstrip(
        "explain",
        finished_run.path,
        clip,
        "--out",
        out,
        "--label",
        "up",
        "--method",
        method,
        "--json",
    )
    assert ended.exit_code == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told == json.loads((out / "explanation.json").read_text())
    assert (told["label"], told["explains"], told["method"]) == ("up", "plain view", method)
    assert told["path"] == str(clip)
    assert len({frame["time_seconds"] for frame in told["frames"]}) == len(told["frames"]) > 1
    with Image.open(out / "strip.png") as strip:
        assert strip.width > strip.height > 100
    assert sum(1 for _ in iterate_frames(out / "overlay.mp4")) > 1


def test_a_file_that_is_no_video_is_told_in_three_parts(
    filmstrip, finished_run: RunFolder, tmp_path: Path
) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    ended = filmstrip("explain", finished_run.path, text, "--out", tmp_path / "why")
    assert ended.exit_code == 1
    assert "a.mp4" in ended.stderr
    assert "Next:" in ended.stderr
    assert not (tmp_path / "why").exists()


def test_explain_of_an_address_is_that_of_its_file(
    filmstrip: Callable[..., Any],
    finished_run: RunFolder,
    videos: Path,
    serve: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = videos / "left" / "left_6.mp4"
    server = serve([clip.read_bytes()], path="/left_6.mp4")
    monkeypatch.chdir(tmp_path)
    of_file = filmstrip("explain", finished_run.path, clip, "--json", "--out", "file")
    ended = filmstrip("explain", finished_run.path, server.address, "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == {**json.loads(of_file.stdout), "path": server.address}
    assert (tmp_path / "left_6_explained" / "strip.png").is_file()
