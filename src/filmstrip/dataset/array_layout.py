"""Which side of an array of clips is which: frames, height, width, channels.

Scripts write channels last (TensorFlow, OpenCV), channels second (PyTorch's pictures) or channels
first (PyTorch's video networks), or leave the channels of grey clips out. A side of 1 or 3 may be
the channels; a picture has at least 8 pixels a side. Where that leaves two readings, the file has
to say which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS_LAST = "THWC"
LAYOUTS = {
    "THWC": "(clips, frames, height, width, channels)",
    "TCHW": "(clips, frames, channels, height, width)",
    "CTHW": "(clips, channels, frames, height, width)",
    "THW": "(clips, frames, height, width), grey",
}
"""The layouts of one clip, and what the sides of the whole array are called."""

_SMALLEST_SIDE = 8


class UnknownLayoutError(ValueError):
    """No layout, or more than one, fits the shapes of all clips."""


def find_layout(shapes: Iterable[tuple[int, ...]]) -> str:
    """Return the one layout that all clips of these shapes can have.

    Args:
        shapes: the shape of each clip, without the side that counts the clips.

    Returns:
        One of ``LAYOUTS``.

    Raises:
        UnknownLayoutError: there is none, or more than one; the message says which.
    """
    distinct = sorted(set(shapes))
    fitting = [name for name in LAYOUTS if all(_fits(name, shape) for shape in distinct)]
    if len(fitting) > 1:
        large = [name for name in fitting if all(_is_large(name, shape) for shape in distinct)]
        fitting = large or fitting[:1]
    if fitting[1:] and all(shape[:2] == (1, 1) for shape in distinct):
        return fitting[0]  # one frame of one channel is the same in both readings
    if fitting == ["THW"]:
        _check_not_pictures(distinct)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        readings = " or ".join(LAYOUTS[name] for name in fitting)
        raise UnknownLayoutError(f"which may be {readings}")
    raise UnknownLayoutError("which are no clips of 1 or 3 channels")


def channels_last(clip: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return a clip of ``layout`` as (T, H, W, C), a view."""
    if layout == "THW":
        return clip[..., np.newaxis]
    return clip.transpose([layout.index(side) for side in CHANNELS_LAST])


def num_frames(shape: tuple[int, ...], layout: str) -> int:
    """Return the number of frames of a clip of this shape."""
    return shape[layout.index("T")]


def _fits(layout: str, shape: tuple[int, ...]) -> bool:
    if len(shape) != len(layout) or 0 in shape:
        return False
    return "C" not in layout or shape[layout.index("C")] in (1, 3)


def _is_large(layout: str, shape: tuple[int, ...]) -> bool:
    sides = (shape[layout.index("H")], shape[layout.index("W")])
    return min(sides) >= _SMALLEST_SIDE


def _check_not_pictures(shapes: list[tuple[int, ...]]) -> None:
    """Refuse pictures with channels, which look like very small or very short grey clips."""
    if all(shape[-1] in (1, 3) for shape in shapes):
        raise UnknownLayoutError("which are pictures, not clips")
    if all(shape[0] == 3 for shape in shapes):
        raise UnknownLayoutError(
            "which may be grey clips of three frames or pictures of three channels"
        )
