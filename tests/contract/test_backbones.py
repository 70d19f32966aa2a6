"""What every backbone promises, whoever wrote it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from filmstrip.errors import RecipeError
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, ResNet50Spec, TimmBackboneSpec

SIZES = {
    "vgg16": 64,
    "resnet18": 64,
    "resnet50": 64,
    "legacy_xception": 64,
    "inception_v3": 96,
    "tf_efficientnet_lite0": 64,
    "mobilenetv3_small_100": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "swin_tiny_patch4_window7_224": 64,
    "ours: convnet": 32,
    "ours: resnet50": 64,
    "xception": 64,
}
"""Backbones, and the side in pixels of the small frames that they are shown."""

NUM_STAGES = {
    "resnet18": 5,
    "resnet50": 5,
    "legacy_xception": 5,
    "inception_v3": 5,
    "tf_efficientnet_lite0": 5,
    "mobilenetv3_small_100": 5,
    "convnext_atto": 4,
    "vit_tiny_patch16_224": 12,
    "swin_tiny_patch4_window7_224": 4,
}
NAMES = [name for name in SIZES if name != "xception"]


def spec_of(name: str, **settings: object) -> BackboneSpec:
    if name == "ours: convnet":
        return ConvNetSpec(channels=(4, 6, 8), **settings)
    if name == "ours: resnet50":
        return ResNet50Spec(**settings)
    return TimmBackboneSpec(name=name, weights="none", **settings)


def build(name: str, **settings: object) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(spec_of(name, **settings), SIZES[name])


def frames_for(name: str, number: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(number, 3, SIZES[name], SIZES[name])


def maps_of(backbone: Backbone, frames: Tensor) -> Tensor:
    maps = backbone.trunk(frames)
    return maps if isinstance(maps, Tensor) else maps[-1]


@pytest.fixture(scope="module", params=NAMES)
def frozen(request: pytest.FixtureRequest) -> tuple[str, Backbone]:
    """Each backbone in turn, with a grid of 2, not learning, in evaluation."""
    return request.param, build(request.param, grid=2, trainable=0).eval()


@torch.no_grad()
def test_it_tells_what_the_head_and_the_frames_need_and_keeps_to_it(
    frozen: tuple[str, Backbone],
) -> None:
    name, backbone = frozen
    assert len(backbone.mean) == len(backbone.std) == 3
    assert all(0 < value < 1 for value in (*backbone.mean, *backbone.std))
    assert backbone.input_size >= 1
    frames = frames_for(name, 2)
    features, maps = backbone(frames), maps_of(backbone, frames)
    assert features.shape == (2, backbone.num_features) == (2, maps.shape[1] * 4)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    for grid in range(1, 8):
        pool = Backbone(nn.Identity(), maps.shape[1], grid, (0,) * 3, (1,) * 3, 64, trainable=0)
        assert pool(maps).shape == (2, pool.num_features) == (2, maps.shape[1] * grid * grid)


@torch.no_grad()
def test_a_frame_has_the_same_features_in_whatever_company(frozen: tuple[str, Backbone]) -> None:
    name, backbone = frozen
    frames = frames_for(name, 3)
    together = backbone(frames)
    alone = backbone(frames[:1])
    other_company = backbone(torch.cat([100 * torch.ones_like(frames[:1]), frames[:1]]))[1:]
    scale = together.abs().max()
    torch.testing.assert_close(together[:1] / scale, alone / scale, rtol=0, atol=1e-5)
    torch.testing.assert_close(other_company / scale, alone / scale, rtol=0, atol=1e-5)
    assert not torch.allclose(together[0] / scale, together[1] / scale, rtol=0, atol=1e-4)


def test_a_copy_is_its_own_network(frozen: tuple[str, Backbone]) -> None:
    name, backbone = frozen
    twin = copy.deepcopy(backbone)
    frames = frames_for(name, 1)
    with torch.no_grad():
        before = twin(frames)
        assert torch.equal(before, backbone(frames))
        for parameter in twin.parameters():
            parameter.zero_()
        assert torch.equal(backbone(frames), before)
        assert not torch.equal(twin(frames), before)


def step(backbone: Backbone, frames: Tensor) -> None:
    """One step of training of the backbone and a head on it."""
    head = nn.Linear(backbone.num_features, 3)
    learning = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW([*head.parameters(), *learning], lr=1e-2, weight_decay=0.1)
    backbone.train()
    features = backbone(frames)
    nn.functional.cross_entropy(head(features), torch.arange(len(frames)) % 3).backward()
    optimizer.step()


def test_a_frozen_backbone_goes_through_training_bit_for_bit(frozen: tuple[str, Backbone]) -> None:
    name, backbone = frozen
    before = copy.deepcopy(backbone.state_dict())
    with torch.no_grad():
        answer = backbone(frames_for(name, 2))
        assert torch.equal(backbone.train()(frames_for(name, 2)), answer)
    step(backbone, frames_for(name, 2))
    after = backbone.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(module.training for module in backbone.trunk.modules())
    assert backbone.is_frozen
    backbone.eval()


@pytest.mark.parametrize("name", NAMES)
def test_just_the_last_units_learn_when_some_are_to(name: str) -> None:
    backbone = build(name, trainable=2)
    last = {id(p) for unit in backbone.units()[-2:] for p in unit.parameters()}
    parameters = dict(backbone.trunk.named_parameters())
    learning = {key for key, parameter in parameters.items() if parameter.requires_grad}
    assert learning == {key for key, parameter in parameters.items() if id(parameter) in last}
    assert 0 < len(learning) < len(parameters)
    before = copy.deepcopy(backbone.trunk.state_dict())
    step(backbone, frames_for(name, 3))
    after = backbone.trunk.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed & learning
    layers_that_learn = {key.rpartition(".")[0] for key in learning}
    assert {key.rpartition(".")[0] for key in changed} <= layers_that_learn


@pytest.mark.parametrize(
    "name", ["resnet18", "legacy_xception", "convnext_atto", "ours: convnet", "ours: resnet50"]
)
def test_all_of_it_learns_when_all_is_to(name: str) -> None:
    backbone = build(name, trainable=-1)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(module.training for module in backbone.train().modules())
    backbone(frames_for(name, 2)).square().sum().backward()
    reached = [key for key, p in backbone.named_parameters() if p.grad is not None]
    assert len(reached) == len(list(backbone.parameters()))


@pytest.mark.parametrize("name", NUM_STAGES)
def test_a_backbone_ends_at_the_stage_that_is_read(name: str) -> None:
    frames = frames_for(name, 2)
    num_parameters = []
    for stage in (1, NUM_STAGES[name] - 2):
        backbone = build(name, stage=stage, trainable=1)
        features = backbone(frames)
        channels = maps_of(backbone, frames).shape[1]
        assert features.shape == (2, backbone.num_features) == (2, channels)
        num_parameters.append(sum(parameter.numel() for parameter in backbone.parameters()))
        features.square().sum().backward()  # the last unit is one that the features come from
        assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)
    assert num_parameters == sorted(set(num_parameters))


@pytest.mark.parametrize(
    "name", ["legacy_xception", "tf_efficientnet_lite0", "convnext_atto", "vit_tiny_patch16_224"]
)
def test_a_stage_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    num_stages = NUM_STAGES[name]
    with pytest.raises(RecipeError) as caught:
        build(name, stage=num_stages)
    error = caught.value
    assert error.given == f"backbone.stage={num_stages}: {name} has {num_stages} stages"
    assert error.expected == f"a stage from 0 to {num_stages - 1}, or -1 for the last"
    assert "--set backbone.stage=N" in error.remedy


def test_an_old_name_builds_the_network_that_timm_renamed(
    recwarn: pytest.WarningsRecorder,
) -> None:
    old, new = build("xception"), build("legacy_xception")
    assert (old.mean, old.std, old.input_size) == (new.mean, new.std, new.input_size)
    new.trunk.load_state_dict(old.trunk.state_dict())
    frames = frames_for("xception", 1)
    assert torch.equal(old.eval()(frames), new.eval()(frames))
    assert not recwarn.list
