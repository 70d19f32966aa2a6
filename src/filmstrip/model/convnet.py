"""The convolutional encoder of the ``cnn-lstm`` recipe, trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


class ConvBlock(nn.Sequential):
    """Conv2d (3×3), BatchNorm2d, ReLU and max-pooling: halves the picture.

    Args:
        num_in: channels of the input.
        num_out: channels of the output.
    """

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(
            nn.Conv2d(num_in, num_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )


class ConvNet(nn.Sequential):
    """Blocks one after the other: ``frames`` (N, 3, H, W) to maps (N, C, H / 2^B, W / 2^B).

    Args:
        channels: output channels of each of the B blocks; C is the last.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(*(ConvBlock(*widths) for widths in pairwise([3, *channels])))
