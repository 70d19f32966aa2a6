"""A path becomes an open video stream, or an error that names the file and what to do.

What a file claims about itself is not trusted: only formats that carry their own pictures are
opened (a playlist could point at any file or address), and a header that asks for absurd memory
is refused.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from filmstrip.errors import (
    DamagedVideoError,
    NoVideoError,
    VideoError,
    lacks_memory,
    out_of_memory,
)
from filmstrip.video.failures import check_room, machine_failures, unreadable
from filmstrip.video.formats import FORMATS
from filmstrip.video.limits import MAX_PIXELS, check_decoder_memory, check_size
from filmstrip.video.timestamps import ContinuousTimes

# Decoders that leave out exactly the frames that none refers to (that of AV1 leaves out more).
_SKIP_WELL = ("h264", "hevc", "mpeg4")
# What the default disposition is worth in ffmpeg's choice of a stream (fftools/ffmpeg_mux_init.c).
_DEFAULT_PIXELS = 5_000_000
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the best video stream of ``path``, set to decode on one thread.

    Cover art and thumbnails are no video. Of several streams, the one is opened that FFmpeg would
    choose. One thread, since many files are decoded side by side.

    Raises:
        NoVideoError: the file is missing, empty or holds no video stream.
        VideoError: it is a folder, is no video, or its frames are too large.
        ResourceError: it cannot be read now; also if that is found while it is decoded.
    """
    with machine_failures(path):
        check_is_file(path)
        try:
            container = av.open(
                f"file:{path}",
                options={
                    "format_whitelist": FORMATS,
                    "protocol_whitelist": "file",
                    "max_pixels": str(MAX_PIXELS),
                },
                metadata_errors="replace",
            )
        except av.error.FFmpegError as error:
            if lacks_memory(error):
                raise out_of_memory(path) from error
            if isinstance(error, OSError):
                raise unreadable(path, error) from error
            raise _no_video(
                path, f"not a video, or its beginning is broken ({error.strerror})"
            ) from error
        with container:
            stream = video_stream(path, container)
            try:
                yield container, stream
            except Exception as error:
                check_room(path, stream, error)  # while the decoder still holds its frames
                raise


def decode_stream(
    container: InputContainer,
    stream: VideoStream,
    num_skipped_packets: int = 0,
    wanted: frozenset[int] | None = None,
    from_start: bool = True,
) -> Iterator[VideoFrame]:
    """Decode from the container's current place to the end, without the first few packets.

    Time stamps that jump are mended as ``read_timeline`` does, which takes reading ``from_start``.

    Where the presentation times of ``wanted`` frames are given, the decoder leaves out others that
    no further frame refers to, which is about a third of the work on H.264.
    """
    # A packet without data is a frame that AVI dropped; a decoder would take it for the end.
    packets = (packet for packet in container.demux(stream) if packet.size)
    times = ContinuousTimes(container, stream)
    for number, packet in enumerate(packets):
        if from_start:
            times.mend(packet)
        if number < num_skipped_packets:
            continue
        if wanted is not None and stream.codec_context.name in _SKIP_WELL:
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield from packet.decode()
    yield from stream.decode(None)


def damaged(
    path: Path, reason: str | None, usable_seconds: float, num_usable_frames: int
) -> DamagedVideoError:
    """The error for a video that breaks after so many seconds and frames."""
    cut = f"keep what is whole with 'ffmpeg -i IN -t {usable_seconds:.2f} OUT', or "
    return DamagedVideoError(
        f"{path}: damaged at {usable_seconds:.2f} s ({reason or 'unreadable'}); "
        f"{num_usable_frames} frames before that are usable",
        "a video that can be read to its end",
        f"copy it again from its source, {cut if num_usable_frames else 'or '}leave it out.",
        usable_seconds,
        num_usable_frames,
    )


def check_is_file(path: Path) -> None:
    """Refuse what is no file, is empty or may not be read.

    Raises:
        VideoError: it is so.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise VideoError(f"{path}: is {what}", "a video file", "give the path of one video.")
    if not status.st_size:
        raise NoVideoError(
            f"{path}: is empty (0 bytes)", "a video file", "copy it again from its source."
        )
    if not os.access(path, os.R_OK):
        raise unreadable(path, PermissionError(errno.EACCES, "Permission denied"))


def _no_video(name: str | Path, found: str) -> NoVideoError:
    return NoVideoError(
        f"{name}: {found}",
        "a whole video of a format that FFmpeg reads, such as MP4, AVI, MKV or WebM",
        "check that it plays; an MP4 or MOV that was cut short has lost its index and must be "
        "copied or recorded again.",
    )


def video_stream(name: str | Path, container: InputContainer) -> VideoStream:
    """Return the video stream that FFmpeg would choose, set to decode on one thread.

    Raises:
        NoVideoError: there is none.
        VideoError: its codec is unknown, or its frames or its decoder need too much memory.
    """
    streams = [s for s in container.streams.video if not s.disposition & _NO_VIDEO]
    if not streams:
        raise _no_video(
            name, "only sound, no video" if container.streams.audio else "no video stream"
        )
    stream = max(streams, key=_rank)  # of equals, the first
    if stream.codec_context is None:
        raise VideoError(
            f"{name}: its codec is unknown to this build of FFmpeg",
            "a video whose codec PyAV's FFmpeg can decode",
            "convert it, for example to H.264, with the program that made it.",
        )
    check_size(name, stream.codec_context.width, stream.codec_context.height)
    max_pixels = check_decoder_memory(name, stream)
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    stream.thread_count = 1
    stream.thread_type = "NONE"
    return stream


def _rank(stream: VideoStream) -> tuple[bool, bool, int, int]:
    """How well a stream stands for its file, by the rule of the ``ffmpeg`` program.

    A stream that can be decoded and has frames comes first. Then pixels count, and the default
    disposition counts as much as five megapixels. The bit rate decides between equals.
    """
    context = stream.codec_context
    if context is None:
        return (False, False, 0, 0)
    is_default = bool(stream.disposition & Disposition.default)
    score = context.width * context.height + _DEFAULT_PIXELS * is_default
    return (True, bool(stream.frames), score, context.bit_rate or 0)
