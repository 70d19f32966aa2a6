from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from filmstrip.video.packets import Timeline, read_timeline
from filmstrip.video.source import open_video

Encoder = Any


def timeline_of(path: Path) -> Timeline:
    with open_video(path) as (container, stream):
        timeline = read_timeline(path, container, stream)
    assert timeline is not None
    return timeline


def decoded_frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_trusted_times_are_those_of_the_decoded_frames(video: Path) -> None:
    timeline = timeline_of(video)
    if timeline.pts is None:
        assert video.name in ("xvid_bframes.avi", "h264_bframes.avi", "raw.h264")
    else:
        assert_array_equal(timeline.pts, [frame.pts for frame in decoded_frames(video)])


def test_key_frames_are_those_of_the_decoded_frames(video: Path) -> None:
    timeline = timeline_of(video)
    decoded = [number for number, frame in enumerate(decoded_frames(video)) if frame.key_frame]
    if timeline.pts is None:
        assert timeline.key_frames == ()
    else:
        assert [key.number for key in timeline.key_frames] == decoded


def test_packets_that_lead_up_to_the_first_key_frame_are_counted_and_not_shown(
    tmp_path: Path, videos: Callable[[str], Path]
) -> None:
    path = tmp_path / "cut.ts"
    path.write_bytes(videos("h264.ts").read_bytes()[188 * 30 :])
    timeline = timeline_of(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert timeline.num_leading_packets == keys[0] > 0
    assert len(timeline.times_seconds) == len(packets) - keys[0]


def test_a_key_frame_that_shares_its_time_is_not_sought(
    tmp_path: Path, encoder: type[Encoder], remux: Callable[..., Path]
) -> None:
    source = encoder("mjpeg", "yuvj420p").write(tmp_path / "source.mkv", 6)

    def twins(packets: list[av.Packet]) -> list[av.Packet]:
        packets[3].pts = packets[3].dts = packets[2].pts
        return packets

    timeline = timeline_of(remux(source, tmp_path / "twins.mkv", twins))
    assert len(timeline.times_seconds) == 6
    assert timeline.times_seconds[2] == timeline.times_seconds[3]
    assert [key.number for key in timeline.key_frames] == [0, 1, 4, 5]


def test_the_last_frame_lasts_as_long_as_its_packet_says(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = encoder("gif", "rgb8").write(
        tmp_path / "a.gif", 4, times_milliseconds=[0, 100, 200, 1000]
    )
    with av.open(str(path)) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
    timeline = timeline_of(path)
    assert timeline.duration_seconds == pytest.approx(
        timeline.times_seconds[-1] + float(last.duration * last.time_base)
    )


def test_a_timeline_found_to_end_early_lasts_until_the_frame_that_is_missing(
    videos: Callable[[str], Path],
) -> None:
    timeline = timeline_of(videos("xvid.avi")).first(50)
    assert_array_equal(timeline.times_seconds, np.arange(50) / 25)
    assert timeline.duration_seconds == 2.0
