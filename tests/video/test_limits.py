from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.codec.codec import Codec

from filmstrip.errors import VideoError
from filmstrip.video.address import file_address
from filmstrip.video.decode import probe, read_clip
from filmstrip.video.limits import MEMORY_VARIABLE, num_held_frames
from filmstrip.video.live import LiveVideo
from filmstrip.video.sampling import UniformSampling

WIDTH, HEIGHT, NUM_REFERENCES = 2048, 1024, 16

PEAK_OF_DECODING = """
import resource, sys
from pathlib import Path
from filmstrip.errors import VideoError
from filmstrip.video.decode import read_clip
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing
read_clip(Path(sys.argv[2]), UniformSampling(num_frames=2), Framing(size=32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_clip(Path(sys.argv[1]), UniformSampling(num_frames=2), Framing(size=32))
    print("read")
except VideoError:
    print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.fixture(scope="module")
def many_references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain H.264 video whose decoder keeps 16 frames of two megapixels."""
    path = tmp_path_factory.mktemp("large") / "a.mp4"
    options = {"preset": "ultrafast", "refs": str(NUM_REFERENCES), "g": "100"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([90]) * plane.buffer_size)
        for time in range(24):
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.stat().st_size < 50_000
    return path


def refusal(path: Path) -> VideoError:
    for read in (
        lambda: probe(path),
        lambda: read_clip(path, UniformSampling()),
        lambda: next(LiveVideo(file_address(str(path))).frames()),
    ):
        with pytest.raises(VideoError) as raised:
            read()
    return raised.value


def test_decoder_that_may_need_too_much_memory_is_refused(
    many_references: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "0.08")
    error = refusal(many_references)
    assert "2048×1024 pixels" in error.given
    assert "at most 0.08 GB" in error.expected
    assert f"{MEMORY_VARIABLE}=1 in the environment" in error.remedy


def test_refused_video_is_read_once_memory_is_allowed(
    many_references: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "1")
    assert len(read_clip(many_references, UniformSampling(num_frames=4)).frames) == 4


@pytest.mark.parametrize("allowed", ["0.08", "1"])
def test_decoding_stays_below_the_bound(
    allowed: str, many_references: Path, videos: Callable[[str], Path], monkeypatch: Any
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, allowed)
    done = subprocess.run(
        [sys.executable, "-c", PEAK_OF_DECODING, many_references, videos("h264.mp4")],
        capture_output=True,
        text=True,
        check=True,
    )
    outcome, num_bytes = done.stdout.split()
    assert outcome == ("read" if allowed == "1" else "refused")
    held_bytes = WIDTH * HEIGHT * 1.5 * num_held_frames(Codec("h264", "r"))
    rgb_bytes = 4 * WIDTH * HEIGHT * 3  # one picture on its way out, with its copies
    assert int(num_bytes) < (held_bytes + rgb_bytes if outcome == "read" else 16 * 2**20)


def test_size_that_grows_midway_does_not_exceed_the_bound(
    many_references: Path, tmp_path: Path, encoder: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = encoder(options={"g": "5"}).write(tmp_path / "small.ts", 5)
    large = tmp_path / "large.ts"
    with av.open(str(many_references)) as old, av.open(str(large), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setenv(MEMORY_VARIABLE, "0.08")
    shown = [frame.width for _, frame in LiveVideo(file_address(str(joined))).frames()]
    assert set(shown) == {64}


def test_codecs_without_references_may_be_as_large_as_ever(
    tmp_path: Path, encoder: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = encoder("mjpeg", "yuvj420p").write(tmp_path / "a.avi", 3)
    assert num_held_frames(Codec("mjpeg", "r")) < num_held_frames(Codec("h264", "r"))
    monkeypatch.setenv(MEMORY_VARIABLE, "0.00001")
    assert probe(picture).num_frames == 3


@pytest.mark.parametrize("text", ["much", "0", "-1", "inf", "nan"])
def test_bound_that_is_no_number_is_named(
    text: str, tmp_path: Path, encoder: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoder().write(tmp_path / "a.mp4", 2)
    monkeypatch.setenv(MEMORY_VARIABLE, text)
    with pytest.raises(VideoError, match=MEMORY_VARIABLE):
        probe(path)
