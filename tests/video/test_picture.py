from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from filmstrip.video.decode import probe, read_clip
from filmstrip.video.sampling import UniformSampling

Encoder = Any
Picture = Callable[..., np.ndarray]

BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2


def first_frame(path: Path) -> np.ndarray:
    return read_clip(path, UniformSampling(num_frames=1)).frames[0]


def corner_code(frame: np.ndarray) -> list[list[int]]:
    """The colour of each quarter as one digit, so that turning and mirroring show."""
    height, width = frame.shape[:2]
    quarters = [
        [frame[height // 4, width // 4], frame[height // 4, 3 * width // 4]],
        [frame[3 * height // 4, width // 4], frame[3 * height // 4, 3 * width // 4]],
    ]
    return [[int(np.dot(colour > 128, [1, 2, 4])) for colour in row] for row in quarters]


@pytest.fixture
def quarters() -> np.ndarray:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:24, :32], frame[:24, 32:] = (250, 0, 0), (0, 250, 0)
    frame[24:, :32], frame[24:, 32:] = (0, 0, 250), (250, 250, 250)
    return frame


@pytest.mark.parametrize("mirrored", ["", "horizontally", "vertically"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_or_mirrored_video_is_read_as_it_is_shown(
    degrees: int, mirrored: str, quarters: np.ndarray, tmp_path: Path, encoder: type[Encoder]
) -> None:
    knobs = encoder(rotation=(degrees, mirrored == "horizontally", mirrored == "vertically"))
    path = knobs.write(tmp_path / "a.mp4", pictures=[quarters])
    shown = np.rot90(quarters, degrees // 90)
    if mirrored:
        shown = shown[:, ::-1] if mirrored == "horizontally" else shown[::-1]
    frame, info = first_frame(path), probe(path)
    assert frame.shape == shown.shape
    assert corner_code(frame) == corner_code(shown)
    assert (info.height, info.width) == shown.shape[:2]
    assert frame.flags.c_contiguous


@pytest.mark.parametrize(("degrees", "reported"), [(0, 0), (90, 90), (180, 180), (270, -90)])
def test_the_rotation_is_reported_counter_clockwise(
    degrees: int, reported: int, tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = encoder(rotation=(degrees, False, False)).write(tmp_path / "a.mp4", 1)
    assert probe(path).rotation_degrees == reported


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mkv", "libx265", "yuv420p10le"),
        ("b.mkv", "libx264", "yuv420p10le"),
        ("c.mkv", "ffv1", "gray"),
        ("d.mkv", "ffv1", "gray10le"),
        ("e.mkv", "ffv1", "yuva420p"),
        ("f.webm", "libvpx-vp9", "yuva420p"),
        ("g.mkv", "ffv1", "bgra"),
        ("h.mkv", "ffv1", "rgb48le"),
        ("j.mp4", "libx264", "yuv444p"),
        ("k.mp4", "libx264", "yuv422p"),
        ("l.mkv", "libx264rgb", "rgb24"),
    ],
)
def test_every_pixel_format_becomes_8_bit_rgb(
    name: str,
    codec: str,
    pixel_format: str,
    tmp_path: Path,
    encoder: type[Encoder],
    picture: Picture,
    number_of: Callable[[np.ndarray], int],
) -> None:
    options = {"x265-params": "log-level=none:pools=1"} if codec == "libx265" else {}
    path = encoder(codec, pixel_format, options).write(tmp_path / name, 8)
    clip = read_clip(path, UniformSampling())
    assert clip.frames.dtype == np.uint8
    assert clip.frames.shape == (8, 48, 64, 3)
    assert [number_of(frame) for frame in clip.frames] == list(range(8))
    grey = picture(0).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    expected = grey if pixel_format.startswith("gray") else picture(0)
    difference = np.abs(clip.frames[0].astype(float) - expected)
    assert np.median(difference) < (40 if pixel_format.startswith("gray") else 12)


@pytest.mark.parametrize("shape", [(47, 63), (33, 50), (2, 2), (50, 33)])
def test_an_odd_size_is_read_as_it_is(
    shape: tuple[int, int], tmp_path: Path, encoder: type[Encoder], picture: Picture
) -> None:
    for name, knobs in [
        ("a.avi", encoder("mpeg4")),
        ("a.mp4", encoder(pixel_format="yuv444p")),
        ("a.webm", encoder("libvpx")),
        ("a.gif", encoder("gif", "rgb8")),
    ]:
        path = knobs.write(tmp_path / name, pictures=[picture(3, *shape)] * 2)
        assert read_clip(path, UniformSampling()).frames.shape == (2, *shape, 3)


def to_rgb(y: int, cb: int, cr: int, colorspace: int, color_range: int) -> np.ndarray:
    """ITU-R BT.601 and BT.709, equations of the non-constant-luminance system."""
    red, blue = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}[colorspace]
    if color_range == FULL:
        luma, b_minus_y, r_minus_y = y / 255, (cb - 128) / 255, (cr - 128) / 255
    else:
        luma, b_minus_y, r_minus_y = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r = luma + 2 * (1 - red) * r_minus_y
    b = luma + 2 * (1 - blue) * b_minus_y
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip([r, g, b], 0, 1) * 255


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("colorspace", [BT709, BT601])
def test_the_stream_s_own_colour_space_and_range_are_honoured(
    colorspace: int, color_range: int, tmp_path: Path
) -> None:
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace = colorspace
        stream.codec_context.color_range = color_range
        planes = np.stack([np.full((48, 64), value, np.uint8) for value in (100, 90, 150)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.colorspace, frame.color_range, frame.pts = colorspace, color_range, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    expected = to_rgb(100, 90, 150, colorspace, color_range)
    assert_allclose(first_frame(path)[24, 32], expected, atol=1.5)
