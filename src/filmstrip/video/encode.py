"""Frames become a video file: one frame at a time, and never half a file under the final name.

The overlaid copies that Filmstrip renders, its synthetic clips and its test videos come from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from filmstrip.errors import VideoError, nearest
from filmstrip.storage import replacing
from filmstrip.video.picture import Picture

# MPEG-4 part 2 stores the frame rate as a fraction of 16-bit numbers.
_LARGEST_RATE_TERM = 65_535
# The matrix that swscale uses for RGB → YUV unless told otherwise (ITU-R BT.601).
_BT601 = 6


class _Encoding(NamedTuple):
    codec: str
    pixel_format: str
    options: dict[str, str]


_BY_SUFFIX = {
    ".mp4": _Encoding("libx264", "yuv420p", {}),
    ".mov": _Encoding("libx264", "yuv420p", {}),
    ".mkv": _Encoding("libx264", "yuv420p", {}),
    # A fixed quantiser of 3: the encoder's own default is a low bit rate whatever the size.
    ".avi": _Encoding("mpeg4", "yuv420p", {"flags": "+qscale", "global_quality": str(3 * 118)}),
    ".webm": _Encoding("libvpx-vp9", "yuv420p", {"crf": "31", "b": "0", "cpu-used": "5"}),
    ".gif": _Encoding("gif", "rgb8", {}),
}


def write_video(
    path: Path,
    frames: Iterable[Picture],
    frames_per_second: float,
    codec: str | None = None,
    pixel_format: str | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Encode ``frames`` into ``path``, whose suffix decides the container and the codec.

    Frames are encoded as they come, so memory stays flat. The file is written under a temporary
    name in the same folder and renamed when it is complete; missing folders are made.

    A pixel format with half-sized colour planes (``yuv420p``, the one that every player shows)
    holds even sizes only: an odd width or height is made even by repeating the last column or
    row. ``pixel_format="yuv444p"`` (H.264) and GIF keep odd sizes.

    Args:
        path: the file to write: .mp4, .mov, .mkv, .avi, .webm or .gif.
        frames: pictures (H, W, 3) uint8 RGB, all of one size, at least one.
        frames_per_second: the frame rate, whole or fractional.
        codec: an FFmpeg encoder instead of the suffix's own, such as ``"libx265"``.
        pixel_format: an FFmpeg pixel format instead of the suffix's own.
        options: the encoder's options, such as ``{"crf": "18"}``.

    Raises:
        VideoError: no frame, frames of other shapes, an unknown suffix, codec or pixel format.
        StorageError: the disk is full or cannot be written.
    """
    path = Path(path)
    encoding = _encoding(path, codec, pixel_format, options)
    rate = _as_fraction(frames_per_second)
    pictures = _checked(path, frames, encoding.pixel_format)
    if path.is_dir():
        raise VideoError(
            f"{path}: is a folder", "the path of a file to write", "choose another path."
        )
    with replacing(path) as partial:
        try:
            with av.open(f"file:{partial}", "w") as container:
                stream = _add_stream(path, container, encoding, rate)
                _encode(container, stream, pictures, rate)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise _refused(path, encoding, error.strerror) from error


def _add_stream(
    path: Path, container: OutputContainer, encoding: _Encoding, rate: Fraction
) -> VideoStream:
    try:
        stream = container.add_stream(encoding.codec, rate, options=encoding.options)
    except ValueError as error:
        raise _refused(path, encoding, str(error)) from error
    stream = cast(VideoStream, stream)
    stream.pix_fmt = encoding.pixel_format
    stream.time_base = 1 / rate
    if encoding.pixel_format.startswith("yuv"):
        stream.codec_context.colorspace = _BT601
    return stream


def _encode(
    container: OutputContainer, stream: VideoStream, pictures: Iterator[Picture], rate: Fraction
) -> None:
    first = next(pictures)
    stream.height, stream.width = first.shape[:2]
    for index, picture in enumerate(chain([first], pictures)):
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts = index
        frame.time_base = 1 / rate
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _refused(path: Path, encoding: _Encoding, reason: str | None) -> VideoError:
    return VideoError(
        f"{path}: the encoder {encoding.codec!r} with pixel format {encoding.pixel_format!r} and "
        f"options {encoding.options} was refused ({reason})",
        "a codec, pixel format and options that go together and fit the container",
        "leave them out to get the suffix's own, or change one of them.",
    )


def _encoding(
    path: Path, codec: str | None, pixel_format: str | None, options: dict[str, str] | None
) -> _Encoding:
    default = _BY_SUFFIX.get(path.suffix.lower())
    if default is None:
        raise VideoError(
            f"{path}: no video format is known by the suffix {path.suffix!r}",
            f"one of {', '.join(_BY_SUFFIX)}",
            nearest(path.suffix.lower(), _BY_SUFFIX),
        )
    if codec is not None and codec != default.codec:
        _check_codec(codec)
        default = _Encoding(codec, default.pixel_format, {})
    if pixel_format is not None:
        _check_pixel_format(pixel_format)
        default = default._replace(pixel_format=pixel_format)
    return default._replace(options={**default.options, **(options or {})})


def _check_codec(codec: str) -> None:
    try:
        if av.Codec(codec, "w").type == "video":
            return
    except UnknownCodecError:
        pass
    raise VideoError(
        f"codec={codec!r}: FFmpeg has no such video encoder here",
        "a video encoder of FFmpeg, such as 'libx264' or 'mpeg4'",
        nearest(codec, av.codecs_available),
    )


def _check_pixel_format(pixel_format: str) -> None:
    try:
        av.VideoFormat(pixel_format)
    except ValueError as error:
        raise VideoError(
            f"pixel_format={pixel_format!r}: FFmpeg has no such pixel format",
            "a pixel format of FFmpeg, such as 'yuv420p' or 'yuv444p'",
            "leave it out to get the one that fits the file's suffix.",
        ) from error


def _as_fraction(frames_per_second: float) -> Fraction:
    rate = Fraction(0)
    if 0 < frames_per_second <= _LARGEST_RATE_TERM:
        largest_denominator = int(_LARGEST_RATE_TERM / max(frames_per_second, 1))
        rate = Fraction(frames_per_second).limit_denominator(largest_denominator)
    if not rate:
        raise VideoError(
            f"frames_per_second={frames_per_second}",
            "a frame rate above 0, such as 25 or 29.97",
            "give the number of frames that are shown in one second.",
        )
    return rate


def _checked(path: Path, frames: Iterable[Picture], pixel_format: str) -> Iterator[Picture]:
    """The frames, checked and padded to what ``pixel_format`` can hold."""
    layout = av.VideoFormat(pixel_format, 2, 2)
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise VideoError(
                f"{path}: frame {index} has shape {frame.shape} and type {frame.dtype}",
                "frames of shape (height, width, 3) and type uint8, RGB",
                "convert the frames before writing them.",
            )
        if frame.shape != shape:
            raise VideoError(
                f"{path}: frame {index} has shape {frame.shape}, the first had {shape}",
                "frames of one size",
                "resize the frames before writing them.",
            )
        odd_height = frame.shape[0] % 2 if layout.chroma_height(2) == 1 else 0
        odd_width = frame.shape[1] % 2 if layout.chroma_width(2) == 1 else 0
        yield np.pad(frame, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    if shape is None:
        raise VideoError(
            f"{path}: not one frame was given to write",
            "at least one frame",
            "check that what makes the frames gives any; nothing was written.",
        )
