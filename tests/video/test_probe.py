from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose

from filmstrip.errors import DamagedVideoError, NoVideoError
from filmstrip.video.probe import probe

Encoder = Any
NUM_FRAMES = 120


def test_the_number_and_times_of_frames_are_those_that_were_written(video: Path) -> None:
    info = probe(video)
    assert info.num_frames == NUM_FRAMES
    assert_allclose(info.frame_times_seconds, np.arange(NUM_FRAMES) / 25, atol=1e-3)
    assert info.duration_seconds == pytest.approx(NUM_FRAMES / 25, abs=1e-3)
    assert info.average_fps == pytest.approx(25, rel=1e-3)
    assert (info.width, info.height) == (64, 48)
    assert info.size_bytes == video.stat().st_size


def test_ffprobe_counts_and_times_the_same_frames(video: Path) -> None:
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        pytest.skip("ffprobe is not installed")
    wanted = ["-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time"]
    done = subprocess.run(
        [ffprobe, "-v", "error", "-of", "json", *wanted, str(video)],
        capture_output=True,
        check=True,
    )
    frames = json.loads(done.stdout)["frames"]
    info = probe(video)
    assert len(frames) == info.num_frames
    if video.name not in ("xvid_bframes.avi", "h264_bframes.avi", "mpeg2.mpg", "raw.h264"):
        # Those four hold no time for some frames, and ffprobe does not make one up.
        times = np.sort([float(frame["best_effort_timestamp_time"]) for frame in frames])
        assert_allclose(info.frame_times_seconds, times - times[0], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "container", "codec", "pixel_format"),
    [
        ("xvid.avi", "avi", "mpeg4", "yuv420p"),
        ("mjpeg.avi", "avi", "mjpeg", "yuvj420p"),
        ("h264.mp4", "mov,mp4,m4a,3gp,3g2,mj2", "h264", "yuv420p"),
        ("h265.mp4", "mov,mp4,m4a,3gp,3g2,mj2", "hevc", "yuv420p"),
        ("vp9.webm", "matroska,webm", "vp9", "yuv420p"),
        ("av1.webm", "matroska,webm", "av1", "yuv420p"),
        ("picture.gif", "gif", "gif", "bgra"),
    ],
)
def test_container_codec_and_pixel_format_are_named(
    name: str, container: str, codec: str, pixel_format: str, videos: Callable[[str], Path]
) -> None:
    info = probe(videos(name))
    assert (info.container, info.codec, info.pixel_format) == (container, codec, pixel_format)


@pytest.mark.parametrize("claimed", [5, 100_000])
def test_a_lying_avi_header_is_reported_but_not_believed(
    claimed: int, tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = encoder("mpeg4", codec_tag="XVID").write(tmp_path / "a.avi", 40)
    content = bytearray(path.read_bytes())
    total_frames = content.index(b"avih") + 8 + 16  # dwTotalFrames of the main header
    length = content.index(b"strh") + 8 + 32  # dwLength of the stream header
    for place in (total_frames, length):
        assert struct.unpack_from("<I", content, place) == (40,)
        struct.pack_into("<I", content, place, claimed)
    path.write_bytes(content)
    info = probe(path)
    assert info.claimed_num_frames == claimed
    assert info.claimed_duration_seconds == pytest.approx(claimed / 25)
    assert info.num_frames == 40
    assert info.duration_seconds == pytest.approx(40 / 25)


def test_a_container_that_claims_no_number_of_frames_is_counted(
    videos: Callable[[str], Path],
) -> None:
    info = probe(videos("vp9.webm"))
    assert info.claimed_num_frames is None
    assert info.claimed_duration_seconds == pytest.approx(NUM_FRAMES / 25, abs=1e-3)
    assert info.num_frames == NUM_FRAMES


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.webm"])
def test_a_variable_frame_rate_keeps_its_times(
    name: str, tmp_path: Path, encoder: type[Encoder]
) -> None:
    stamps = [0, 40, 80, 500, 520, 540, 2000, 2001, 2100, 3000]
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = encoder(codec).write(tmp_path / name, 10, times_milliseconds=stamps)
    assert_allclose(probe(path).frame_times_seconds, np.array(stamps) / 1000, atol=1e-3)


@pytest.mark.parametrize("shift", [-10, 30])
def test_a_video_that_starts_late_or_is_cut_by_an_edit_list_starts_at_zero(
    shift: int, tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path]
) -> None:
    source = encoder().write(tmp_path / "source.mp4", 60)

    def moved(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            ticks = round(shift / 25 / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packets

    keep_times = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    path = remux(source, tmp_path / "moved.mp4", moved, keep_times)
    with av.open(str(path)) as container:
        num_hidden = sum(packet.is_discard for packet in container.demux(video=0))
    assert num_hidden == max(-shift, 0)
    info = probe(path)
    assert info.claimed_num_frames == 60
    assert_allclose(info.frame_times_seconds, np.arange(60 - num_hidden) / 25, atol=1e-6)


def test_a_recording_cut_from_a_broadcast_starts_at_its_first_key_frame(
    tmp_path: Path, videos: Callable[[str], Path]
) -> None:
    whole = videos("h264.ts").read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[188 * 30 :])
    info = probe(path)
    assert info.num_frames == 80  # key frames are 0, 40 and 80
    assert info.frame_times_seconds[0] == 0


def test_a_single_picture_has_a_duration(tmp_path: Path, encoder: type[Encoder]) -> None:
    info = probe(encoder("gif", "rgb8").write(tmp_path / "a.gif", 1))
    assert info.num_frames == 1
    assert info.duration_seconds > 0


def test_a_video_of_zero_frames_is_no_video(
    tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path]
) -> None:
    source = encoder("mpeg4").write(tmp_path / "source.avi", 3)
    path = remux(source, tmp_path / "none.avi", lambda packets: [])
    with pytest.raises(NoVideoError, match=r"none\.avi"):
        probe(path)


def test_metadata_in_no_known_encoding_does_no_harm(tmp_path: Path, encoder: type[Encoder]) -> None:
    path = encoder().write(tmp_path / "a.mkv", 3)
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"\xff\xfe\xe9\xf1"))
    assert probe(path).num_frames == 3


def whole_and_cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    cut = path.with_name(f"cut{path.suffix}")
    cut.write_bytes(content[: int(len(content) * share)])
    return cut


def test_an_mp4_that_lost_its_index_at_the_end_is_no_video(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    whole = encoder().write(tmp_path / "a.mp4", 60)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(NoVideoError) as caught:
            probe(whole_and_cut(whole, share))
        assert "lost its index" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("a.mp4", {"container_options": {"movflags": "faststart"}}),
        ("a.avi", {"codec": "mpeg4"}),
        ("b.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    ],
)
@pytest.mark.parametrize("share", [0.6, 0.8])
def test_a_file_cut_short_is_damaged_and_tells_how_much_is_usable(
    name: str, knobs: dict[str, Any], share: float, tmp_path: Path, encoder: type[Encoder]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    whole = encoder(**knobs).write(tmp_path / name, pictures=noise)
    cut = whole_and_cut(whole, share)
    with pytest.raises(DamagedVideoError) as caught:
        probe(cut)
    with av.open(str(cut)) as container:
        num_whole = sum(p.size > 0 and not p.is_corrupt for p in container.demux(video=0))
    assert 0 < num_whole < 60
    assert f"{num_whole} frames before that are usable" in caught.value.given
    assert f"{num_whole / 25:.2f} s" in caught.value.given


def test_a_matroska_file_cut_short_is_shorter_than_it_claims(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    # Its packets end cleanly wherever it is cut, so only the claim can tell.
    info = probe(whole_and_cut(encoder().write(tmp_path / "a.mkv", 60), 0.5))
    assert info.claimed_duration_seconds == pytest.approx(60 / 25, abs=1e-3)
    assert info.duration_seconds < 0.8 * info.claimed_duration_seconds
