"""The convolutional encoder of the ``cnn-lstm`` recipe, trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class ConvNet(nn.Sequential):
    """Blocks of Conv2d (3×3), BatchNorm2d, ReLU and max-pooling, each halving the picture.

    Args:
        channels: output channels of each block.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        widths = [3, *channels]
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv2d(num_in, num_out, kernel_size=3, padding=1, bias=False),
                    nn.BatchNorm2d(num_out),
                    nn.ReLU(inplace=True),
                    nn.MaxPool2d(2),
                )
                for num_in, num_out in pairwise(widths)
            )
        )
        self.num_channels = channels[-1]

    def forward(self, frames: Tensor) -> Tensor:
        """Feature maps (N, channels[-1], H / 2^blocks, W / 2^blocks) of ``frames`` (N, 3, H, W)."""
        for block in self:
            frames = block(frames)
        return frames
