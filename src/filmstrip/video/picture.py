"""A decoded frame becomes the RGB picture that a viewer would be shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""One RGB picture (H, W, 3) uint8."""


class RgbConverter:
    """Turns decoded frames into RGB pictures as shown, in the stream's own colour space."""

    def __init__(self) -> None:
        """Keeps FFmpeg's converter from frame to frame, which is quicker than a new one each."""
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Picture:
        """The picture (H, W, 3) uint8; alpha is dropped, deeper colour is rounded to 8 bits."""
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return np.ascontiguousarray(as_shown(rgb, frame))


def as_shown(picture: NDArray[Any], frame: VideoFrame) -> NDArray[Any]:
    """Turn and mirror ``picture`` (H, W, …) of ``frame`` as its display matrix says."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # FFmpeg's row-major matrix maps a stored point: x' = a·x + c·y, y' = b·x + d·y.
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5]
    if abs(a) < abs(b):
        picture = picture.swapaxes(0, 1)
        a, d = c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
