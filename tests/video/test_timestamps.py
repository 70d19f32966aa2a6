"""Joined recordings, gaps, and time stamps that cannot be true."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.errors import DamagedVideoError
from filmstrip.video.address import file_address
from filmstrip.video.decode import iterate_frames, probe, read_clip
from filmstrip.video.live import LiveVideo
from filmstrip.video.picture import RgbConverter
from filmstrip.video.sampling import RateSampling, UniformSampling
from filmstrip.video.timestamps import Gap, find_gaps

Encoder = Any
NumberOf = Callable[[np.ndarray], int]
Picture = Callable[..., np.ndarray]

CODECS = {
    "a.ts": ("libx264", {}),
    "a.m2ts": ("libx264", {}),
    "hevc.ts": ("libx265", {"x265-params": "log-level=none:pools=1"}),
    "mpeg2.ts": ("mpeg2video", {}),
    "a.mpg": ("mpeg2video", {}),
    "a.mkv": ("libx264", {}),
    "a.webm": ("libvpx", {}),
}


@pytest.fixture
def joined(tmp_path: Path, encoder: type[Encoder], picture: Picture) -> Callable[..., Path]:
    """``joined(name)``: frames 0 to 29 and 30 to 79 as two recordings in one file, 25 a second."""

    def join(name: str) -> Path:
        codec, options = CODECS[name]
        parts = []
        for number, numbers in enumerate([range(30), range(30, 80)]):
            part = encoder(codec, options=options).write(
                tmp_path / f"{number}_{name}", pictures=[picture(each) for each in numbers]
            )
            parts.append(part.read_bytes())
        path = tmp_path / name
        path.write_bytes(b"".join(parts))
        return path

    return join


@pytest.mark.parametrize("name", CODECS)
def test_joined_recordings_are_read_as_one_video(
    name: str, joined: Callable[..., Path], number_of: NumberOf
) -> None:
    path = joined(name)
    info = probe(path)
    assert (info.num_frames, info.missing) == (80, None)
    np.testing.assert_allclose(info.frame_times_seconds, np.arange(80) / 25, atol=0.0015)
    assert info.jump_times_seconds == pytest.approx([30 / 25], abs=0.0015)
    clip = read_clip(path, UniformSampling(num_frames=16))
    assert [number_of(frame) for frame in clip.frames] == list(range(2, 80, 5))
    assert [number_of(frame) for _, frame in iterate_frames(path)] == list(range(80))


@pytest.mark.parametrize("name", CODECS)
def test_joined_recordings_are_watched_as_one_video(
    name: str, joined: Callable[..., Path], number_of: NumberOf
) -> None:
    said: list[str] = []
    video = LiveVideo(file_address(str(joined(name))), said.append)
    to_rgb = RgbConverter()
    times, numbers = zip(
        *((seconds, number_of(to_rgb(frame))) for seconds, frame in video.frames()), strict=True
    )
    assert list(numbers) == list(range(80))
    np.testing.assert_allclose(times, np.arange(80) / 25, atol=0.0015)
    assert (video.num_corrupt, video.missing, video.gaps) == (0, None, [])
    assert len(said) == 1
    assert "joined recordings" in said[0]


def test_packets_lost_within_a_frame_are_still_damage(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (128, 400, 3), dtype=np.uint8)
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for left in range(0, 150, 3):
            picture = np.ascontiguousarray(scene[:, left : left + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    packets = [content[place : place + 188] for place in range(0, len(content), 188)]
    inner = [
        number
        for number, packet in enumerate(packets)
        if (packet[1] & 0x1F, packet[2], packet[1] & 0x40) == (1, 0, 0)
    ]
    lost = inner[len(inner) // 2]
    path.write_bytes(b"".join(packets[:lost] + packets[lost + 1 :]))
    with pytest.raises(DamagedVideoError) as raised:
        read_clip(path, UniformSampling(num_frames=50))
    assert 5 < raised.value.num_usable_frames < 45


def test_change_of_size_midway_is_read_in_files_as_in_streams(
    tmp_path: Path, encoder: type[Encoder], picture: Picture, number_of: NumberOf
) -> None:
    from filmstrip.video.transforms import Framing

    parts = [
        encoder()
        .write(tmp_path / f"{number}.ts", pictures=[picture(each, *size) for each in numbers])
        .read_bytes()
        for number, (numbers, size) in enumerate(
            [(range(20), (48, 64)), (range(20, 40), (96, 128))]
        )
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    framing = Framing(size=48, fit="stretch")
    clip = read_clip(path, RateSampling(frames_per_second=25, max_frames=64), framing)
    assert [number_of(frame) for frame in clip.frames] == list(range(40))
    to_rgb = RgbConverter()
    watched = [framing(to_rgb(frame)) for _, frame in LiveVideo(file_address(str(path))).frames()]
    np.testing.assert_array_equal(watched, clip.frames)


def with_gap(path: Path, encoder: type[Encoder], milliseconds: int, number: int = 10) -> Path:
    """Twenty frames at 25 a second, the second half so much later."""
    times = [40 * each + milliseconds * (each >= number) for each in range(20)]
    return encoder(options={"bf": "0"}).write(path, 20, times_milliseconds=times)


def test_gap_is_found_in_files_and_reported_when_watched(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = with_gap(tmp_path / "a.mkv", encoder, 100_000)
    gap = (pytest.approx(0.36), pytest.approx(100.4))
    (found,) = find_gaps(probe(path).frame_times_seconds)
    assert (found.start_seconds, found.end_seconds) == gap
    said: list[str] = []
    video = LiveVideo(file_address(str(path)), said.append)
    assert sum(1 for _ in video.frames()) == 20
    assert [(one.start_seconds, one.end_seconds) for one in video.gaps] == [gap]
    assert said == ["no frame from 0.4 s to 100.4 s"]


def test_slow_cameras_have_no_gaps() -> None:
    assert find_gaps(np.arange(0, 900, 15.0)) == []
    assert find_gaps(np.array([0.0])) == []
    assert find_gaps(np.array([0.0, 1, 2, 14, 15])) == [Gap(2.0, 14.0)]


@pytest.mark.parametrize("seconds", [10**6, 2 * 10**6])
def test_time_stamp_that_cannot_be_true_is_damage(
    seconds: int, tmp_path: Path, encoder: type[Encoder], number_of: NumberOf
) -> None:
    path = with_gap(tmp_path / "a.mkv", encoder, seconds * 1000)
    with pytest.raises(DamagedVideoError, match="which no recording can mean") as raised:
        read_clip(path, UniformSampling())
    assert raised.value.num_usable_frames == 10
    clip = read_clip(path, UniformSampling(num_frames=20), keep_incomplete=True)
    assert [number_of(frame) for frame in clip.frames] == list(range(10))
    assert clip.info.duration_seconds == pytest.approx(0.4, abs=0.002)
    said: list[str] = []
    video = LiveVideo(file_address(str(path)), said.append)
    assert [time for time, _ in video.frames()] == pytest.approx([n / 25 for n in range(20)])
    assert "cannot be true" in said[0]


def test_last_frame_that_claims_to_last_for_years_is_not_believed(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = encoder().write(tmp_path / "a.mp4", 20)
    content = bytearray(path.read_bytes())
    place = content.index(b"stts") + 4
    assert int.from_bytes(content[place + 4 : place + 8], "big") == 1  # all frames last alike
    entries = [(19, 512), (1, 2**31 - 1)]
    table = b"".join(n.to_bytes(4, "big") + t.to_bytes(4, "big") for n, t in entries)
    grown = content[: place + 4] + (2).to_bytes(4, "big") + table + content[place + 16 :]
    # Each box that holds the table is eight bytes longer.
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        box = grown.index(name) - 4
        length = int.from_bytes(grown[box : box + 4], "big") + 8
        grown[box : box + 4] = length.to_bytes(4, "big")
    path.write_bytes(grown)
    assert probe(path).duration_seconds == pytest.approx(0.8, abs=0.05)
    shutil.rmtree(tmp_path)
