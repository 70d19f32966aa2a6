from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from filmstrip.dataset.index import open_index
from filmstrip.dataset.pack import pack
from filmstrip.features.choice import EngineChoice
from filmstrip.features.source import ClipReader
from filmstrip.inference.cost import count_macs, measure_cost
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.model.specs import (
    ClassifierSpec,
    ConvNetSpec,
    HeadSpec,
    MeanLinearHeadSpec,
    RecurrentHeadSpec,
    ScalerSpec,
)
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

SIZE, CHANNELS, CLASSES = 16, 4, 3
CONVOLUTION = SIZE * SIZE * CHANNELS * 3 * 9
LINEAR = MeanLinearHeadSpec()


def classifier(head: HeadSpec) -> VideoClassifier:
    spec = ClassifierSpec(
        class_names=tuple("abc"),
        sampling=UniformSampling(num_frames=5),
        framing=Framing(size=SIZE),
        backbone=ConvNetSpec(channels=(CHANNELS,)),
        scaler=ScalerSpec(),
        head=head,
    )
    return VideoClassifier(spec).eval()


def recurrent(cell: str, both_ways: bool) -> RecurrentHeadSpec:
    return RecurrentHeadSpec.model_validate(
        {"cell": cell, "hidden": (7,), "bidirectional": both_ways}
    )


@pytest.mark.parametrize("num_frames", [1, 5, 40])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("cell", "num_gates"), [("gru", 3), ("lstm", 4)])
def test_multiply_accumulates_are_those_of_the_formula(
    cell: str, num_gates: int, both_ways: bool, num_frames: int
) -> None:
    directions = 2 if both_ways else 1
    step = directions * num_gates * 7 * (CHANNELS + 7)
    head = num_frames * step + directions * 7 * CLASSES
    whole = num_frames * CONVOLUTION + head
    assert count_macs(classifier(recurrent(cell, both_ways)), num_frames) == (whole, head)


def test_a_linear_head_costs_the_same_whatever_the_length() -> None:
    for num_frames in (1, 9):
        macs, head_macs = count_macs(classifier(LINEAR), num_frames)
        assert head_macs == CHANNELS * CLASSES
        assert macs == num_frames * CONVOLUTION + head_macs


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling": "attention", "differences": (1, 2), "projection": 5, "dense": (6,)},
        {"pooling": "mean-max", "hidden": (7, 5), "bidirectional": True},
    ],
)
def test_two_short_clips_tell_the_count_of_a_long_one(settings: dict[str, object]) -> None:
    network = classifier(RecurrentHeadSpec.model_validate(settings))
    lengths = (11, 12)
    counted = [count_macs(network, length) for length in lengths]
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 11, 3, SIZE, SIZE, dtype=torch.uint8), torch.tensor([11]))
    assert counted[0][0] == counter.get_total_flops() // 2
    assert counted[1] > counted[0]


def test_the_cost_of_a_run_is_that_of_its_model(
    finished_run: RunFolder, videos: Path, cache: Path
) -> None:
    index = open_index(videos)
    choice = EngineChoice("eager-fp32", cache / "engines")
    cost = measure_cost(finished_run.path, index.rows[:3], 9.6, len(index), choice)
    network = load_classifier(finished_run.path)
    assert cost.num_parameters == sum(p.numel() for p in network.parameters())
    assert cost.num_head_parameters == sum(p.numel() for p in network.sequence.parameters())
    assert (cost.macs, cost.head_macs) == count_macs(network, 10)
    assert cost.frames_per_clip == 10
    weights = finished_run.model / "model.safetensors"
    assert cost.model_bytes == weights.stat().st_size
    assert cost.runtime == "eager-fp32"
    assert cost.frames_per_second > 0
    assert cost.latency_seconds is not None
    assert cost.head_latency_seconds is not None
    assert 0 < cost.head_latency_seconds < cost.latency_seconds
    assert (
        measure_cost(finished_run.model, index.rows[:1], 9.6, len(index), choice).macs == cost.macs
    )


def test_packed_clips_have_no_latency_from_a_file(
    finished_run: RunFolder,
    recipe: Callable[..., Recipe],
    videos: Path,
    tmp_path: Path,
    cache: Path,
) -> None:
    reader = ClipReader(recipe().sampling, recipe().framing)
    packed = tmp_path / "clips.npz"
    pack(open_index(videos), packed, lambda row: reader.read(row)[0], {})
    index = open_index(packed)
    choice = EngineChoice("eager-fp32", cache / "engines")
    cost = measure_cost(finished_run.path, index.rows[:2], 10, len(index), choice)
    assert cost.latency_seconds is cost.head_latency_seconds is None
    assert cost.frames_per_second > 0
