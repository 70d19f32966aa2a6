from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.errors import NoVideoError, VideoError
from filmstrip.video.address import parse_address
from filmstrip.video.live import NUM_FIRST_ATTEMPTS, LiveVideo
from filmstrip.video.picture import RgbConverter
from filmstrip.video.probe import probe

Serve = Callable[..., Any]
Encode = Callable[..., bytes]


@pytest.fixture
def twenty(picture: Callable[..., np.ndarray], transport_stream: Encode) -> bytes:
    """Twenty numbered frames, ten a second."""
    return transport_stream(np.stack([picture(number) for number in range(20)]))


def _watch(address: str, **settings: Any) -> tuple[LiveVideo, list[str]]:
    said: list[str] = []
    settings = {"stall_seconds": 1.0, "first_wait_seconds": 0.02, **settings}
    return LiveVideo(parse_address(address), said.append, **settings), said


def _take(video: LiveVideo, number: int) -> list[tuple[float, np.ndarray]]:
    to_rgb = RgbConverter()
    taken = []
    for seconds, frame in video.frames():
        taken.append((seconds, to_rgb(frame)))
        if len(taken) == number:
            video.stop()
    return taken


def test_a_files_frames_come_at_the_times_that_its_packets_say(video: Path) -> None:
    live, said = _watch(str(video))
    info = probe(video)
    times = [seconds for seconds, _ in live.frames()]
    np.testing.assert_allclose(times, info.frame_times_seconds, atol=1e-6)
    assert live.end_seconds == pytest.approx(info.duration_seconds, abs=1e-6)
    assert (said, live.num_corrupt, live.num_connections) == ([], 0, 1)


def test_a_paced_file_is_not_ahead_of_the_clock(videos: Callable[[str], Path]) -> None:
    live, _ = _watch(str(videos("h264.mp4")), is_paced=True)
    start = time.monotonic()
    for seconds, _ in live.frames():
        assert time.monotonic() - start >= seconds - 0.01
        if seconds > 0.3:
            break


def test_a_server_that_goes_away_and_comes_back_is_waited_for(
    serve: Serve, twenty: bytes, number_of: Callable[[np.ndarray], int]
) -> None:
    first = serve([twenty, None])
    video, said = _watch(first.address)
    taken = []
    to_rgb = RgbConverter()
    for seconds, frame in video.frames():
        taken.append((seconds, number_of(to_rgb(frame))))
        if len(taken) == 15:
            first.close()
            threading.Timer(0.3, serve, [[twenty]], {"port": first.port}).start()
        if len(taken) >= 30:
            video.stop()
    times = [seconds for seconds, _ in taken]
    assert all(before < after for before, after in pairwise(times))
    assert [number for _, number in taken[-5:]] == sorted(number for _, number in taken[-5:])
    assert any("trying again in 0.02 s" in words for words in said)
    assert any("Connection refused" in words for words in said)
    assert "is back" in said
    assert video.num_connections == 2


def test_a_silent_server_counts_as_gone_and_its_pause_counts_as_time(
    serve: Serve, transport_stream: Encode
) -> None:
    rng = np.random.default_rng(0)  # noise makes packets as large as a camera's
    sent = transport_stream(rng.integers(0, 256, (20, 96, 128, 3), dtype=np.uint8), 50)
    server = serve([sent, None], [sent])
    video, said = _watch(server.address)
    taken = _take(video, 30)
    assert said[0] == "silent for 1 s; trying again in 0.02 s"
    gap = max(after - before for (before, _), (after, _) in pairwise(taken))
    assert 0.5 < gap < 5
    assert server.num_connections == 2


def test_each_further_wait_is_twice_as_long_until_frames_come(serve: Serve, twenty: bytes) -> None:
    server = serve([], [], [twenty], [], [twenty])
    video, said = _watch(server.address)
    _take(video, 40)
    waits = [words.rpartition(" in ")[2] for words in said if "trying again" in words]
    assert waits == ["0.02 s", "0.04 s", "0.02 s", "0.04 s"]


def test_an_address_that_never_shows_a_frame_is_given_up(serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    video, said = _watch(f"http://user:secret@127.0.0.1:{port}/live.ts")
    with pytest.raises(VideoError) as error:
        _take(video, 1)
    assert len(said) == NUM_FIRST_ATTEMPTS - 1
    assert f"http://127.0.0.1:{port}/live.ts" in error.value.given
    assert "Connection refused" in error.value.given
    assert "secret" not in str(error.value)


def test_an_address_may_be_left_once_it_has_ended(serve: Serve, twenty: bytes) -> None:
    server = serve([twenty])
    video, said = _watch(server.address, is_tried_again=False)
    assert len(_take(video, 100)) == 20
    assert server.num_connections == 1
    assert said == ["broke off after 2.0 s: the connection was closed"]


def test_corrupt_packets_are_left_out_and_said_once(
    twenty: bytes, tmp_path: Path, number_of: Callable[[np.ndarray], int]
) -> None:
    packets = [twenty[place : place + 188] for place in range(0, len(twenty), 188)]
    del packets[len(packets) // 2 : len(packets) // 2 + 2]
    (tmp_path / "damaged.ts").write_bytes(b"".join(packets))
    video, said = _watch(str(tmp_path / "damaged.ts"))
    numbers = [number_of(picture) for _, picture in _take(video, 100)]
    assert video.num_corrupt > 0
    assert [words for words in said if "corrupt packets;" in words] == [
        "sends corrupt packets; what cannot be decoded is left out"
    ]
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers[-3:] == [17, 18, 19]


def test_a_change_of_size_is_said_and_survived(
    serve: Serve, transport_stream: Encode, picture: Callable[..., np.ndarray]
) -> None:
    small = transport_stream(np.stack([picture(n) for n in range(10)]))
    large = transport_stream(np.stack([picture(n, 96, 128) for n in range(10)]))
    video, said = _watch(serve([small + large]).address, is_tried_again=False)
    taken = _take(video, 100)
    assert {frame.shape for _, frame in taken} == {(48, 64, 3), (96, 128, 3)}
    assert "now sends 128×96 pixels, before 64×48" in said
    times = [seconds for seconds, _ in taken]
    assert all(0 < after - before < 1 for before, after in pairwise(times))


def test_a_viewer_who_comes_late_starts_at_a_key_frame(
    serve: Serve, twenty: bytes, number_of: Callable[[np.ndarray], int]
) -> None:
    late = twenty[188 * (len(twenty) // 188 // 3) :]
    video, _ = _watch(serve([late]).address, is_tried_again=False)
    taken = _take(video, 100)
    numbers = [number_of(frame) for _, frame in taken]
    assert numbers[0] in (5, 10)
    assert numbers == list(range(numbers[0], 20))
    assert taken[0][0] == 0
    assert video.num_corrupt == 0


def test_what_a_server_sends_cannot_make_this_machine_read_its_files(
    serve: Serve, twenty: bytes, tmp_path: Path
) -> None:
    (tmp_path / "private.ts").write_bytes(twenty)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/private.ts\n"
    server = serve([f"{playlist}#EXT-X-ENDLIST\n".encode()], path="/list.m3u8")
    video, _ = _watch(server.address)
    with pytest.raises(VideoError):
        _take(video, 1)


def test_a_named_pipe_can_be_watched(twenty: bytes, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[twenty])
    writer.start()
    video, said = _watch(str(tmp_path / "pipe"))
    assert len(_take(video, 100)) == 20
    writer.join()
    assert said == []


def test_a_file_that_breaks_off_ends_and_says_so(
    videos: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = videos("h264_gop.mp4").read_bytes()
    (tmp_path / "noise.mp4").write_bytes(os.urandom(5000))
    for name in ("noise.mp4", "missing.mp4"):
        video, _ = _watch(str(tmp_path / name))
        with pytest.raises(VideoError, match=name):
            _take(video, 1)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(NoVideoError, match="empty"):
        _take(_watch(str(tmp_path / "empty.mp4"))[0], 1)
    assert whole


@pytest.mark.parametrize(
    "text", ["gopher://x/y", "file:///etc/passwd", "concat://a", "camera:x", "camera:"]
)
def test_an_address_of_another_sort_is_refused(text: str) -> None:
    with pytest.raises(VideoError, match=text.partition(":")[0]):
        parse_address(text)


@pytest.mark.parametrize("raw", ["640", "0x480@25", "640x480@", "640x480@0"])
def test_a_raw_pipe_needs_a_size_and_a_rate(raw: str) -> None:
    with pytest.raises(VideoError, match="--raw"):
        parse_address("-", raw)


def test_a_camera_that_is_not_there_is_named() -> None:
    video, _ = _watch("camera:87")
    with pytest.raises(VideoError, match="camera:87"):
        _take(video, 1)


SENDER = """
import sys, av, numpy as np
with av.open(f"tcp://127.0.0.1:{sys.argv[1]}?listen=1", "w", format="mpegts") as container:
    stream = container.add_stream("mpeg2video", 25)
    stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
    for number in range(30):
        picture = np.full((48, 64, 3), 8 * number, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))
"""


def test_what_ffmpeg_sends_over_tcp_can_be_watched() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", SENDER, str(port)]) as sender:
        video, _ = _watch(f"tcp://127.0.0.1:{port}", first_wait_seconds=0.3)
        brightness = [picture.mean() for _, picture in _take(video, 30)]
        sender.terminate()
    assert brightness == pytest.approx(8 * np.arange(30), abs=8)


def test_a_protocol_that_ffmpeg_was_built_without_is_refused_at_once_with_a_way_out() -> None:
    video, said = _watch("srt://127.0.0.1:9")
    try:
        av.open("srt://127.0.0.1:9", timeout=0.1)
    except av.error.ProtocolNotFoundError:
        with pytest.raises(VideoError) as error:
            _take(video, 1)
        assert "filmstrip stream RUN -" in error.value.remedy
        assert said == []
    except av.error.FFmpegError:
        pytest.skip("this FFmpeg knows srt")


def test_live_video_of_stated_length_is_read_once(serve: Serve, twenty: bytes) -> None:
    server = serve([twenty], length=len(twenty))
    video, said = _watch(server.address)
    assert video.drops_late
    assert len(_take(video, 100)) == 20
    assert not video.drops_late
    assert server.num_connections == 1
    assert said == []


def test_live_video_of_stated_length_that_breaks_off_is_an_error(
    serve: Serve, twenty: bytes
) -> None:
    server = serve([twenty[: 188 * (len(twenty) // 376)]], [twenty], length=len(twenty))
    video, _ = _watch(server.address)
    taken: list[object] = []
    with pytest.raises(VideoError, match="broke off after") as error:
        taken.extend(video.frames())
    assert 0 < len(taken) < 20
    assert server.num_connections == 1
    assert server.address in error.value.given


def test_live_video_keeps_a_pause_in_what_has_an_end(
    serve: Serve, picture: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    with av.open(str(tmp_path / "gap.ts"), "w") as container:
        stream = container.add_stream("libx264", 10, options={"g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts = number if number < 5 else number + 300
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = (tmp_path / "gap.ts").read_bytes()
    of_file = [at for at, _ in _watch(str(tmp_path / "gap.ts"))[0].frames()]
    server = serve([content], length=len(content))
    assert [at for at, _ in _watch(server.address)[0].frames()] == pytest.approx(of_file)


LIVE_IN_LITTLE_MEMORY = """
import sys
from filmstrip.errors import FilmstripError
from filmstrip.video.address import file_address
from filmstrip.video.live import LiveVideo

list(LiveVideo(file_address(sys.argv[1])).frames())
limit_memory(60)
try:
    print(len(list(LiveVideo(file_address(sys.argv[2])).frames())), "frames")
except FilmstripError as error:
    print(error.given)
"""


def test_live_video_does_not_take_a_lack_of_memory_for_damage(
    videos: Callable[[str], Path], large_video: Path, in_little_memory: Callable[..., Any]
) -> None:
    ended = in_little_memory(LIVE_IN_LITTLE_MEMORY, videos("h264.mp4"), large_video)
    assert "not enough memory" in ended.stdout, ended.stderr
