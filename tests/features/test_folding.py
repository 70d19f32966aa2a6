from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from filmstrip.features.folding import folded
from filmstrip.model.backbone import build_backbone, last_maps
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, ResNet50Spec, TimmBackboneSpec

SPECS = {
    "lite0": TimmBackboneSpec(name="tf_efficientnet_lite0", stage=3, weights="none"),
    "resnet18": TimmBackboneSpec(name="resnet18", weights="none"),
    "xception": TimmBackboneSpec(name="legacy_xception", weights="none"),
    "inception": TimmBackboneSpec(name="inception_v3", weights="none"),
    "resnet50": ResNet50Spec(),
    "convnet": ConvNetSpec(),
}


def seen_much(trunk: nn.Module) -> nn.Module:
    """With statistics and factors that are not those of a fresh network."""
    torch.manual_seed(0)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return trunk.eval()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_folded_network_gives_the_same_maps_without_its_normalisations(
    spec: BackboneSpec,
) -> None:
    trunk = seen_much(build_backbone(spec, 96).trunk)
    weights = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    frames = torch.randn(3, 3, 96, 96)
    network = folded(trunk, frames[:1])
    with torch.no_grad():
        maps, expected = last_maps(network(frames)), last_maps(trunk(frames))
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    used = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(used) < sum(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_a_network_without_batch_normalisation_stays_itself() -> None:
    trunk = build_backbone(TimmBackboneSpec(name="vgg11", weights="none"), 32).trunk.eval()
    assert folded(trunk, torch.randn(1, 3, 32, 32)) is trunk


class Forked(nn.Module):
    """Its convolution's output is read beside the normalisation, so folding would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, frames: Tensor) -> Tensor:
        made = self.convolution(frames)
        return made + self.norm(made)


class Shared(nn.Module):
    """One convolution before two normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, frames: Tensor) -> Tensor:
        return self.second(self.convolution(self.first(self.convolution(frames))))


@pytest.mark.parametrize("network", [Forked, Shared])
def test_what_cannot_be_folded_stays_as_it_is(network: type[nn.Module]) -> None:
    trunk = seen_much(network())
    assert folded(trunk, torch.randn(1, 3, 16, 16)) is trunk
