from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from filmstrip.errors import DamagedVideoError, VideoError
from filmstrip.video import decode
from filmstrip.video.decode import iterate_frames, probe, read_clip
from filmstrip.video.probe import probe_timeline
from filmstrip.video.sampling import RateSampling, UniformSampling, sample_indices

Encoder = Any
DecodeAll = Callable[[Path], list[np.ndarray]]
NumberOf = Callable[[np.ndarray], int]
Videos = Callable[[str], Path]

SAMPLINGS = [
    UniformSampling(num_frames=16),
    UniformSampling(num_frames=3),
    UniformSampling(num_frames=1),
    UniformSampling(num_frames=200, short="repeat"),
    RateSampling(frames_per_second=7, max_frames=64),
    RateSampling(frames_per_second=0.4, max_frames=64),
]


@pytest.fixture
def num_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the frames that come out of the decoder while reading: ``num_decoded[0]``."""
    count = [0]
    really_decode = decode.decode_stream

    def counted(*args: Any) -> Iterator[av.VideoFrame]:
        for frame in really_decode(*args):
            count[0] += 1
            yield frame

    monkeypatch.setattr(decode, "decode_stream", counted)
    return count


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_sampled_frames_equal_those_of_decoding_everything(
    sampling: UniformSampling | RateSampling, video: Path, decode_all: DecodeAll
) -> None:
    every = decode_all(video)
    info = probe(video)
    indices = sample_indices(sampling, info.frame_times_seconds, info.duration_seconds)
    clip = read_clip(video, sampling)
    assert_array_equal(clip.frames, np.stack([every[index] for index in indices]))
    assert_allclose(clip.times_seconds, info.frame_times_seconds[indices])


def as_packed_divx(packets: list[av.Packet]) -> list[av.Packet]:
    """P B B as old encoders for Windows stored them: PB B and a frame that is not coded."""
    picture, user_data, not_coded = b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p", b"\x51\xcf"
    contents = [bytes(packet) for packet in packets]
    are_b = [content[content.index(picture) + 4] >> 6 == 2 for content in contents]
    for place in range(len(contents) - 2):
        if are_b[place : place + 3] == [False, True, True]:
            first, second, third = contents[place : place + 3]
            contents[place : place + 3] = [first + second, third, picture + not_coded]
    contents[0] = contents[0].replace(picture, user_data + picture, 1)
    packed = []
    for packet, content in zip(packets, contents, strict=True):
        packed.append(av.Packet(content))
        packed[-1].time_base, packed[-1].is_keyframe = packet.time_base, packet.is_keyframe
        packed[-1].pts, packed[-1].dts = packet.pts, packet.dts
    return packed


def test_the_frames_carry_the_numbers_of_their_times(video: Path, number_of: NumberOf) -> None:
    clip = read_clip(video, UniformSampling(num_frames=10))
    midpoints = (np.arange(10) + 0.5) * 12
    assert [number_of(frame) for frame in clip.frames] == midpoints.astype(int).tolist()


@pytest.mark.parametrize(
    "name",
    [
        "xvid.avi",
        "mjpeg.avi",
        "mpeg4.mp4",
        "h264_gop.mp4",
        "h264_open_gop.mkv",
        "h264.ts",
        "h265.mp4",
        "vp8.webm",
        "vp9.webm",
        "av1.webm",
        "h264_open_gop.ts",
        "mpeg2_open_gop.ts",
    ],
)
def test_a_far_frame_is_sought_instead_of_decoded_up_to(
    name: str, videos: Videos, number_of: NumberOf, num_decoded: list[int]
) -> None:
    clip = read_clip(videos(name), RateSampling(frames_per_second=0.25, max_frames=64))
    assert [number_of(frame) for frame in clip.frames] == [0, 100]
    assert num_decoded[0] < 60


def test_frames_that_no_other_needs_are_not_decoded(
    videos: Videos, number_of: NumberOf, num_decoded: list[int]
) -> None:
    clip = read_clip(videos("h264.mp4"), RateSampling(frames_per_second=0.25, max_frames=64))
    assert [number_of(frame) for frame in clip.frames] == [0, 100]
    assert num_decoded[0] < 80


@pytest.mark.parametrize(
    "name", ["xvid_bframes.avi", "h264_bframes.avi", "raw.h264", "picture.gif"]
)
def test_a_video_without_trusted_times_or_other_key_frames_is_decoded_from_its_start(
    name: str, videos: Videos, number_of: NumberOf, num_decoded: list[int]
) -> None:
    clip = read_clip(videos(name), RateSampling(frames_per_second=0.25, max_frames=64))
    assert [number_of(frame) for frame in clip.frames] == [0, 100]
    assert num_decoded[0] >= 101


def test_frames_of_a_packed_divx_avi_keep_their_order_though_its_times_run_backwards(
    tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path], number_of: NumberOf
) -> None:
    source = encoder("mpeg4", codec_tag="XVID", gop_size=60, max_b_frames=2)
    path = remux(source.write(tmp_path / "source.avi", 120), tmp_path / "a.avi", as_packed_divx)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [number_of(frame.to_ndarray(format="rgb24")) for frame in frames] == list(range(120))
    stamps = [frame.pts for frame in frames]
    assert stamps != sorted(stamps)
    clip = read_clip(path, RateSampling(frames_per_second=12.5, max_frames=64))
    assert [number_of(frame) for frame in clip.frames] == list(range(0, 120, 2))
    assert [number_of(frame) for _, frame in iterate_frames(path)] == list(range(120))


def test_a_seek_that_lands_on_no_real_key_frame_falls_back_to_the_start(
    tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path], decode_all: DecodeAll
) -> None:
    def all_claimed_to_be_key_frames(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.is_keyframe = True
        return packets

    source = encoder("msmpeg4", gop_size=500).write(tmp_path / "source.avi", 120)
    path = remux(source, tmp_path / "liar.avi", all_claimed_to_be_key_frames)
    assert len(probe_timeline(source)[1].key_frames) == 1
    assert len(probe_timeline(path)[1].key_frames) == 120
    clip = read_clip(path, UniformSampling(num_frames=3))
    assert_array_equal(clip.frames, [decode_all(source)[index] for index in (20, 60, 100)])


def test_a_seek_that_lands_early_is_walked_on_from(
    tmp_path: Path, encoder: type[Encoder], number_of: NumberOf, num_decoded: list[int]
) -> None:
    # ASF without an index lands on the first frame, whatever is sought.
    path = encoder("wmv2", container_format="asf", gop_size=40).write(tmp_path / "a.wmv", 120)
    clip = read_clip(path, RateSampling(frames_per_second=0.25, max_frames=64))
    assert [number_of(frame) for frame in clip.frames] == [0, 100]
    assert num_decoded[0] == 1 + 101  # before the seek, and after it; no third walk


def test_the_picture_at_a_time_is_right_under_a_variable_frame_rate(
    tmp_path: Path, encoder: type[Encoder], number_of: NumberOf
) -> None:
    # Frame 3 stays on screen from 0.12 s to 3 s.
    stamps = [0, 40, 80, 120, 3000, 3040, 3080, 3500]
    for name in ("a.mp4", "a.mkv"):
        path = encoder().write(tmp_path / name, 8, times_milliseconds=stamps)
        clip = read_clip(path, RateSampling(frames_per_second=2, max_frames=64))
        assert [number_of(frame) for frame in clip.frames][:8] == [0, 3, 3, 3, 3, 3, 4, 7]
        assert_allclose(clip.times_seconds[:8], [0, *[0.12] * 5, 3.0, 3.5], atol=1e-3)


def test_frames_that_share_a_time_keep_their_order(
    tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path], number_of: NumberOf
) -> None:
    source = encoder("mjpeg", "yuvj420p").write(tmp_path / "source.mkv", 6)

    def twins(packets: list[av.Packet]) -> list[av.Packet]:
        packets[3].pts = packets[3].dts = packets[2].pts
        return packets

    path = remux(source, tmp_path / "twins.mkv", twins)
    clip = read_clip(path, UniformSampling())
    assert [number_of(frame) for frame in clip.frames] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("short", "num_frames"), [("fewer", 5), ("repeat", 16)])
def test_a_short_clip_follows_its_policy(
    short: Any, num_frames: int, tmp_path: Path, encoder: type[Encoder], number_of: NumberOf
) -> None:
    path = encoder().write(tmp_path / "a.mp4", 5)
    clip = read_clip(path, UniformSampling(short=short))
    assert len(clip.frames) == len(clip.times_seconds) == num_frames
    assert {number_of(frame) for frame in clip.frames} == set(range(5))


def test_a_single_picture_is_a_clip(tmp_path: Path, encoder: type[Encoder]) -> None:
    path = encoder("gif", "rgb8").write(tmp_path / "a.gif", 1)
    assert read_clip(path, UniformSampling()).frames.shape == (1, 48, 64, 3)


def test_each_sampled_frame_is_transformed_at_once_and_only_the_result_is_kept(
    videos: Videos,
) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def shrink(frame: np.ndarray) -> np.ndarray:
        nonlocal most
        alive.append(weakref.ref(frame))
        most = max(most, sum(reference() is not None for reference in alive))
        return frame[::4, ::4].copy()

    clip = read_clip(videos("xvid.avi"), UniformSampling(num_frames=40), shrink)
    assert clip.frames.shape == (40, 12, 16, 3)
    assert len(alive) == 40
    assert most <= 2


def test_a_repeated_frame_is_transformed_once(tmp_path: Path, encoder: type[Encoder]) -> None:
    seen: list[np.ndarray] = []

    def remember(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return frame

    path = encoder().write(tmp_path / "a.mp4", 5)
    assert len(read_clip(path, UniformSampling(short="repeat"), remember).frames) == 16
    assert len(seen) == 5


def test_a_change_of_size_midway_is_told_unless_a_transform_evens_it_out(
    tmp_path: Path, encoder: type[Encoder], picture: Callable[..., np.ndarray]
) -> None:
    small = encoder("mjpeg", "yuvj420p", container_format="mjpeg")
    parts = [
        small.write(tmp_path / f"{width}", pictures=[picture(1, 48, width)] * 4)
        for width in (64, 96)
    ]
    path = tmp_path / "both.mjpeg"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(VideoError, match="change their size") as caught:
        read_clip(path, UniformSampling())
    assert "Framing" in caught.value.remedy
    clip = read_clip(path, UniformSampling(), lambda frame: frame[:48, :64])
    assert clip.frames.shape == (8, 48, 64, 3)


def test_iterating_yields_every_frame_with_its_time(video: Path, decode_all: DecodeAll) -> None:
    times, frames = zip(*iterate_frames(video), strict=True)
    assert_allclose(times, np.arange(120) / 25, atol=1e-3)
    assert_array_equal(frames, decode_all(video))


def replaced(packet: av.Packet, content: bytes) -> av.Packet:
    """A packet of other content at the same time."""
    other = av.Packet(content)
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.time_base = packet.time_base
    return other


def test_a_frame_that_was_never_coded_shows_the_one_before_it(
    tmp_path: Path, videos: Videos, remux: Callable[..., Path], number_of: NumberOf
) -> None:
    # What DivX and XviD write in the place of a frame that did not change: vop_coded is 0.
    not_coded = b"\x00\x00\x01\xb6\x50\x4f"

    def with_a_gap(packets: list[av.Packet]) -> list[av.Packet]:
        # Frame 60 is a key frame, so none leans on the five before it.
        packets[55:60] = [replaced(packet, not_coded) for packet in packets[55:60]]
        return packets

    path = remux(videos("xvid.avi"), tmp_path / "gap.avi", with_a_gap)
    assert probe(path).num_frames == 120
    clip = read_clip(path, UniformSampling(num_frames=120))
    numbers = [number_of(frame) for frame in clip.frames]
    assert numbers == [*range(55), *[54] * 5, *range(60, 120)]


def test_a_video_that_yields_fewer_frames_than_its_packets_promise_is_sampled_anew(
    tmp_path: Path, videos: Videos, remux: Callable[..., Path], number_of: NumberOf
) -> None:
    # An access unit delimiter alone: a packet that holds no picture.
    no_picture = b"\x00\x00\x00\x03\x46\x01\x50"

    def only_eighty(packets: list[av.Packet]) -> list[av.Packet]:
        packets[80:] = [replaced(packet, no_picture) for packet in packets[80:]]
        return packets

    path = remux(videos("h265.mp4"), tmp_path / "early.mp4", only_eighty)
    assert probe(path).num_frames == 120
    clip = read_clip(path, UniformSampling(num_frames=8))
    assert clip.info.num_frames == 80
    assert clip.info.duration_seconds == pytest.approx(80 / 25)
    assert [number_of(frame) for frame in clip.frames] == [5, 15, 25, 35, 45, 55, 65, 75]


@pytest.mark.parametrize(
    ("name", "first"), [("h264.ts", 40), ("h264_open_gop.ts", 40), ("mpeg2_open_gop.ts", 12)]
)
def test_a_recording_cut_from_a_broadcast_is_read_from_its_first_key_frame(
    name: str, first: int, tmp_path: Path, videos: Videos, number_of: NumberOf
) -> None:
    with av.open(str(videos(name))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    path = tmp_path / "cut.ts"
    path.write_bytes(videos(name).read_bytes()[packets[2].pos :])
    clip = read_clip(path, UniformSampling(num_frames=120))
    assert [number_of(frame) for frame in clip.frames] == list(range(first, 120))
    assert clip.times_seconds[0] == 0


@pytest.mark.parametrize("name", ["vp9.webm", "h265.mp4", "mpeg4.mp4"])
def test_a_video_copied_from_between_key_frames_is_read_from_the_first(
    name: str, tmp_path: Path, videos: Videos, remux: Callable[..., Path], number_of: NumberOf
) -> None:
    path = remux(videos(name), tmp_path / "cut.mkv", lambda packets: packets[5:])
    clip = read_clip(path, UniformSampling(num_frames=120))
    numbers = [number_of(frame) for frame in clip.frames]
    assert numbers[0] in (40, 42)
    assert numbers == list(range(numbers[0], 120))
    assert [number_of(frame) for _, frame in iterate_frames(path)] == numbers


def break_packet(source: Path, target: Path, number: int, whole_share: float = 0.0) -> Path:
    """Overwrite one packet, counted in decoding order, with noise behind its whole share."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        packet = bytes(packets[number])
        start = source.read_bytes().index(packet, packets[number].pos)
    content = bytearray(source.read_bytes())
    num_whole = int(len(packet) * whole_share)
    noise = np.random.default_rng(0).bytes(len(packet) - num_whole)
    content[start + num_whole : start + len(packet)] = noise
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("name", "whole_share"),
    [
        ("xvid.avi", 0.0),
        ("xvid.avi", 0.2),  # the decoder conceals it, and flags the frame
        ("mpeg4.mp4", 0.2),
        ("h264.mp4", 0.2),
        ("h265.mp4", 0.0),
        ("vp9.webm", 0.2),
        ("av1.webm", 0.2),
    ],
)
def test_damage_midway_tells_the_second_and_how_much_is_usable(
    name: str, whole_share: float, tmp_path: Path, videos: Videos, decode_all: DecodeAll
) -> None:
    path = break_packet(videos(name), tmp_path / name, 70, whole_share)
    usable: list[np.ndarray] = []
    with pytest.raises(DamagedVideoError) as caught:
        usable.extend(frame for _, frame in iterate_frames(path))
    assert 66 <= len(usable) <= 70
    assert str(path) in caught.value.given
    assert f"damaged at {len(usable) / 25:.2f} s" in caught.value.given
    assert f"{len(usable)} frames before that are usable" in caught.value.given
    assert_array_equal(usable, decode_all(videos(name))[: len(usable)])
    with pytest.raises(DamagedVideoError):
        read_clip(path, UniformSampling(num_frames=120))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["xvid.avi", "h264_gop.mp4", "vp9.webm", "picture.gif"])
def test_no_damage_of_any_kind_ends_in_another_error(
    name: str, seed: int, tmp_path: Path, videos: Videos
) -> None:
    content = bytearray(videos(name).read_bytes())
    draw = np.random.default_rng(seed)
    for place in draw.integers(0, len(content), draw.integers(1, 30)):
        content[place] = draw.integers(256)
    path = tmp_path / name
    path.write_bytes(content[: draw.integers(len(content) // 2, len(content) + 1)])
    try:
        num_frames = len(read_clip(path, UniformSampling(num_frames=8)).frames)
    except VideoError as error:
        told = str(error)
        num_frames = 0
    assert 1 <= num_frames <= 8 or str(path) in told


def test_damage_behind_the_last_sampled_frame_does_no_harm(
    tmp_path: Path, videos: Videos, number_of: NumberOf
) -> None:
    path = break_packet(videos("h264.mp4"), tmp_path / "a.mp4", 110)
    clip = read_clip(path, UniformSampling(num_frames=2))
    assert [number_of(frame) for frame in clip.frames] == [30, 90]
    with pytest.raises(DamagedVideoError):
        list(iterate_frames(path))
