from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from filmstrip.errors import RunError, WeightsError
from filmstrip.model.classifier import VideoClassifier, load_classifier, probabilities
from filmstrip.model.specs import (
    ClassifierSpec,
    ConvNetSpec,
    RecurrentHeadSpec,
    ScalerSpec,
    TimmBackboneSpec,
)
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Framing

SPEC = ClassifierSpec(
    class_names=("jump", "run"),
    sampling=RateSampling(),
    framing=Framing(size=16),
    backbone=ConvNetSpec(channels=(4,)),
    scaler=ScalerSpec(),
    head=RecurrentHeadSpec(hidden=(5,)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    VideoClassifier(SPEC).save(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, place: str, value: Any) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    *parents, last = place.split(".")
    level = config
    for parent in parents:
        level = level[parent]
    level[last] = value
    file.write_text(json.dumps(config))


ABSURD: list[tuple[str, Any]] = [
    ("head.hidden", [10**9]),
    ("head.hidden", [8] * 1000),
    ("head.members", 10**6),
    ("head.dense", [10**9]),
    ("head.differences", [10**9]),
    ("head.projection", 10**9),
    ("backbone.channels", [10**9]),
    ("backbone.grid", 1000),
    ("class_names", ["run", "run"]),
    ("class_names", ["run", ""]),
    ("class_names", ["run", " "]),
    ("class_names", []),
    ("class_names", ["run", "x" * 10_000]),
    ("sampling.max_frames", 10**9),
    ("sampling.frames_per_second", 1e300),
    ("sampling.frames_per_second", 1e-300),
    ("framing.size", 10**9),
    ("num_temporal_crops", 10**9),
    ("temperature", 1e-300),
    ("views", ["plain"] * 1000),
    ("scaler", {"kind": "pca", "num_components": 10**9}),
]


@pytest.mark.parametrize(("place", "value"), ABSURD)
def test_load_refuses_absurd_settings_by_name(place: str, value: Any, folder: Path) -> None:
    edit(folder, place, value)
    with pytest.raises(RunError) as caught:
        load_classifier(folder)
    assert place.split(".")[0] in caught.value.given
    assert caught.value.remedy


def test_load_refuses_clips_beyond_memory(folder: Path) -> None:
    edit(folder, "sampling.max_frames", 10_000)
    edit(folder, "framing.size", 2048)
    with pytest.raises(RunError, match="2 GiB a clip"):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("head.hidden", [65_536]),  # 51 GB of weights
        ("backbone", TimmBackboneSpec(name="vit_giant_patch14_224").model_dump()),
    ],
)
def test_load_compares_shapes_before_it_builds(
    place: str, value: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []
    build = VideoClassifier.__init__

    def watched(self: VideoClassifier, spec: ClassifierSpec) -> None:
        build(self, spec)
        devices.extend({parameter.device.type for parameter in self.parameters()})

    monkeypatch.setattr(VideoClassifier, "__init__", watched)
    edit(folder, place, value)
    with pytest.raises(WeightsError) as caught:
        load_classifier(folder)
    assert "does not fit its config.json" in caught.value.given
    assert devices == ["meta"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_load_names_the_tensor_with_an_absurd_value(value: float, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["sequence.head.classify.bias"][1] = value
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_classifier(folder)
    assert "'sequence.head.classify.bias' holds" in caught.value.given


def test_load_refuses_a_negative_variance(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("running_var"))
    tensors[name] -= 2
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match="variances are not negative"):
        load_classifier(folder)


def test_load_refuses_weights_of_another_type(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["sequence.head.classify.bias"] = torch.ones(2, dtype=torch.int8)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"classify\.bias has type I8"):
        load_classifier(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_probabilities_refuse_logits_that_are_no_numbers(value: float) -> None:
    with pytest.raises(WeightsError, match="not a number"):
        probabilities(torch.tensor([0.0, value]), temperature=1)
