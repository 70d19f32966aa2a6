from __future__ import annotations

import numpy as np
import pytest
import torch

from filmstrip.errors import EngineError
from filmstrip.features.runtimes import EAGER, Runtime, find_runtime, runtimes, start
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import TimmBackboneSpec

CPU = torch.device("cpu")
SPEC = TimmBackboneSpec(name="tf_efficientnet_lite0", stage=2, grid=2, weights="none")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return build_backbone(SPEC, input_size=64).eval()


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    return torch.from_numpy(noise)


@pytest.mark.parametrize("runtime", runtimes(CPU), ids=lambda runtime: runtime.name)
def test_every_runtime_of_this_machine_gives_the_features_of_eager_float32(
    runtime: Runtime, backbone: Backbone, frames: torch.Tensor
) -> None:
    expected = start(EAGER, backbone, CPU, frames)(frames)
    features = start(runtime, backbone, CPU, frames)(frames)
    assert features.dtype == torch.float32
    assert features.shape == (4, backbone.num_features)
    if runtime.precision == "fp32":
        torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)
    assert torch.cosine_similarity(features, expected, dim=1).min() > 0.995


def test_features_of_one_pass_outlive_the_next(backbone: Backbone, frames: torch.Tensor) -> None:
    for runtime in runtimes(CPU):
        if runtime.precision != "fp32" or runtime.kind == "compiled":
            continue
        run = start(runtime, backbone, CPU, frames)
        first = run(frames)
        kept = first.clone()
        run(255 - frames)
        assert torch.equal(first, kept), runtime.name


def test_the_backbone_is_left_as_it_was(backbone: Backbone, frames: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    for precision in ("bf16", "fp16"):
        start(Runtime("eager", precision), backbone, CPU, frames)(frames)
    for name, tensor in backbone.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_eager_float32_leads_and_names_are_unique() -> None:
    names = [runtime.name for runtime in runtimes(CPU)]
    assert names[0] == "eager-fp32"
    assert len(names) == len(set(names))


def test_an_unknown_runtime_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(EngineError, match=r"--engine eager-fp23: not on this machine") as refusal:
        find_runtime("eager-fp23", CPU)
    assert "eager-fp32" in refusal.value.remedy
    assert "filmstrip[engines]" in refusal.value.expected


def test_a_runtime_that_wants_no_full_batches_takes_any_number_of_frames(
    backbone: Backbone, frames: torch.Tensor
) -> None:
    expected = start(EAGER, backbone, CPU, frames)(frames)
    for runtime in runtimes(CPU):
        if not runtime.is_for_answers:
            continue
        for first in (1, 4):
            run = start(runtime, backbone, CPU, frames[:first])
            for number in (1, 2, 3, 4):
                torch.testing.assert_close(
                    run(frames[:number]), expected[:number], rtol=1e-3, atol=1e-3
                )
