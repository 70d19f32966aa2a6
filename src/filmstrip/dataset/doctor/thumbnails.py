"""The grey thumbnails by which videos are compared: some a second, and the very last frame.

The last frame is always among them, because a recording that was cut in two goes on from there in
the first frame of its other half.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from filmstrip.dataset.doctor.facts import THUMBNAIL_SIDE
from filmstrip.video.picture import as_shown

GREY_SIDE = 64
"""Width and height of the grey pictures that thumbnails are made from, in pixels."""

# Thumbnails a second: sixteen, so that those of a copy that starts between two of them still look
# alike, even where something turns quickly; fewer in a long recording, down to one.
_MOST_A_SECOND = 16.0
_NUM_OF_A_LONG_VIDEO = 480


class ThumbnailTaker:
    """Hears the frames of one video in order and keeps the thumbnails of some.

    Args:
        duration_seconds: of the video; one of more than 30 s gets fewer thumbnails a second.
    """

    def __init__(self, duration_seconds: float) -> None:
        long = _NUM_OF_A_LONG_VIDEO / max(duration_seconds, 1e-3)
        self._num_a_second = min(max(long, 1.0), _MOST_A_SECOND)
        self.times_seconds: list[float] = []
        self._pictures: list[NDArray[np.uint8]] = []

    def is_due(self, seconds: float) -> bool:
        """Whether the frame that is shown at this time should be taken."""
        return seconds * self._num_a_second > len(self.times_seconds) - 1e-6

    def take(self, seconds: float, grey: NDArray[np.uint8]) -> None:
        """Keep a frame, given as a grey picture (64, 64) uint8; one that is kept already is not."""
        if self.times_seconds and seconds <= self.times_seconds[-1]:
            return
        cells = GREY_SIDE // THUMBNAIL_SIDE
        # (64, 64) → (16, 4, 16, 4), then the mean of each cell
        blocks = grey.reshape(THUMBNAIL_SIDE, cells, THUMBNAIL_SIDE, cells)
        self.times_seconds.append(seconds)
        self._pictures.append(np.rint(blocks.mean((1, 3))).astype(np.uint8))

    def pictures(self) -> NDArray[np.uint8]:
        """The thumbnails (N, 16, 16)."""
        return np.array(self._pictures, dtype=np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def small_picture(
    reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int, pixel_format: str
) -> NDArray[np.uint8]:
    """The frame as shown, scaled by the mean of the pixels that fall on each new one."""
    small = reformatter.reformat(
        frame, width, height, pixel_format, interpolation="AREA", threads=1
    )
    return np.ascontiguousarray(as_shown(small.to_ndarray(), frame))
