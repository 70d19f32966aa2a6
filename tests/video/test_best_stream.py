"""Which of several video tracks is read: the one that the ``ffmpeg`` program would choose."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from filmstrip.video.address import file_address
from filmstrip.video.decode import probe, read_clip
from filmstrip.video.live import LiveVideo
from filmstrip.video.sampling import UniformSampling

Track = tuple[str, int, int, Disposition]

DEFAULT, NONE = Disposition.default, Disposition(0)
THUMBNAIL = ("libx264", 64, 64, DEFAULT)
FILM = ("libx264", 320, 240, DEFAULT)


def write_tracks(path: Path, tracks: Sequence[Track], num_frames: int = 6) -> Path:
    """A file with these video tracks; the frames of each have its own grey level."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for codec, width, height, disposition in tracks:
            stream = container.add_stream(codec, 25)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append((stream, disposition))
        for stream, disposition in streams:
            stream.disposition = disposition
        for time in range(num_frames):
            for place, (stream, disposition) in enumerate(streams):
                if time and disposition & Disposition.attached_pic:
                    continue
                picture = np.full((stream.height, stream.width, 3), 50 + 100 * place, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("tracks", [(THUMBNAIL, FILM), (FILM, THUMBNAIL)])
def test_larger_of_two_tracks_is_read(tracks: Sequence[Track], suffix: str, tmp_path: Path) -> None:
    path = write_tracks(tmp_path / f"a.{suffix}", tracks)
    info = probe(path)
    assert (info.width, info.height, info.num_frames) == (320, 240, 6)
    clip = read_clip(path, UniformSampling(num_frames=3))
    assert clip.frames.shape == (3, 240, 320, 3)
    assert abs(int(clip.frames.mean()) - (50 + 100 * tracks.index(FILM))) < 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_default_track_is_read_though_another_is_larger(suffix: str, tmp_path: Path) -> None:
    small, large = ("libx264", 160, 128, DEFAULT), ("libx264", 320, 240, NONE)
    path = write_tracks(tmp_path / f"a.{suffix}", [large, small])
    with av.open(str(path)) as container:
        assert [s.disposition & DEFAULT for s in container.streams.video] == [NONE, DEFAULT]
    assert probe(path).width == 160


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_attached_picture_is_skipped_in_any_position(suffix: str, tmp_path: Path) -> None:
    cover = ("mjpeg", 640, 480, Disposition.attached_pic)
    small = ("libx264", 64, 64, DEFAULT)
    for number, tracks in enumerate([(cover, small, FILM), (small, cover, FILM)]):
        info = probe(write_tracks(tmp_path / f"{number}.{suffix}", tracks))
        assert (info.width, info.num_frames) == (320, 6)


def test_track_without_frames_is_not_chosen(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mp4", [FILM, ("libx264", 64, 64, NONE)])
    content = bytearray(path.read_bytes())
    # Empty the large track's tables: its sample sizes, times, chunks and offsets.
    for name in (b"stsz", b"stts", b"stsc", b"stco", b"ctts", b"stss"):
        place = content.find(name)
        if place > 0:
            count = place + (12 if name == b"stsz" else 8)
            content[count : count + 4] = bytes(4)
    path.write_bytes(content)
    assert probe(path).width == 64


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_watched_file_shows_the_same_track(suffix: str, tmp_path: Path) -> None:
    path = write_tracks(tmp_path / f"a.{suffix}", [THUMBNAIL, FILM])
    sizes = {
        (frame.width, frame.height) for _, frame in LiveVideo(file_address(str(path))).frames()
    }
    assert sizes == {(320, 240)}
