"""Rendered motions in ten classes, told apart by nothing but the order of their frames.

A textured shape moves before a drifting background. The classes are five pairs, and a clip of a
pair's second class is a clip of its first class played backwards. All else is drawn alike for
both, so a model that is blind to the order of frames can name the pair but not the class: its
accuracy cannot exceed one half, and what a recurrent network gains above that it owes to time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "anticlockwise"),
    ("growing", "shrinking"),
    ("brightening", "darkening"),
)
MOTIONS: dict[str, str] = {
    name: reverse for pair in _PAIRS for name, reverse in (pair, pair[::-1])
}
"""The names of the motions, each with the motion that it becomes when played backwards."""

_SHAPES = ("disc", "square", "triangle", "pentagon", "cross")
_TEXTURES = ("stripes", "checks", "dots", "gradient")


def render_clip(
    motion: str, rng: np.random.Generator, num_frames: int = 32, size: int = 160
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Draw a random clip of one motion.

    With the same ``rng`` state, a motion and its reverse give the same frames in opposite order.

    Args:
        motion: a name in ``MOTIONS``.
        rng: the source of shape, texture, colours, place, speed and background.
        num_frames: frames of the clip, at least 2.
        size: width and height of a frame in pixels, at least 16.

    Returns:
        frames (num_frames, size, size, 3) uint8 RGB.

    Raises:
        DatasetError: an unknown motion, or too few frames or pixels to show one.
    """
    _check(motion, num_frames, size)
    reversed_motion = motion not in {first for first, _ in _PAIRS}
    scene = _Scene(MOTIONS[motion] if reversed_motion else motion, rng, num_frames, size)
    frames = np.stack([scene.draw(index) for index in range(num_frames)])
    return frames[::-1].copy() if reversed_motion else frames
