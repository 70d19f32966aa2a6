from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.errors import EngineError
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.runtimes import EAGER, Runtime, runtimes, start
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import TimmBackboneSpec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

GPU = torch.device("cuda")
SPEC = TimmBackboneSpec(name="resnet18", stage=3, grid=2, weights="none")


def seeded() -> Backbone:
    torch.manual_seed(0)
    return build_backbone(SPEC, input_size=64).eval()


def frames_of(num_frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num_frames, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "runtime", runtimes(GPU) if torch.cuda.is_available() else [], ids=lambda runtime: runtime.name
)
def test_every_runtime_of_a_gpu_gives_the_features_of_the_processor(runtime: Runtime) -> None:
    frames = torch.from_numpy(frames_of(8))
    expected = start(EAGER, seeded(), torch.device("cpu"), frames)(frames)
    run = start(runtime, seeded().to(GPU), GPU, frames)
    features = run(frames)
    assert (features.device.type, features.dtype) == ("cpu", torch.float32)
    assert torch.cosine_similarity(features, expected, dim=1).min() > 0.999
    if runtime.precision == "fp32":
        torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)
    kept = features.clone()
    run(255 - frames)
    assert torch.equal(features, kept)


@pytest.mark.parametrize("name", ["eager-fp32", "graphed-bf16", "auto"])
def test_clips_of_any_length_get_their_own_features_back_in_order(
    name: str, tmp_path: Path
) -> None:
    engine = Engine(seeded(), GPU, batch_size=8, choice=EngineChoice(name, tmp_path))
    lengths = [3, 17, 1, 8, 30]
    clips = [(place, frames_of(length)) for place, length in enumerate(lengths)]
    plain = Engine(seeded(), torch.device("cpu"))
    embedded = list(engine.embed_clips(clips, lambda: 10**5))
    assert [place for place, _ in embedded] == list(range(len(lengths)))
    for (_, features), (_, frames) in zip(embedded, clips, strict=True):
        assert torch.cosine_similarity(features, plain.embed(frames), dim=1).min() > 0.999


def test_work_that_memory_does_not_hold_is_done_in_smaller_passes(tmp_path: Path) -> None:
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(400 * 2**20 / total)
    said: list[str] = []
    try:
        choice = EngineChoice("auto", tmp_path, said.append)
        torch.manual_seed(0)
        spec = TimmBackboneSpec(name="vgg16", weights="none")
        engine = Engine(build_backbone(spec, 224), GPU, batch_size=64, choice=choice)
        frames = np.random.default_rng(0).integers(0, 256, (70, 224, 224, 3), dtype=np.uint8)
        ((_, features),) = engine.embed_clips([("a", frames)], lambda: 10**5)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert features.shape == (70, 512)
    assert engine.batch_size < 64
    assert said[0].startswith("Out of memory: now in passes of ")


def test_a_gpu_without_room_for_one_frame_is_an_error_that_says_what_to_do() -> None:
    total = torch.cuda.get_device_properties(GPU).total_memory
    engine = Engine(seeded(), GPU, batch_size=8)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction((held + 1024) / total)
    try:
        with pytest.raises(EngineError, match="does not hold one frame"):
            engine.embed(np.zeros((8, 2048, 2048, 3), np.uint8))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
