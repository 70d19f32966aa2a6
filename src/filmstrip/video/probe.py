"""What a video file holds, found by walking through its packets instead of trusting its header.

Only the first picture is decoded, for its size, pixel format and rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from filmstrip.errors import NoVideoError
from filmstrip.video.completeness import find_missing
from filmstrip.video.limits import check_size
from filmstrip.video.packets import Timeline, read_timeline
from filmstrip.video.source import damaged, decode_stream, open_video


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What a video file holds.

    Attributes:
        path: the file.
        container: FFmpeg's name of the container, such as ``avi`` or ``matroska,webm``.
        codec: FFmpeg's name of the codec, such as ``h264``.
        pixel_format: FFmpeg's name of the pixel format, such as ``yuv420p``.
        width: pixels across, as shown: after rotation. Pixels are taken as square.
        height: pixels down, as shown.
        rotation_degrees: how far the stored picture is turned counter-clockwise to be shown: 0,
            90, 180 or -90.
        frame_times_seconds: when each frame comes (N,), sorted, the first at 0.
        duration_seconds: how long the video is shown, its last frame included.
        size_bytes: size of the file.
        claimed_num_frames: the number of frames that the header claims, which may lie; ``None``
            where the container states none.
        claimed_duration_seconds: the duration that the header claims, likewise. One much longer
            than ``duration_seconds`` is the sign of a file that was cut short.
        missing: what shows that a part of the video is missing after these frames, in a few words;
            ``None`` where nothing does.
        jump_times_seconds: where time stamps restarted or jumped, and were made to continue.
    """

    path: Path
    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation_degrees: int
    frame_times_seconds: NDArray[np.float64]
    duration_seconds: float
    size_bytes: int
    claimed_num_frames: int | None
    claimed_duration_seconds: float | None
    missing: str | None = None
    jump_times_seconds: tuple[float, ...] = ()

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.frame_times_seconds)

    @property
    def average_fps(self) -> float:
        """Frames per second of duration; 0 for a picture that is shown for no time."""
        return self.num_frames / self.duration_seconds if self.duration_seconds else 0.0


def probe(path: Path, keep_broken: bool = False) -> VideoInfo:
    """Find out what the video at ``path`` holds.

    Args:
        path: the file.
        keep_broken: accept a file whose packets break off after the first frame, and state that
            in ``missing``.

    Raises:
        NoVideoError: the file is missing, empty, sound only, or has zero frames.
        DamagedVideoError: it breaks off, or its packets or first frame are corrupt.
        VideoError: it cannot be read, is no video, or its frames are absurdly large.
    """
    return probe_timeline(path, keep_broken)[0]


def probe_timeline(path: Path, keep_broken: bool = False) -> tuple[VideoInfo, Timeline]:
    """As ``probe``, with what decoding needs."""
    path = Path(path)
    with open_video(path) as (container, stream):
        timeline = read_timeline(path, container, stream)
        if timeline is None:
            raise no_frame(path)
        if timeline.broken is not None and not keep_broken:
            num_frames = len(timeline.times_seconds)
            raise damaged(path, timeline.broken, timeline.duration_seconds, num_frames)
        claimed = claimed_duration_seconds(container, stream)
        picture = _first_picture(path, timeline.num_leading_packets)
        rotation = _rotation_degrees(picture)
        turned = rotation in (90, -90)
        info = VideoInfo(
            path=path,
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=picture.format.name,
            width=picture.height if turned else picture.width,
            height=picture.width if turned else picture.height,
            rotation_degrees=rotation,
            frame_times_seconds=timeline.times_seconds,
            duration_seconds=timeline.duration_seconds,
            size_bytes=path.stat().st_size,
            claimed_num_frames=stream.frames or None,
            claimed_duration_seconds=claimed,
            missing=timeline.broken
            or find_missing(
                path,
                container.format.name,
                timeline.duration_seconds,
                len(timeline.times_seconds),
                claimed,
                _start_seconds(timeline, stream),
            ),
            jump_times_seconds=timeline.jump_times_seconds,
        )
        return info, timeline


def no_frame(path: Path) -> NoVideoError:
    """The error for a video stream that yields no picture."""
    return NoVideoError(
        f"{path}: its video stream holds not one frame",
        "a video of at least one frame",
        "leave it out, or copy it again from its source.",
    )


def _first_picture(path: Path, num_leading_packets: int) -> VideoFrame:
    with open_video(path) as (container, stream):
        try:
            picture = next(decode_stream(container, stream, num_leading_packets), None)
        except av.error.FFmpegError as error:
            raise damaged(path, error.strerror, 0.0, 0) from error
        if picture is None:
            raise no_frame(path)
        check_size(path, picture.width, picture.height)
        return picture


def _rotation_degrees(picture: VideoFrame) -> int:
    quarter_turns = round(picture.rotation / 90) % 4
    return quarter_turns * 90 if quarter_turns < 3 else -90


def _start_seconds(timeline: Timeline, stream: VideoStream) -> float:
    if timeline.pts is None or stream.time_base is None:
        return 0.0
    return float(int(timeline.pts[0]) * stream.time_base)


def claimed_duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration that the header of an open video states, if any."""
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
