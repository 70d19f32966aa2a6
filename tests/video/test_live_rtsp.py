from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from filmstrip.errors import VideoError
from filmstrip.video.address import parse_address
from filmstrip.video.live import LiveVideo
from filmstrip.video.picture import RgbConverter

Serve = Callable[..., Any]
Encode = Callable[..., bytes]
NumberOf = Callable[[np.ndarray], int]


@pytest.fixture
def twenty(picture: Callable[..., np.ndarray], transport_stream: Encode) -> bytes:
    """Twenty numbered frames, ten a second."""
    return transport_stream(np.stack([picture(number) for number in range(20)]))


def _watch(address: str, **settings: Any) -> tuple[LiveVideo, list[str]]:
    said: list[str] = []
    settings = {"stall_seconds": 2.0, "first_wait_seconds": 0.02, **settings}
    return LiveVideo(parse_address(address), said.append, **settings), said


def _numbers(
    video: LiveVideo, number_of: NumberOf, until: int, on_frame: Callable[[int], None] = bool
) -> list[tuple[float, int]]:
    """Time and number of so many frames; ``on_frame`` is told how many have come."""
    to_rgb = RgbConverter()
    seen = []
    for seconds, frame in video.frames():
        seen.append((seconds, number_of(to_rgb(frame))))
        on_frame(len(seen))
        if len(seen) == until:
            video.stop()
    return seen


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_cameras_frames_and_times_are_those_that_it_sends(
    serve_rtsp: Serve, twenty: bytes, number_of: NumberOf, transport: str
) -> None:
    camera = serve_rtsp([twenty, 1.0], transport=transport)
    video, said = _watch(camera.address, is_tried_again=False)
    seen = _numbers(video, number_of, 100)
    assert [number for _, number in seen] == list(range(20))
    np.testing.assert_allclose([at for at, _ in seen], np.arange(20) / 10, atol=1e-3)
    assert video.end_seconds == pytest.approx(2.0, abs=1e-3)
    assert (said, video.num_corrupt) == ([], 0)


def test_large_frames_come_in_many_packets(serve_rtsp: Serve, transport_stream: Encode) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), dtype=np.uint8)
    video, said = _watch(serve_rtsp([transport_stream(noise)]).address, is_tried_again=False)
    frames = [frame for _, frame in video.frames()]
    assert [frame.width for frame in frames] == [320] * 10
    assert (said, video.num_corrupt) == ([], 0)


def test_a_camera_that_says_goodbye_is_opened_again(
    serve_rtsp: Serve, twenty: bytes, number_of: NumberOf
) -> None:
    camera = serve_rtsp([twenty])
    video, said = _watch(camera.address)
    seen = _numbers(video, number_of, 40)
    assert [number for _, number in seen] == [*range(20), *range(20)]
    assert said == ["ended; trying again in 0.02 s", "is back"]
    assert all(before < after for (before, _), (after, _) in pairwise(seen))
    assert camera.num_plays == 2


def test_a_camera_that_falls_silent_counts_as_gone_and_its_pause_as_time(
    serve_rtsp: Serve, twenty: bytes, number_of: NumberOf
) -> None:
    camera = serve_rtsp([twenty, None], [twenty])
    video, said = _watch(camera.address, stall_seconds=1.0)
    seen = _numbers(video, number_of, 30)
    assert said == ["silent for 1 s; trying again in 0.02 s", "is back"]
    assert [number for _, number in seen] == [*range(20), *range(10)]
    assert all(before < after for (before, _), (after, _) in pairwise(seen))


def test_a_camera_that_is_unplugged_and_comes_back_is_waited_for(
    serve_rtsp: Serve, twenty: bytes, number_of: NumberOf
) -> None:
    first = serve_rtsp([twenty, None])

    def unplug(num_seen: int) -> None:
        if num_seen == 15:
            first.close()
            again = [[twenty, None]], {"port": first.port}
            threading.Timer(0.3, serve_rtsp, *again).start()

    video, said = _watch(first.address)
    seen = _numbers(video, number_of, 30, unplug)
    assert [number for _, number in seen[-10:]] == list(range(10))
    assert any("Connection refused" in words for words in said)
    assert said[-1] == "is back"
    assert all(before < after for (before, _), (after, _) in pairwise(seen))
    assert video.num_connections == 2


def test_a_camera_may_change_its_size_without_a_word(
    serve_rtsp: Serve, transport_stream: Encode, picture: Callable[..., np.ndarray]
) -> None:
    small = transport_stream(np.stack([picture(n) for n in range(10)]))
    large = transport_stream(np.stack([picture(n, 96, 128) for n in range(10)]))
    video, said = _watch(serve_rtsp([small, large]).address, is_tried_again=False)
    seen = [(at, frame.width) for at, frame in video.frames()]
    assert [width for _, width in seen] == [64] * 10 + [128] * 10
    np.testing.assert_allclose([at for at, _ in seen], np.arange(20) / 10, atol=1e-3)
    assert said == ["now sends 128×96 pixels, before 64×48"]


def test_a_password_is_given_and_never_shown(
    serve_rtsp: Serve, twenty: bytes, number_of: NumberOf
) -> None:
    camera = serve_rtsp([twenty], credentials="guard:secret")
    address = camera.address.replace("//", "//guard:{}@")
    video, _ = _watch(address.format("secret"), is_tried_again=False)
    assert len(_numbers(video, number_of, 20)) == 20
    video, said = _watch(address.format("guess"))
    with pytest.raises(VideoError) as error:
        _numbers(video, number_of, 1)
    assert f"{camera.address}: cannot be opened" in error.value.given
    assert "401" in error.value.given
    assert "guess" not in str(error.value) + "".join(said)
