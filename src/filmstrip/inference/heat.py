"""A map of contributions painted onto a frame: orange speaks for a class, blue against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filmstrip.video.picture import Picture
from filmstrip.video.transforms import Framing

FOR_CLASS, AGAINST_CLASS = (230, 120, 0), (0, 114, 178)

# The strongest places hide this much of the picture.
_STRONGEST = 0.7


def spread(
    heat: NDArray[np.float64], framing: Framing, height: int, width: int
) -> NDArray[np.float64]:
    """A map of the square that the model saw, laid over the frame that the square was made of.

    Args:
        heat: (h, w) over the square.
        framing: how the square was made.
        height: of the frame.
        width: of the frame.

    Returns:
        (height, width), 0 where the model saw nothing of the frame.
    """
    if framing.fit == "stretch":
        return _resize(heat, height, width)
    if framing.fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        whole = np.zeros((height, width))
        whole[top : top + side, left : left + side] = _resize(heat, side, side)
        return whole
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return _resize(heat, side, side)[top : top + height, left : left + width]


def paint(frame: Picture, heat: NDArray[np.float64]) -> Picture:
    """A frame (H, W, 3) uint8 under a map (H, W) of values in [-1, 1], likewise uint8."""
    strength = (_STRONGEST * np.abs(heat).clip(max=1))[..., None]
    colour = np.where(heat[..., None] > 0, FOR_CLASS, AGAINST_CLASS)
    return np.asarray((frame * (1 - strength) + colour * strength).round(), dtype=np.uint8)


def _resize(heat: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    picture = Image.fromarray(heat.astype(np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)
