from __future__ import annotations

import re

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from filmstrip.errors import RecipeError
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, ResNet50Spec, TimmBackboneSpec
from filmstrip.model.timm_trunk import pretrained_config

CONVNET = ConvNetSpec(channels=(4, 6))


def timm_spec(name: str, **settings: object) -> TimmBackboneSpec:
    return TimmBackboneSpec(name=name, weights="none", **settings)


def refusal(spec: BackboneSpec, input_size: int) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        build_backbone(spec, input_size)
    return caught.value


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("grid", range(1, 8))
@torch.no_grad()
def test_features_are_the_mean_of_each_cell_of_the_grid(grid: int) -> None:
    backbone = build_backbone(ConvNetSpec(channels=(4, 6), grid=grid), 8 * grid).eval()
    frames = torch.randn(3, 3, 8 * grid, 8 * grid)
    maps = backbone.trunk(frames)  # (3, 6, 2 · grid, 2 · grid)
    features = backbone(frames)
    assert features.shape == (3, backbone.num_features) == (3, 6 * grid * grid)
    cells = maps.reshape(3, 6, grid, 2, grid, 2).mean(dim=(3, 5))
    torch.testing.assert_close(features, cells.flatten(1), rtol=1e-5, atol=1e-6)


def test_frames_are_normalised_channel_by_channel() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    backbone = Backbone(nn.Conv2d(3, 4, 1), 4, 1, mean, std, 8, trainable=0)
    normalised = backbone.normalise(torch.from_numpy(frames))
    column = (3, 1, 1)
    expected = (frames / 255 - np.reshape(mean, column)) / np.reshape(std, column)
    np.testing.assert_allclose(normalised.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "made_for"),
    [("resnet18", 224), ("inception_v3", 299), ("tf_efficientnet_lite0", 224)],
)
def test_mean_std_and_size_are_those_that_timm_states(name: str, made_for: int) -> None:
    backbone = build_backbone(timm_spec(name, stage=0), 96)
    stated = timm.get_pretrained_cfg(name)
    assert (backbone.mean, backbone.std) == (stated.mean, stated.std)
    assert backbone.input_size == made_for


def test_a_network_that_is_built_for_one_size_is_built_for_that_of_the_frames() -> None:
    backbone = build_backbone(timm_spec("vit_tiny_patch16_224", stage=1), 96)
    assert backbone.input_size == 96
    assert backbone(torch.randn(1, 3, 96, 96)).shape == (1, 192)


@pytest.mark.parametrize(
    ("spec", "num_units", "last_unit"),
    [
        (ConvNetSpec(channels=(4, 6, 8), trainable=1), 3, "2."),
        (ConvNetSpec(channels=(4,), trainable=1), 1, "0."),
        (ResNet50Spec(trainable=1), 2 + 16, "layer4.2."),
        (timm_spec("vgg16", trainable=1), 13, "model.features.28."),
        (timm_spec("resnet18", trainable=1), 2 + 8, "model.layer4.1."),
        (timm_spec("tf_efficientnet_lite0", trainable=1), 2 + 16, "model.blocks.6.0."),
        (timm_spec("vit_tiny_patch16_224", trainable=1), 1 + 12, "model.blocks.11."),
    ],
)
def test_a_unit_is_a_layer_or_a_block_as_its_paper_draws_it(
    spec: BackboneSpec, num_units: int, last_unit: str
) -> None:
    backbone = build_backbone(spec, 64)
    assert len(backbone.units()) == num_units
    assert learning(backbone.trunk) == {
        name for name, _ in backbone.trunk.named_parameters() if name.startswith(last_unit)
    }


@pytest.mark.parametrize("trainable", [2, 5, 99])
def test_as_many_units_learn_as_are_asked_for_and_are_there(trainable: int) -> None:
    backbone = build_backbone(ConvNetSpec(channels=(4, 6, 8), trainable=trainable), 16)
    first_learning = max(3 - trainable, 0)
    assert learning(backbone.trunk) == {
        name for name, _ in backbone.trunk.named_parameters() if int(name[0]) >= first_learning
    }
    assert not backbone.is_frozen


@pytest.mark.parametrize(("trainable", "in_training"), [(0, ""), (1, "2"), (2, "12"), (-1, "012")])
def test_only_units_that_learn_go_into_training(trainable: int, in_training: str) -> None:
    backbone = build_backbone(ConvNetSpec(channels=(4, 6, 8), trainable=trainable), 16).train()
    assert backbone.training
    norms = {n[0]: m for n, m in backbone.trunk.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert "".join(name for name, norm in norms.items() if norm.training) == in_training
    backbone.eval()
    assert not any(module.training for module in backbone.modules())


@pytest.mark.parametrize("size", [64, 224])
def test_a_new_backbone_is_in_training_but_for_units_that_do_not_learn(size: int) -> None:
    frozen = build_backbone(timm_spec("resnet18", stage=0), size)
    learning = build_backbone(timm_spec("resnet18", stage=0, trainable=-1), size)
    assert frozen.training
    assert not any(module.training for module in frozen.trunk.modules())
    assert learning.training
    assert all(module.training for module in learning.trunk.modules())


def test_an_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    error = refusal(timm_spec("resnet_50"), 64)
    assert "backbone.name=resnet_50" in error.given
    assert "'resnet50'" in error.remedy


def test_weights_that_timm_does_not_have_of_a_backbone_are_refused_with_the_nearest_name() -> None:
    error = refusal(timm_spec("resnet50.a1_in2k"), 64)
    assert "backbone.name=resnet50.a1_in2k" in error.given
    assert "'resnet50.a1_in1k'" in error.remedy


@pytest.mark.parametrize("stage", [5, -6])
def test_a_stage_that_is_not_there_is_refused_with_those_that_are(stage: int) -> None:
    error = refusal(timm_spec("resnet18", stage=stage), 64)
    assert error.given == f"backbone.stage={stage}: resnet18 has 5 stages"
    assert error.expected == "a stage from 0 to 4, or -1 for the last"


@pytest.mark.parametrize("name", ["inception_v3", "convnext_atto", "vit_tiny_patch16_224"])
def test_frames_too_small_for_a_network_are_refused_with_the_size_that_it_was_made_for(
    name: str,
) -> None:
    error = refusal(timm_spec(name), 8)
    assert f"framing.size=8: {name} cannot see frames of this size" in error.given
    made_for = timm.get_pretrained_cfg(name).input_size[1]
    assert error.remedy == f"use --set framing.size={made_for}."


def test_a_network_whose_maps_timm_cannot_give_is_refused() -> None:
    assert "timm gives no feature maps of it" in refusal(timm_spec("hardcorenas_a"), 224).given


def test_frames_too_small_for_the_convnet_are_refused_with_the_smallest_size() -> None:
    assert build_backbone(CONVNET, 4)(torch.randn(2, 3, 4, 4)).shape == (2, 6)
    assert "at least 4 pixels" in refusal(CONVNET, 3).expected


@torch.no_grad()
def test_maps_come_channels_first_from_a_network_that_has_them_last() -> None:
    backbone = build_backbone(timm_spec("swin_tiny_patch4_window7_224", stage=0, grid=2), 64).eval()
    frames = torch.randn(2, 3, 64, 64)
    maps: Tensor = backbone.trunk(frames)[0]
    assert maps.shape == (2, 96, 16, 16)
    cell = maps[:, :, :8, 8:].mean(dim=(2, 3))  # top right
    torch.testing.assert_close(backbone(frames).view(2, 96, 2, 2)[:, :, 0, 1], cell)


@pytest.mark.parametrize(
    ("typed", "family"),
    [
        ("swin_tiny", "swin_tiny_"),
        ("mobilenetv4", "mobilenetv4_"),
        ("ResNet-50", "resnet50"),
        ("inceptionv3", "inception_v3"),
        ("efficientnet-b0", "efficientnet_b0"),
        ("convnext", "convnext"),
        ("resnet50_imagenet", "resnet50"),
    ],
)
def test_an_unknown_backbone_suggests_its_own_family(typed: str, family: str) -> None:
    with pytest.raises(RecipeError) as caught:
        pretrained_config(typed)
    suggested = re.findall(r"'([^']+)'", caught.value.remedy)
    assert 1 <= len(suggested) <= 4
    assert all(name.startswith(family) for name in suggested)
    assert timm.is_model_pretrained(suggested[0])
