"""Files that are cut short are told from whole ones, whatever the container."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.errors import DamagedVideoError
from filmstrip.video.address import file_address
from filmstrip.video.decode import iterate_frames, probe, read_clip
from filmstrip.video.live import LiveVideo
from filmstrip.video.sampling import UniformSampling

NUM_FRAMES = 60

Encoder = Any

# Name, codec, pixel format, and options of the container.
CONTAINERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "a.mkv": ("libx264", "yuv420p", {}),
    "live.mkv": ("libx264", "yuv420p", {"live": "1"}),
    "a.webm": ("libvpx", "yuv420p", {}),
    "a.avi": ("mpeg4", "yuv420p", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "faststart.mp4": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "fragmented.mp4": ("libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mov": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "a.ts": ("libx264", "yuv420p", {}),
    "a.m2ts": ("libx264", "yuv420p", {}),
    "a.mpg": ("mpeg2video", "yuv420p", {}),
    "a.flv": ("libx264", "yuv420p", {}),
    "a.ogv": ("libvpx", "yuv420p", {}),
    "a.asf": ("mpeg4", "yuv420p", {}),
    "a.mxf": ("mpeg2video", "yuv420p", {}),
    "a.ivf": ("libvpx", "yuv420p", {}),
    "a.gif": ("gif", "rgb8", {}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``whole(name)``: a video of 60 frames, 25 a second, with much detail."""
    folder = tmp_path_factory.mktemp("whole")
    scene = np.random.default_rng(1).integers(0, 255, (96, 400, 3), dtype=np.uint8)

    def write(name: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        codec, pixel_format, options = CONTAINERS[name]
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, 25, options={"g": "12"})
            stream.width, stream.height, stream.pix_fmt = 128, 96, pixel_format
            for number in range(NUM_FRAMES):
                picture = np.ascontiguousarray(scene[:, 4 * number : 4 * number + 128])
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


def cut(path: Path, share: float, target: Path) -> Path:
    content = path.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


@pytest.mark.parametrize("name", CONTAINERS)
def test_whole_file_misses_nothing(name: str, whole: Callable[[str], Path]) -> None:
    path = whole(name)
    assert (probe(path).num_frames, probe(path).missing) == (NUM_FRAMES, None)
    video = LiveVideo(file_address(str(path)))
    assert (sum(1 for _ in video.frames()), video.missing) == (NUM_FRAMES, None)


@pytest.mark.parametrize("share", [0.97, 0.6])
@pytest.mark.parametrize("name", CONTAINERS)
def test_cut_file_is_read_up_to_the_cut_and_says_so(
    name: str, share: float, whole: Callable[[str], Path], tmp_path: Path
) -> None:
    if name == "a.mxf" and share > 0.9:
        pytest.skip("an MXF file states only its duration, and two frames are within its rounding")
    path = cut(whole(name), share, tmp_path / name)
    with pytest.raises(DamagedVideoError):
        read_clip(path, UniformSampling(num_frames=4))
    clip = read_clip(path, UniformSampling(num_frames=4), keep_incomplete=True)
    assert clip.info.missing
    assert 0 < clip.info.num_frames < NUM_FRAMES
    assert len(clip.frames) == 4
    assert clip.times_seconds[-1] < clip.info.duration_seconds < NUM_FRAMES / 25
    shown = [picture for _, picture in iterate_frames(path, keep_incomplete=True)]
    assert abs(len(shown) - clip.info.num_frames) <= 3
    said: list[str] = []
    video = LiveVideo(file_address(str(path)), said.append)
    assert 0 < sum(1 for _ in video.frames()) < NUM_FRAMES
    assert video.missing
    assert any(video.missing in words for words in said)


def test_file_that_cannot_be_decoded_at_all_stays_an_error(
    whole: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("a.mkv", "faststart.mp4", "a.avi"):
        path = cut(whole(name), 0.02, tmp_path / name)
        with pytest.raises(Exception, match=name):
            read_clip(path, UniformSampling(), keep_incomplete=True)


def test_damage_midway_is_read_up_to_it(whole: Callable[[str], Path], tmp_path: Path) -> None:
    content = bytearray(whole("a.avi").read_bytes())
    with av.open(str(whole("a.avi"))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place = packets[30].pos
    content[place - 60 : place + 200] = bytes(260)
    path = tmp_path / "a.avi"
    path.write_bytes(content)
    clip = read_clip(path, UniformSampling(num_frames=60), keep_incomplete=True)
    every = [picture for _, picture in iterate_frames(whole("a.avi"))]
    for picture, number in zip(clip.frames[:25], range(25), strict=True):
        np.testing.assert_array_equal(picture, every[number])


def test_matroska_that_starts_late_misses_nothing(tmp_path: Path, encoder: type[Encoder]) -> None:
    times = [5000 + 40 * number for number in range(30)]
    path = encoder().write(tmp_path / "a.mkv", 30, times_milliseconds=times)
    assert (probe(path).num_frames, probe(path).missing) == (30, None)


def test_recorder_that_never_finished_its_avi_header_is_believed(
    whole: Callable[[str], Path], tmp_path: Path
) -> None:
    content = bytearray(whole("mjpeg.avi").read_bytes())
    for unknown in (0, 2**32 - 1):
        content[4:8] = unknown.to_bytes(4, "little")
        path = tmp_path / "a.avi"
        path.write_bytes(content)
        assert (probe(path).num_frames, probe(path).missing) == (NUM_FRAMES, None)
