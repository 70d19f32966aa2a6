"""Makes the videos that these tests read: real files, whose frames carry their own number.

The upper half of a frame is eight bars, bright or dark: its number in binary, readable after any
compression. The lower half is red on the left and blue on the right, so that swapped colours,
mirroring and rotation show.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

HEIGHT, WIDTH = 48, 64

# SVT-AV1 writes to stderr unless told not to.
os.environ.setdefault("SVT_LOG", "0")


def numbered_picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    frame[height // 2 :, : width // 2] = (200, 30, 30)
    frame[height // 2 :, width // 2 :] = (30, 30, 200)
    for bit in range(8):
        left, right = bit * width // 8, (bit + 1) * width // 8
        frame[: height // 2, left:right] = 220 if number >> bit & 1 else 40
    return frame


def read_number(frame: np.ndarray) -> int:
    height, width = frame.shape[:2]
    row = frame[height // 4].astype(float).mean(axis=-1)
    centres = [(2 * bit + 1) * width // 16 for bit in range(8)]
    return sum(1 << bit for bit, column in enumerate(centres) if row[column] > 130)


@dataclass
class Encoder:
    """Encodes numbered pictures with PyAV, with every knob that a test needs."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    container_format: str | None = None
    codec_tag: str | None = None
    max_b_frames: int | None = None
    gop_size: int | None = None
    colorspace: int | None = None
    color_range: int | None = None
    rotation: tuple[float, bool, bool] | None = None

    def write(
        self,
        path: Path,
        num_frames: int | None = None,
        frames_per_second: int = 25,
        times_milliseconds: Iterable[int] | None = None,
        pictures: Iterable[np.ndarray] | None = None,
    ) -> Path:
        if pictures is None:
            pictures = [numbered_picture(number) for number in range(num_frames or 1)]
        pictures = list(pictures)
        time_base = Fraction(1, frames_per_second if times_milliseconds is None else 1000)
        stamps = range(len(pictures)) if times_milliseconds is None else list(times_milliseconds)
        with av.open(
            str(path), "w", format=self.container_format, options=self.container_options
        ) as container:
            stream = container.add_stream(self.codec, frames_per_second, options=self.options)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = self.pixel_format
            stream.time_base = stream.codec_context.time_base = time_base
            self._apply(stream)
            for rgb, stamp in zip(pictures, stamps, strict=True):
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                    format=self.pixel_format,
                    dst_colorspace=self.colorspace,
                    dst_color_range=self.color_range,
                )
                frame.pts, frame.time_base = stamp, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    def _apply(self, stream: Any) -> None:
        context = stream.codec_context
        if self.codec_tag is not None:
            context.codec_tag = self.codec_tag
        if self.max_b_frames is not None:
            context.max_b_frames = self.max_b_frames
        if self.gop_size is not None:
            context.gop_size = self.gop_size
        if self.colorspace is not None:
            context.colorspace = self.colorspace
        if self.color_range is not None:
            context.color_range = self.color_range
        if self.rotation is not None:
            degrees, hflip, vflip = self.rotation
            stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)


def remux_packets(
    source: Path,
    target: Path,
    edit: Callable[[list[av.Packet]], list[av.Packet]],
    container_options: dict[str, str] | None = None,
) -> Path:
    """Copy the packets of ``source``, edited, into a new container without decoding them."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", options=container_options or {}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in edit([packet for packet in old.demux(video=0) if packet.size]):
            packet.stream = stream
            new.mux(packet)
    return target


def decode_every_frame(path: Path) -> list[np.ndarray]:
    """Every frame by plain PyAV: what sampled and sought frames must equal, bit for bit."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


ENCODERS: dict[str, Encoder] = {
    "xvid.avi": Encoder("mpeg4", codec_tag="XVID", gop_size=60),
    "xvid_bframes.avi": Encoder("mpeg4", codec_tag="XVID", gop_size=60, max_b_frames=2),
    "mjpeg.avi": Encoder("mjpeg", "yuvj420p"),
    "h264_bframes.avi": Encoder("libx264"),
    "h264.mp4": Encoder(options={"g": "250", "sc_threshold": "0"}),
    "h264_gop.mp4": Encoder(options={"g": "40", "sc_threshold": "0"}),
    "h264_open_gop.mkv": Encoder(
        options={"x264-params": "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=3"}
    ),
    "h264_open_gop.ts": Encoder(
        options={"x264-params": "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=3"}
    ),
    "h264.ts": Encoder(options={"g": "40", "sc_threshold": "0"}),
    "h264.mov": Encoder(),
    "h265.mp4": Encoder(
        "libx265", options={"x265-params": "log-level=none:keyint=40:open-gop=1:pools=1"}
    ),
    "mpeg4.mp4": Encoder("mpeg4", max_b_frames=2, gop_size=40),
    "vp8.webm": Encoder("libvpx", gop_size=40),
    "vp9.webm": Encoder("libvpx-vp9", gop_size=40, options={"cpu-used": "8"}),
    "av1.webm": Encoder("libsvtav1", options={"g": "40", "preset": "12"}),
    "mpeg2.mpg": Encoder("mpeg2video", max_b_frames=2),
    "mpeg2_open_gop.ts": Encoder("mpeg2video", max_b_frames=2),
    "raw.h264": Encoder(container_format="h264"),
    "raw.mjpeg": Encoder("mjpeg", "yuvj420p", container_format="mjpeg"),
    "picture.gif": Encoder("gif", "rgb8"),
}

NUM_FRAMES = 120


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of that name in ``ENCODERS``: 120 numbered frames at 25 a second."""
    folder = tmp_path_factory.mktemp("videos")

    def video(name: str) -> Path:
        path = folder / name
        return path if path.exists() else ENCODERS[name].write(path, NUM_FRAMES)

    return video


@pytest.fixture(params=ENCODERS)
def video(request: pytest.FixtureRequest, videos: Callable[[str], Path]) -> Path:
    """Each video of ``ENCODERS`` in turn."""
    return videos(request.param)


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """``picture(number, height=48, width=64)``: a frame that carries its number."""
    return numbered_picture


@pytest.fixture(scope="session")
def number_of() -> Callable[[np.ndarray], int]:
    """``number_of(frame)``: the number that a frame carries."""
    return read_number


@pytest.fixture(scope="session")
def encoder() -> type[Encoder]:
    """The class that encodes numbered pictures with every knob that a test needs."""
    return Encoder


@pytest.fixture(scope="session")
def remux() -> Callable[..., Path]:
    """``remux(source, target, edit)``: copy packets, edited, into a new file."""
    return remux_packets


@pytest.fixture(scope="session")
def decode_all() -> Callable[[Path], list[np.ndarray]]:
    """``decode_all(path)``: every frame by plain PyAV."""
    return decode_every_frame


BECOME_NOBODY = """
def become_nobody():
    import os
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; the test's own folder is closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def run_as_nobody() -> Callable[[str, Path], str]:
    """``run_as_nobody(script, path)``: what a script says that calls ``become_nobody()``.

    Permissions do not bind the superuser, as whom continuous integration often runs.
    """
    if sys.platform == "win32":
        pytest.skip("needs the permissions of a Unix file system")

    def run(script: str, path: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", BECOME_NOBODY + script, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    return run
