"""What is done to frames before a backbone sees them: framing, and augmentation for training.

``Framing`` is stored with the model and makes any frame the square that the model reads.
``Augmentation`` is drawn once per clip and applied alike to all its frames, so that motion stays
motion. torch is imported when a frame arrives, so that settings can be read without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Generator, Tensor


View = Literal["plain", "flip"]
"""How a clip is shown to a backbone: as it is, or mirrored left to right."""


def show(frames: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) in that view."""
    return np.ascontiguousarray(frames[:, :, ::-1]) if view == "flip" else frames


class Framing(BaseModel):
    """Makes a frame of any shape a square: bilinear, antialiased, always the same way.

    Attributes:
        size: pixels on each side of the square.
        fit: ``stretch`` squeezes the whole frame into the square, ``crop`` takes the centred
            square of the short side, ``pad`` keeps the whole frame in shape between black bars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=1, le=2_048)
    fit: Literal["stretch", "crop", "pad"] = "stretch"

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame (H, W, 3) uint8 as a square (size, size, 3) uint8."""
        height, width = frame.shape[:2]
        if self.fit == "stretch":
            return _resize(frame, self.size, self.size)
        if self.fit == "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return _resize(frame[top : top + side, left : left + side], self.size, self.size)
        scale = self.size / max(height, width)
        inner_height, inner_width = (max(round(side * scale), 1) for side in (height, width))
        top, left = (self.size - inner_height) // 2, (self.size - inner_width) // 2
        square = np.zeros((self.size, self.size, 3), dtype=np.uint8)
        square[top : top + inner_height, left : left + inner_width] = _resize(
            frame, inner_height, inner_width
        )
        return square


def _resize(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    import torch
    from torchvision.transforms.v2 import functional

    # (H, W, 3) → (1, 3, H, W): a view whose strides are channels-last, torchvision's fast path.
    writable = np.require(frame, requirements=["C", "W"])
    picture = torch.from_numpy(writable).permute(2, 0, 1).unsqueeze(0)
    resized = functional.resize(picture, [height, width], antialias=True)
    # (1, 3, height, width) → (height, width, 3)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


class Augmentation(BaseModel):
    """Random changes that leave a clip's label true; each is off by default.

    Attributes:
        flip: mirror half of the clips. Leave off where left and right mean something.
        crop_scale: smallest share of a frame's area that a random crop keeps; 1 keeps all.
        colour: how far brightness, contrast and saturation may stray from 1, each on its own.
        temporal_crop: smallest share of the frames that a random cut in time keeps; 1 keeps all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = False
    crop_scale: float = Field(default=1.0, gt=0, le=1)
    colour: float = Field(default=0.0, ge=0, le=1)
    temporal_crop: float = Field(default=1.0, gt=0, le=1)


def augment_clip(frames: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """One random change of a clip, the same for all its frames; the generator decides it wholly.

    Args:
        frames: a clip (T, 3, H, W), uint8 or float in [0, 1] (before normalisation).
        augmentation: what may change, and how far.
        generator: the source of chance, a CPU generator.

    Returns:
        A clip (T', 3, H, W) of the same type, T' ≤ T.
    """
    import torch
    from torchvision.transforms.v2 import functional

    frames = frames[temporal_crop(len(frames), augmentation.temporal_crop, generator)]
    # All are drawn whatever is on, so that one setting does not change what another draws.
    flip, area, top, left, brightness, contrast, saturation = torch.rand(
        7, generator=generator
    ).tolist()
    if augmentation.crop_scale < 1:
        height, width = frames.shape[-2:]
        share = (augmentation.crop_scale + area * (1 - augmentation.crop_scale)) ** 0.5
        kept_height, kept_width = max(round(height * share), 1), max(round(width * share), 1)
        frames = functional.resized_crop(
            frames,
            top=round(top * (height - kept_height)),
            left=round(left * (width - kept_width)),
            height=kept_height,
            width=kept_width,
            size=[height, width],
            antialias=True,
        )
    if augmentation.flip and flip < 0.5:
        frames = functional.horizontal_flip(frames)
    if augmentation.colour:
        frames = functional.adjust_brightness(frames, _factor(brightness, augmentation.colour))
        frames = functional.adjust_contrast(frames, _factor(contrast, augmentation.colour))
        frames = functional.adjust_saturation(frames, _factor(saturation, augmentation.colour))
    return frames


def temporal_crop(num_frames: int, smallest_share: float, generator: Generator) -> slice:
    """A random run of frames (or of their features) that keeps at least ``smallest_share``.

    Args:
        num_frames: how many there are, at least 1.
        smallest_share: the smallest share to keep, in (0, 1]; 1 keeps all.
        generator: the source of chance, a CPU generator.

    Returns:
        A slice of at least one frame.
    """
    import torch

    length, start = torch.rand(2, generator=generator).tolist()
    shortest = max(math.ceil(smallest_share * num_frames - 1e-9), 1)
    num_kept = shortest + int(length * (num_frames - shortest + 1))
    first = int(start * (num_frames - num_kept + 1))
    return slice(first, first + num_kept)


def _factor(drawn: float, strength: float) -> float:
    return 1 + strength * (2 * drawn - 1)
