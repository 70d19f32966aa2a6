"""What small grey thumbnails take for one, looked at in colour and detail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.doctor.duplicates import NearDuplicate
from filmstrip.dataset.doctor.fingerprints import Likeness
from filmstrip.dataset.doctor.second_look import confirmed, goes_on, likeness
from filmstrip.dataset.synthetic import render_clip
from filmstrip.video.encode import write_video

LIKENESS = Likeness(1.0, 1.0, 5.0, 1.0)


def frames(seed: int) -> np.ndarray:
    return render_clip("left", np.random.default_rng(seed), 24, 96)


def pair(
    folder: Path, first: np.ndarray, second: np.ndarray, offset: float = 0.0, mirrored: bool = False
) -> NearDuplicate:
    write_video(folder / "first.mp4", first, 16)
    write_video(folder / "second.mp4", np.ascontiguousarray(second), 16, options={"crf": "28"})
    return NearDuplicate(folder / "first.mp4", folder / "second.mp4", offset, mirrored, LIKENESS)


@pytest.mark.parametrize("seed", range(3))
def test_a_shifted_darker_mirrored_copy_is_confirmed(tmp_path: Path, seed: int) -> None:
    video = frames(seed)
    copy = (video[5:, :, ::-1] * 0.7).astype(np.uint8)
    found = pair(tmp_path, video, copy, 5 / 16, mirrored=True)
    assert confirmed([found]) == [found]


def test_the_same_motion_in_another_colour_is_not_confirmed(tmp_path: Path) -> None:
    video = frames(0)
    found = pair(tmp_path, video, video[..., [2, 0, 1]])
    assert confirmed([found]) == []


def test_noise_of_the_same_grey_is_not_confirmed(tmp_path: Path) -> None:
    one, other = np.random.default_rng(0).integers(60, 90, (2, 12, 96, 96, 3), dtype=np.uint8)
    assert likeness(pair(tmp_path, one, other)) < 0.5


def test_a_file_that_is_gone_is_not_alike(tmp_path: Path) -> None:
    found = pair(tmp_path, frames(0), frames(0))
    found.second.unlink()
    assert likeness(found) == 0
    assert not goes_on(found.first, found.second)


def test_a_half_goes_on_in_the_other_and_in_nothing_else(tmp_path: Path) -> None:
    video = frames(1)
    pair(tmp_path, video[:12], video[12:])
    write_video(tmp_path / "stranger.mp4", frames(2), 16)
    assert goes_on(tmp_path / "first.mp4", tmp_path / "second.mp4")
    assert not goes_on(tmp_path / "first.mp4", tmp_path / "stranger.mp4")
