from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import ResourceError, VideoError
from filmstrip.features.readers import Readers, _ReaderProcess
from filmstrip.features.source import ClipReader
from filmstrip.video.sampling import RateSampling, Sampling, UniformSampling
from filmstrip.video.transforms import Framing

READER = ClipReader(RateSampling(frames_per_second=5, max_frames=8), Framing(size=32))


@pytest.fixture
def video(videos: Path) -> Path:
    return min(videos.rglob("*.*"))


@pytest.fixture
def process() -> Iterator[_ReaderProcess]:
    process = _ReaderProcess(READER)
    _await(process)
    yield process
    process.close()


def _await(process: _ReaderProcess) -> None:
    deadline = time.monotonic() + 60
    while not process.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_another_process_reads_the_same_frames(video: Path, process: _ReaderProcess) -> None:
    frames, facts = process.read(video)
    again, _ = process.read(video)
    expected, expected_facts = READER.read(VideoRow(video, label=""))
    np.testing.assert_array_equal(frames, expected)
    np.testing.assert_array_equal(again, expected)
    assert facts == expected_facts


def test_a_file_that_cannot_be_read_is_told_of_as_here(
    tmp_path: Path, video: Path, process: _ReaderProcess
) -> None:
    broken = tmp_path / os.fsdecode(b"no \xff video\n.mp4")
    broken.write_bytes(b"not a video")
    with pytest.raises(VideoError) as there:
        process.read(broken)
    with pytest.raises(VideoError) as here:
        READER.read(VideoRow(broken, label=""))
    assert str(there.value) == str(here.value)
    process.read(video)


def test_a_process_that_dies_costs_one_clip_and_another_takes_its_place(
    video: Path, process: _ReaderProcess
) -> None:
    os.kill(process._process.pid, signal.SIGSEGV)
    with pytest.raises(VideoError, match=r"the decoder crashed \(exit code -11\)"):
        process.read(video)
    _await(process)
    process.read(video)


def test_reader_process_that_was_killed_is_no_fault_of_the_file(
    video: Path, process: _ReaderProcess
) -> None:
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(ResourceError, match="killed"):
        process.read(video)


@pytest.mark.parametrize("sampling", [UniformSampling(num_frames=5), READER.sampling])
def test_clips_come_from_this_process_until_the_others_are_ready(
    videos: Path, sampling: Sampling
) -> None:
    reader = ClipReader(sampling, Framing(size=32, fit="pad"))
    files = sorted(path for path in videos.rglob("*.*") if path.is_file())
    rows = [VideoRow(path, label="") for path in files[::4]]
    num_rows = len(rows)
    readers = Readers(reader, 2)
    try:
        with ThreadPoolExecutor(4) as pool:
            clips = list(pool.map(readers.read, rows * 4))
            for process in readers._all:
                _await(process)
            clips += list(pool.map(readers.read, rows * 4))
    finally:
        readers.close()
    expected = [reader.read(row)[0] for row in rows]
    for place, (frames, _) in enumerate(clips):
        np.testing.assert_array_equal(frames, expected[place % num_rows])
    assert all(process._process.returncode is not None for process in readers._all)


def test_no_process_is_started_where_none_is_asked_for(video: Path) -> None:
    readers = Readers(READER, 0)
    assert len(readers.read(VideoRow(video, label=""))[0])
    assert not readers._all
    readers.close()
