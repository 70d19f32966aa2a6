from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.errors import EngineError
from filmstrip.features import quantised
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.model.backbone import build_backbone
from filmstrip.model.specs import TimmBackboneSpec

SPEC = TimmBackboneSpec(name="tf_efficientnet_lite0", stage=2, grid=2, weights="none")
Clips = list[tuple[int, np.ndarray]]


@pytest.fixture
def clips() -> Clips:
    rng = np.random.default_rng(0)
    return [(i, rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)) for i in range(4)]


def engine_of(folder: Path, name: str = "openvino-int8", heard: list[str] | None = None) -> Engine:
    torch.manual_seed(0)
    note = (heard if heard is not None else []).append
    choice = EngineChoice(name, folder / "engines", note)
    return Engine(build_backbone(SPEC, input_size=64), batch_size=4, choice=choice)


def features_of(engine: Engine, clips: Clips) -> torch.Tensor:
    sample = np.concatenate([frames for _, frames in clips])
    return torch.cat([features for _, features in engine.embed_clips(clips, sample=lambda: sample)])


def test_integers_give_nearly_the_features_of_float32_and_say_how_nearly(
    tmp_path: Path, clips: Clips
) -> None:
    heard: list[str] = []
    features = features_of(engine_of(tmp_path, heard=heard), clips)
    expected = features_of(engine_of(tmp_path, "eager-fp32"), clips)
    assert not torch.equal(features, expected)
    assert torch.cosine_similarity(features, expected, dim=1).min() > 0.99
    assert "openvino-int8; least cosine of its features to float32's: 0.99" in heard[0]


def test_another_day_s_features_come_from_the_same_calibrated_copy(
    tmp_path: Path, clips: Clips
) -> None:
    first = features_of(engine_of(tmp_path), clips)

    def asked_again() -> np.ndarray:
        raise AssertionError("calibrated anew")

    again = torch.cat([f for _, f in engine_of(tmp_path).embed_clips(clips, sample=asked_again)])
    assert torch.equal(first, again)


def test_features_that_turn_too_far_are_refused_with_the_cosine(
    tmp_path: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "LEAST_COSINE", 1.1)
    with pytest.raises(EngineError, match=r"openvino-int8: features turn too far .*cosine 0\.99"):
        features_of(engine_of(tmp_path), clips)


def test_integer_features_are_taken_by_those_who_ask_for_them_alone(tmp_path: Path) -> None:
    assert engine_of(tmp_path).accepts("int8")
    assert not engine_of(tmp_path).accepts("fp32")
    assert not engine_of(tmp_path, "auto").accepts("int8")
    assert engine_of(tmp_path, "auto").accepts("bf16")
