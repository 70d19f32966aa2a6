from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from filmstrip.model.backbone import build_backbone
from filmstrip.model.resnet import ResNet50
from filmstrip.model.specs import ResNet50Spec
from filmstrip.model.weights import load_backbone_weights

CAFFE_WEIGHTS = "resnet50_caffe_stride.safetensors"


@pytest.fixture(scope="module")
def published(randomise_norms: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """torchvision's ResNet-50, untrained, with BatchNorm statistics as if trained."""
    torch.manual_seed(0)
    return randomise_norms(torchvision.models.resnet50(weights=None)).eval()


def features_before_fc(network: nn.Module, frames: Tensor) -> Tensor:
    return nn.Sequential(*list(network.children())[:-1])(frames).flatten(1)


def move_stride_to_conv1(network: nn.Module) -> None:
    """Where Caffe has it: see the README beside the shared weights."""
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


def without_fc(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")
    }


def test_its_parameters_bear_the_names_and_shapes_of_torchvision(published: nn.Module) -> None:
    expected = {name: tensor.shape for name, tensor in without_fc(published).items()}
    assert {name: tensor.shape for name, tensor in ResNet50().state_dict().items()} == expected


def test_it_has_as_many_parameters_as_the_published_network() -> None:
    # 25,557,032 with the 1000-class layer of 2,049,000.
    assert sum(parameter.numel() for parameter in ResNet50().parameters()) == 23_508_032


@torch.no_grad()
def test_with_the_same_weights_it_gives_torchvisions_features(published: nn.Module) -> None:
    network = ResNet50().eval()
    network.load_state_dict(without_fc(published))
    frames = torch.randn(2, 3, 96, 128)
    maps = network(frames)
    assert maps.shape == (2, 2048, 3, 4)
    expected = features_before_fc(published, frames)
    torch.testing.assert_close(maps.mean(dim=(2, 3)), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_stride_can_stand_on_conv1_as_in_the_paper(published: nn.Module) -> None:
    network = ResNet50("conv1").eval()
    network.load_state_dict(without_fc(published))
    moved = torchvision.models.resnet50(weights=None).eval()
    moved.load_state_dict(published.state_dict())
    move_stride_to_conv1(moved)
    frames = torch.randn(1, 3, 96, 96)
    features = network(frames).mean(dim=(2, 3))
    expected = features_before_fc(moved, frames)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(features, features_before_fc(published, frames), rtol=1e-2)


@torch.no_grad()
def test_caffes_imagenet_weights_load_and_give_its_features(
    shared_weights: Callable[[str], Path],
) -> None:
    file = shared_weights(CAFFE_WEIGHTS)
    spec = ResNet50Spec(stride_on="conv1")
    backbone = build_backbone(spec, 96).eval()
    assert load_backbone_weights(backbone, spec, file) == f"file {CAFFE_WEIGHTS}"
    converted = torchvision.models.resnet50(weights=None).eval()
    converted.load_state_dict(load_file(file))
    move_stride_to_conv1(converted)
    frames = torch.randn(1, 3, 96, 96)
    expected = features_before_fc(converted, frames)
    torch.testing.assert_close(backbone(frames), expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_its_first_convolution() -> None:
    network = ResNet50()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.conv1.weight.grad.abs().sum() > 0
