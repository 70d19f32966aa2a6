from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filmstrip.model.convnet import ConvNet


def test_each_block_halves_the_picture_and_has_its_channels() -> None:
    network = ConvNet([4, 8, 16])
    maps = torch.randn(2, 3, 50, 64)
    for block, channels, height, width in zip(
        network, (4, 8, 16), (25, 12, 6), (32, 16, 8), strict=True
    ):
        maps = block(maps)
        assert maps.shape == (2, channels, height, width)


def test_it_is_convolution_then_batch_norm_then_relu_then_max_pooling() -> None:
    network = ConvNet([4, 6]).eval()
    expected = frames = torch.randn(2, 3, 16, 16)
    for convolution, norm, _, _ in network:
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.bias)
        expected = F.conv2d(expected, convolution.weight, padding=1)
        column = (1, -1, 1, 1)
        expected = (expected - norm.running_mean.view(column)) / torch.sqrt(
            norm.running_var.view(column) + norm.eps
        ) * norm.weight.view(column) + norm.bias.view(column)
        expected = expected.clamp(min=0).unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
    torch.testing.assert_close(network(frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [[4], [4, 8]])
def test_every_parameter_learns(channels: list[int]) -> None:
    network = ConvNet(channels)
    network(torch.randn(4, 3, 16, 16)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
