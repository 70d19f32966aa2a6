"""A clip made small: what plays, how long, and how many bytes."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from filmstrip.app.report.clips import MOST_BYTES, small_clip
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import NoVideoError
from filmstrip.video.encode import write_video


def _decoded(mp4: bytes) -> tuple[list[np.ndarray], float]:
    """The frames and the duration in seconds."""
    with av.open(io.BytesIO(mp4)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.duration is not None
        return frames, container.duration / av.time_base


def _stripes(num_frames: int, height: int, width: int) -> np.ndarray:
    """A frame is as bright as its place in the clip."""
    brightness = np.linspace(20, 235, num_frames).astype(np.uint8)
    return np.broadcast_to(brightness[:, None, None, None], (num_frames, height, width, 3))


def test_a_short_clip_keeps_its_pace_and_is_made_small(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", np.ascontiguousarray(_stripes(50, 360, 640)), 25)
    clip = small_clip(VideoRow(tmp_path / "clip.avi", "a"))
    frames, seconds = _decoded(clip.mp4)
    assert frames[0].shape == (126, 224, 3)
    assert (len(frames), seconds) == (24, pytest.approx(2.0, abs=0.01))
    assert clip.words == "640×360, 2.00 s, mpeg4"


def test_a_long_clip_is_shown_whole_and_faster(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", np.ascontiguousarray(_stripes(80, 32, 48)), 4)
    clip = small_clip(VideoRow(tmp_path / "clip.mp4", "a"))
    frames, seconds = _decoded(clip.mp4)
    assert seconds == pytest.approx(8.0, abs=0.01)
    assert frames[0].mean() < 35
    assert frames[-1].mean() > 220
    assert clip.words.endswith("20.00 s, h264, shown 2.5 times as fast")


def test_a_clip_that_compresses_badly_stays_within_the_limit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 224, 224, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", noise, 12, options={"preset": "ultrafast"})
    assert (tmp_path / "noise.mp4").stat().st_size > 5 * MOST_BYTES
    clip = small_clip(VideoRow(tmp_path / "noise.mp4", "a"))
    assert len(clip.mp4) <= MOST_BYTES
    assert len(_decoded(clip.mp4)[0]) == 96


def test_one_frame_alone_can_be_shown(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", np.ascontiguousarray(_stripes(1, 33, 45)), 25)
    assert len(_decoded(small_clip(VideoRow(tmp_path / "clip.mp4", "a")).mp4)[0]) == 1


def test_a_vanished_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match=r"gone\.mp4"):
        small_clip(VideoRow(tmp_path / "gone.mp4", "a"))
