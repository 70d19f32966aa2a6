"""ResNet-50, written from its paper, with torchvision's parameter names.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), table 1 and figure 5.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

StridePlace = Literal["conv1", "conv2"]


class Bottleneck(nn.Module):
    """1×1 reduce, 3×3, 1×1 expand by four, and a shortcut around them.

    Args:
        num_in: channels of the input.
        width: channels of the 3×3 convolution; the output has four times as many.
        stride: by which height and width shrink.
        stride_on: which convolution carries the stride.
    """

    expansion = 4

    def __init__(self, num_in: int, width: int, stride: int, stride_on: StridePlace) -> None:
        super().__init__()
        num_out = width * self.expansion
        stride1, stride2 = (stride, 1) if stride_on == "conv1" else (1, stride)
        self.conv1 = nn.Conv2d(num_in, width, 1, stride=stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, num_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(num_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or num_in != num_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride=stride, bias=False), nn.BatchNorm2d(num_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_in, H, W) to (N, 4 · width, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        return F.relu(out + self.downsample(x), inplace=True)


class ResNet50(nn.Module):
    """ResNet-50 up to its last feature map.

    Args:
        stride_on: ``conv2`` puts the stride of a down-sampling block on the 3×3 convolution, as
            torchvision does; ``conv1`` on the first 1×1, as the paper and Caffe's weights do.
    """

    num_channels = 2048

    def __init__(self, stride_on: StridePlace = "conv2") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 3, 1, stride_on)
        self.layer2 = _stage(256, 128, 4, 2, stride_on)
        self.layer3 = _stage(512, 256, 6, 2, stride_on)
        self.layer4 = _stage(1024, 512, 3, 2, stride_on)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """Feature maps (N, 2048, H / 32, W / 32) of normalised ``frames`` (N, 3, H, W)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(frames)), inplace=True))
        x = self.layer2(self.layer1(x))
        maps: Tensor = self.layer4(self.layer3(x))
        return maps


def _stage(
    num_in: int, width: int, num_blocks: int, stride: int, stride_on: StridePlace
) -> nn.Sequential:
    first = Bottleneck(num_in, width, stride, stride_on)
    num_out = width * Bottleneck.expansion
    rest = (Bottleneck(num_out, width, 1, stride_on) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *rest)
