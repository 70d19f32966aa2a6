"""The pictures by which videos are compared: some a second, and the very last frame.

The last frame is always among them, because a recording that was cut in two goes on from there in
the first frame of its other half.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from filmstrip.dataset.doctor.facts import THUMBNAIL_SIDE
from filmstrip.video.decode import decode_frames
from filmstrip.video.picture import as_shown
from filmstrip.video.probe import probe_timeline

GREY_SIDE = 64
"""Width and height of the grey pictures that thumbnails are made from, in pixels."""

# Sixteen a second, so that the pictures of a copy that starts between two of them still look alike,
# even where something turns quickly; fewer in a long recording, down to one.
_MOST_A_SECOND = 16.0
_NUM_OF_A_LONG_VIDEO = 480


class Pace:
    """Hears the times of a video's frames as they are decoded, and says which are taken.

    The times of those that are taken grow, also where a container's own run back and forth, as
    those of AVI with B-frames do.

    Args:
        duration_seconds: of the video; of one of more than 30 s fewer a second are taken.
    """

    def __init__(self, duration_seconds: float) -> None:
        long = _NUM_OF_A_LONG_VIDEO / max(duration_seconds, 1e-3)
        self._num_a_second = min(max(long, 1.0), _MOST_A_SECOND)
        self._num_taken = 0
        self._last_seconds = -1.0

    def takes(self, seconds: float) -> bool:
        """Whether the frame that is shown at this time is taken."""
        is_due = seconds * self._num_a_second > self._num_taken - 1e-6
        if not is_due or seconds <= self._last_seconds:
            return False
        self._num_taken += 1
        self._last_seconds = seconds
        return True


def paced_frames(path: Path) -> Iterator[tuple[float, VideoFrame]]:
    """Decode a video whole: (seconds, frame) of those at its pace, and of the last one.

    Times grow: a last frame that a wrong time puts before another is left out.

    Raises:
        VideoError: as ``decode_frames`` does.
    """
    info, timeline = probe_timeline(path)
    pace = Pace(info.duration_seconds)
    taken_seconds = -1.0
    last = None
    for seconds, frame in decode_frames(path, timeline):
        last = seconds, frame
        if pace.takes(seconds):
            taken_seconds = seconds
            yield last
    if last is not None and last[0] > taken_seconds:
        yield last


def thumbnail(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture (64, 64) as a thumbnail (16, 16)."""
    cells = GREY_SIDE // THUMBNAIL_SIDE
    # (64, 64) → (16, 4, 16, 4), then the mean of each cell
    blocks = grey.reshape(THUMBNAIL_SIDE, cells, THUMBNAIL_SIDE, cells)
    small: NDArray[np.uint8] = np.rint(blocks.mean((1, 3))).astype(np.uint8)
    return small


def small_picture(
    reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int, pixel_format: str
) -> NDArray[np.uint8]:
    """The frame as shown, scaled by the mean of the pixels that fall on each new one."""
    small = reformatter.reformat(
        frame, width, height, pixel_format, interpolation="AREA", threads=1
    )
    return np.ascontiguousarray(as_shown(small.to_ndarray(), frame))
