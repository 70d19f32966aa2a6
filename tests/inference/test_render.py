from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from filmstrip.errors import VideoError
from filmstrip.inference.prediction import Prediction
from filmstrip.inference.render import render
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe

ANSWER = Prediction("right", 0.75, {"right": 0.75, "left": 0.25})


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """Ten black frames of 160 × 120."""
    write_video(tmp_path / "dark.mp4", np.zeros((10, 120, 160, 3), np.uint8), 8)
    return tmp_path / "dark.mp4"


def test_the_copy_has_the_same_size_rate_and_frames_and_a_step_for_each(
    videos: Path, tmp_path: Path
) -> None:
    source, out = videos / "up" / "up_1.mp4", tmp_path / "new" / "out.avi"
    steps: list[str] = []
    render(source, ANSWER, out, steps.append)
    before, after = probe(source), probe(out)
    assert (after.width, after.height) == (before.width, before.height)
    assert after.num_frames == before.num_frames == len(steps)
    assert after.average_fps == pytest.approx(before.average_fps)


def test_labels_and_bars_as_long_as_their_probabilities_are_drawn_on_every_frame(
    dark: Path, tmp_path: Path
) -> None:
    render(dark, ANSWER, tmp_path / "out.mp4")
    for _, frame in iterate_frames(tmp_path / "out.mp4"):
        bright = frame.max(axis=2) > 120
        assert bright[:30, 5:60].sum() > 50  # the two labels
        assert not bright[40:].any()
        rows = [row for row in bright[:30] if row[:30].all()]
        assert len(rows) >= 2  # two bars
        lengths = sorted({int(row.argmin()) // 10 for row in rows})
        assert lengths == [4, 12]  # a quarter and three quarters of 160 pixels


def test_an_answer_that_the_model_would_rather_not_give_is_marked_as_such(
    dark: Path, tmp_path: Path
) -> None:
    render(dark, replace(ANSWER, abstains=True), tmp_path / "unsure.mp4")
    render(dark, ANSWER, tmp_path / "sure.mp4")
    unsure, sure = (
        next(frame for _, frame in iterate_frames(tmp_path / f"{name}.mp4")).max(axis=2) > 120
        for name in ("unsure", "sure")
    )
    assert unsure[24:36, 4:100].sum() > 50  # a third line, below the two labels
    assert not sure[26:36].any()


def test_a_single_picture_can_be_drawn_on(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", np.zeros((1, 48, 48, 3), np.uint8), 10)
    render(tmp_path / "one.mp4", ANSWER, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").num_frames == 1


def test_the_video_itself_is_never_written_over(dark: Path) -> None:
    before = dark.read_bytes()
    for same in (dark, dark.parent / "." / "dark.mp4"):
        with pytest.raises(VideoError, match="is the video itself"):
            render(dark, ANSWER, same)
    assert dark.read_bytes() == before


def test_an_unknown_suffix_or_a_missing_source_is_a_video_error(dark: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="suffix"):
        render(dark, ANSWER, tmp_path / "out.mpx")
    with pytest.raises(VideoError, match="no such file"):
        render(tmp_path / "missing.mp4", ANSWER, tmp_path / "out.mp4")
