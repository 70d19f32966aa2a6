from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.content import content_hash
from filmstrip.dataset.index import open_index
from filmstrip.dataset.pack import pack
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import NoVideoError
from filmstrip.features.source import ClipReader
from filmstrip.video.decode import iterate_frames
from filmstrip.video.sampling import RateSampling, UniformSampling
from filmstrip.video.transforms import Framing

READER = ClipReader(UniformSampling(num_frames=5), Framing(size=32))


@pytest.fixture
def clip(videos: Path) -> VideoRow:
    return VideoRow(videos / "left" / "left_0.mp4", "left")


@pytest.fixture(scope="session")
def packed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[VideoRow]:
    """The rows of ``videos`` packed in one file, five frames of 32 pixels each."""
    file = tmp_path_factory.mktemp("packed") / "clips.npz"
    pack(open_index(videos), file, lambda row: READER.read(row)[0], {})
    return list(open_index(file).rows)


def test_a_clip_is_sampled_and_framed_and_its_facts_are_those_of_the_file(clip: VideoRow) -> None:
    frames, facts = READER.read(clip)
    every = [READER.framing(frame) for _, frame in iterate_frames(clip.path)]
    # Twelve frames in five equal parts: the frame on screen in the midst of each.
    assert np.array_equal(frames, np.stack([every[i] for i in (1, 3, 6, 8, 10)]))
    assert (facts.width, facts.height, facts.num_frames) == (48, 48, 12)
    assert facts.duration_seconds == pytest.approx(1)


def test_the_hash_is_of_the_content_not_of_the_name(clip: VideoRow, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copy(clip.path, tmp_path / "other name.avi"))
    assert content_hash(VideoRow(elsewhere, "up")) == content_hash(clip)
    with elsewhere.open("ab") as file:
        file.write(b"x")
    assert content_hash(VideoRow(elsewhere, "left")) != content_hash(clip)


def test_a_vanished_file_is_named(tmp_path: Path) -> None:
    row = VideoRow(tmp_path / "gone.mp4", "left")
    for read in (content_hash, READER.read):
        with pytest.raises(NoVideoError, match=r"gone\.mp4.*no such file"):
            read(row)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(NoVideoError, match=r"pipe\.mp4"):
        content_hash(VideoRow(tmp_path / "pipe.mp4", "left"))


def test_a_packed_clip_gives_the_frames_that_its_video_gave(
    videos: Path, packed: list[VideoRow]
) -> None:
    rows = open_index(videos).rows
    assert [row.label for row in packed] == [row.label for row in rows]
    for i in (0, 9, 23):
        frames, facts = READER.read(packed[i])
        assert np.array_equal(frames, READER.read(rows[i])[0])
        assert (facts.width, facts.height, facts.num_frames) == (32, 32, 5)
        assert math.isnan(facts.duration_seconds)


def test_a_packed_clip_is_sampled_anew_where_fewer_frames_are_asked_for(
    packed: list[VideoRow],
) -> None:
    whole = READER.read(packed[0])[0]
    for num_frames, kept in ((1, [2]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])):
        reader = ClipReader(UniformSampling(num_frames=num_frames), Framing(size=32))
        assert np.array_equal(reader.read(packed[0])[0], whole[kept])


def test_a_packed_clip_of_a_rate_is_taken_as_it_is_and_framed(packed: list[VideoRow]) -> None:
    reader = ClipReader(RateSampling(frames_per_second=2), Framing(size=16))
    assert reader.read(packed[0])[0].shape == (5, 16, 16, 3)


def test_packed_clips_have_a_hash_each(packed: list[VideoRow]) -> None:
    assert len({content_hash(row) for row in packed}) == len(packed)
