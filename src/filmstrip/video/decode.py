"""A file becomes frames: only the sampled ones, only once, with memory that stays flat.

Decoding is by PyAV (FFmpeg). Long videos are sought by key frame where that saves decoding, and
frames that neither are sampled nor help to decode another are skipped. What these shortcuts give is
verified; where they cannot be trusted the video is decoded whole from its start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from filmstrip.errors import DamagedVideoError, VideoError
from filmstrip.video.packets import KeyFrame, Timeline
from filmstrip.video.picture import Picture, RgbConverter
from filmstrip.video.probe import VideoInfo, no_frame, probe, probe_timeline
from filmstrip.video.sampling import RateSampling, UniformSampling, sample_indices
from filmstrip.video.source import damaged, decode_stream, open_video

__all__ = ["Clip", "VideoInfo", "iterate_frames", "probe", "read_clip"]

# Seeking flushes the decoder and reads anew; decoding this many small frames costs about as much.
_FRAMES_WORTH_A_SEEK = 16


@dataclass(frozen=True, eq=False)
class Clip:
    """The sampled frames of one video.

    Attributes:
        frames: RGB pictures (T, H, W, 3) uint8, as shown.
        times_seconds: when each of them comes (T,), in seconds after the first frame.
        info: the video they are from.
    """

    frames: Picture
    times_seconds: NDArray[np.float64]
    info: VideoInfo


def read_clip(
    path: Path,
    sampling: UniformSampling | RateSampling,
    transform: Callable[[Picture], Picture] | None = None,
    keep_incomplete: bool = False,
) -> Clip:
    """Decode the frames of ``path`` that ``sampling`` chooses.

    Args:
        path: the video file.
        sampling: which frames to take.
        transform: applied to each frame (H, W, 3) uint8 as soon as it is decoded, so that only
            transformed frames are kept in memory; every one must come out in the same shape.
        keep_incomplete: sample what there is of a video that is cut short or breaks midway, and
            state in ``info.missing`` why it is not all.

    Returns:
        The clip, at least one frame long.

    Raises:
        NoVideoError: the file is missing, empty, sound only, or has zero frames.
        DamagedVideoError: it is cut short or cannot be decoded to the last sampled frame.
        VideoError: it cannot be read, is no video, or changes its size midway.
    """
    info, timeline = probe_timeline(path, keep_broken=keep_incomplete)
    if info.missing is not None and not keep_incomplete:
        raise damaged(path, info.missing, info.duration_seconds, info.num_frames)
    may_skip = timeline.pts is not None
    while True:
        times = timeline.times_seconds
        indices = sample_indices(sampling, times, timeline.duration_seconds)
        numbers, places = np.unique(indices, return_inverse=True)
        try:
            kept = _read_frames(info.path, timeline, numbers.tolist(), transform, may_skip)
        except _ShortcutError:
            timeline, may_skip = replace(timeline, key_frames=()), False
        except (_EndsEarlyError, DamagedVideoError) as end:
            if may_skip:  # what is usable, and up to where, only decoding each frame can tell
                may_skip = False
                continue
            if isinstance(end, DamagedVideoError):
                is_usable = 0 < end.num_usable_frames < len(times)
                if not (keep_incomplete and is_usable):
                    raise
                info = replace(info, missing=end.given.removeprefix(f"{path}: ").partition(";")[0])
                num_frames = end.num_usable_frames
            else:
                num_frames = end.num_frames
            timeline = timeline.first(num_frames)
            info = replace(
                info,
                frame_times_seconds=timeline.times_seconds,
                duration_seconds=timeline.duration_seconds,
            )
        else:
            return Clip(np.stack([kept[place] for place in places]), times[indices], info)


def iterate_frames(path: Path, keep_incomplete: bool = False) -> Iterator[tuple[float, Picture]]:
    """Every frame of the video at ``path`` in order: (seconds, picture (H, W, 3) uint8 RGB).

    Args:
        path: the video file.
        keep_incomplete: end where a video breaks midway, instead of raising an error there.

    Raises:
        VideoError: as ``read_clip`` does; damage midway is raised when it is reached.
    """
    info, timeline = probe_timeline(path, keep_broken=keep_incomplete)
    to_rgb = RgbConverter()
    num_frames = 0
    try:
        for seconds, frame in decode_frames(info.path, timeline):
            yield seconds, to_rgb(frame)
            num_frames += 1
    except DamagedVideoError:
        if not (keep_incomplete and num_frames):
            raise


def decode_frames(path: Path, timeline: Timeline) -> Iterator[tuple[float, VideoFrame]]:
    """Every frame of the video at ``path`` in order, as decoded: (seconds, frame).

    Raises:
        VideoError: as ``iterate_frames`` does.
    """
    with open_video(path) as (container, stream):
        for number, frame in _decoded(path, container, stream, timeline):
            yield float(timeline.times_seconds[number]), frame


class _ShortcutError(Exception):
    """A seek did not land on its key frame, or a frame came without the time that names it."""


class _EndsEarlyError(Exception):
    """The decoder yielded all its frames, and they are fewer than the packets promised."""

    def __init__(self, num_frames: int) -> None:
        super().__init__(num_frames)
        self.num_frames = num_frames


def _read_frames(
    path: Path,
    timeline: Timeline,
    numbers: list[int],
    transform: Callable[[Picture], Picture] | None,
    may_skip: bool,
) -> list[Picture]:
    """The frames of the given sorted, distinct numbers."""
    wanted = None
    if may_skip and timeline.pts is not None:
        wanted = frozenset(timeline.pts[numbers].tolist())
    with open_video(path) as (container, stream):
        walk = _Walk(path, container, stream, timeline, wanted)
        to_rgb = RgbConverter()
        kept: list[Picture] = []
        for number in numbers:
            picture = to_rgb(walk.frame_at(number))
            kept.append(transform(picture) if transform else picture)
            if kept[-1].shape != kept[0].shape:
                raise VideoError(
                    f"{path}: frames change their size from {kept[0].shape} to "
                    f"{kept[-1].shape} at {timeline.times_seconds[number]:.2f} s",
                    "frames of one size",
                    "give a transform that brings all frames to one size, such as Framing.",
                )
        return kept


class _Walk:
    """Walks forward through the frames of one open video, seeking where that saves decoding."""

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: VideoStream,
        timeline: Timeline,
        wanted: frozenset[int] | None,
    ) -> None:
        self._opened = (path, container, stream, timeline)
        self._wanted = wanted
        self._key_frames = timeline.key_frames
        self._key_numbers = [key.number for key in timeline.key_frames]
        self._frames = _decoded(*self._opened, wanted=wanted)
        self._current: tuple[int, VideoFrame] | None = None
        self._upcoming: tuple[int, VideoFrame] | None = None

    def frame_at(self, number: int) -> VideoFrame:
        """The frame of that number, or the nearest earlier one where the decoder dropped it."""
        self._seek_towards(number)
        while self._current is None or self._current[0] < number:
            if self._upcoming is None:
                self._upcoming = next(self._frames, None)
            if self._upcoming is None:
                if self._current is None:
                    raise no_frame(self._opened[0])
                raise _EndsEarlyError(self._current[0] + 1)
            if self._current is not None and self._upcoming[0] > number:
                break
            self._current, self._upcoming = self._upcoming, None
        return self._current[1]

    def _seek_towards(self, number: int) -> None:
        place = bisect_right(self._key_numbers, number) - 1
        if place < 0:
            return
        last = self._upcoming or self._current
        reached = -1 if last is None else last[0]
        if self._key_numbers[place] - reached > _FRAMES_WORTH_A_SEEK:
            start = self._key_frames[place]
            self._frames = _decoded(*self._opened, start=start, wanted=self._wanted)
            self._current = self._upcoming = None


def _decoded(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    timeline: Timeline,
    start: KeyFrame | None = None,
    wanted: frozenset[int] | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from the start, or from a key frame on, and number the frames as shown.

    A number follows from the frame's presentation time, or from counting where the container
    holds no trustworthy times. Frames that are not ``wanted`` may be left out.
    """
    number = -1
    try:
        if start is not None:
            container.seek(start.seek_timestamp, stream=stream)
        num_skipped = timeline.num_leading_packets if start is None else 0
        from_start = start is None
        for frame in decode_stream(container, stream, num_skipped, wanted, from_start):
            if wanted is not None and frame.pts is None:
                raise _ShortcutError
            if _comes_before(frame, timeline, start):
                continue
            if start is not None and number < 0 and not _is_key_frame(frame, start):
                raise _ShortcutError
            if frame.is_corrupt:
                raise _broken_after(number, path, timeline, "a frame was decoded with errors")
            number = _number_of(frame, timeline, number)
            if number < len(timeline.times_seconds):
                yield number, frame
    except av.error.FFmpegError as error:
        if start is not None and number < 0:
            raise _ShortcutError from error
        raise _broken_after(number, path, timeline, error.strerror) from error
    if start is not None and number < 0:
        raise _ShortcutError


def _comes_before(frame: VideoFrame, timeline: Timeline, start: KeyFrame | None) -> bool:
    if timeline.pts is None or frame.pts is None:
        return False
    return bool(frame.pts < (timeline.pts[0] if start is None else start.pts))


def _is_key_frame(frame: VideoFrame, key: KeyFrame) -> bool:
    return bool(frame.pts == key.pts and frame.key_frame)


def _number_of(frame: VideoFrame, timeline: Timeline, previous: int) -> int:
    if timeline.pts is None or frame.pts is None:
        return previous + 1
    return int(np.searchsorted(timeline.pts, frame.pts))


def _broken_after(
    number: int, path: Path, timeline: Timeline, reason: str | None
) -> DamagedVideoError:
    ends = [0.0, *timeline.times_seconds[1:], timeline.duration_seconds]
    num_usable = min(number + 1, len(timeline.times_seconds))
    return damaged(path, reason, float(ends[num_usable]), num_usable)
