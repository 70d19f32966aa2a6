"""What every model promises of its export: the same answers without Filmstrip."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from filmstrip.inference.exporting.check import TOLERANCE
from filmstrip.inference.exporting.formats import Format, opened, write
from filmstrip.inference.exporting.graphs import clip_graph, step_graph, why_no_step
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import (
    ClassifierSpec,
    ConvNetSpec,
    HeadSpec,
    MeanLinearHeadSpec,
    RecurrentHeadSpec,
    ScalerSpec,
)
from filmstrip.recipes.catalogue import RECIPE_NAMES, load_recipe
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Framing

STREAMED: dict[str, HeadSpec] = {
    "gru-mean-max-lags": RecurrentHeadSpec(
        hidden=(5, 3), pooling="mean-max", differences=(1, 4), projection=4
    ),
    "lstm-attention": RecurrentHeadSpec(cell="lstm", hidden=(5,), pooling="attention", dense=(4,)),
    "mean-linear": MeanLinearHeadSpec(),
    "three-members": RecurrentHeadSpec(
        hidden=(4,),
        pooling="mean",
        differences=(1,),
        magnitudes=True,
        departures=True,
        input_norm=True,
        members=3,
    ),
}
OTHERS: dict[str, HeadSpec] = {
    "two-way-lstm-max-lag": RecurrentHeadSpec(
        cell="lstm",
        hidden=(5, 3),
        bidirectional=True,
        pooling="max",
        differences=(2,),
        departures=True,
    ),
    "two-way-gru-last": RecurrentHeadSpec(hidden=(5,), bidirectional=True),
}


def _classifier(head: HeadSpec, num_crops: int = 1) -> VideoClassifier:
    torch.manual_seed(0)
    spec = ClassifierSpec(
        class_names=("a", "b", "c"),
        sampling=RateSampling(),
        framing=Framing(size=16),
        backbone=ConvNetSpec(channels=(4, 6)),
        scaler=ScalerSpec(kind="layernorm"),
        head=head,
        views=("plain", "flip"),
        num_temporal_crops=num_crops,
        temperature=0.3,
    )
    return VideoClassifier(spec).eval()


def _clips(size: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    frames = torch.randint(0, 256, (3, 7, size, size, 3), dtype=torch.uint8)
    return frames, torch.tensor([7, 1, 4])


def _assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


@torch.no_grad()
def _check_clips(classifier: VideoClassifier, tmp_path: Path, file_format: Format = "onnx") -> None:
    graph = clip_graph(classifier)
    path = tmp_path / ("clip.onnx" if file_format == "onnx" else "clip.pt2")
    write(graph, classifier.spec, file_format, path)
    run = opened(path)
    frames, lengths = _clips(classifier.spec.framing.size)
    expected = graph.network(frames, lengths)
    for found, wanted in zip(run([frames, lengths]), expected, strict=True):
        _assert_close(found, wanted)
    for clip, length, probs in zip(frames, lengths, expected[1], strict=True):
        _assert_close(run([clip[None, :length], length[None]])[1][0], probs)


@torch.no_grad()
def _check_steps(classifier: VideoClassifier, tmp_path: Path, file_format: Format = "onnx") -> None:
    graph = step_graph(classifier)
    path = tmp_path / ("step.onnx" if file_format == "onnx" else "step.pt2")
    write(graph, classifier.spec, file_format, path)
    run = opened(path)
    frames, _ = _clips(classifier.spec.framing.size)
    state = graph.network.start(len(frames))
    begins_anew = torch.tensor([0, 3, 0])  # the second video begins again at its fourth frame
    for number in range(frames.shape[1]):
        is_first = (begins_anew == number) | torch.tensor(number == 0)
        _, probs, *state = run([frames[:, number], is_first, *state])
        for place, clip in enumerate(frames):
            begun = int(begins_anew[place]) if number >= begins_anew[place] else 0
            so_far = clip[None, begun : number + 1]
            wanted = clip_graph(classifier).network(so_far, torch.tensor([so_far.shape[1]]))[1]
            _assert_close(probs[place], wanted[0])


ONNX = [(name, "onnx") for name in STREAMED | OTHERS]
TORCH = [(name, "torch-export") for name in ("gru-mean-max-lags", "two-way-lstm-max-lag")]


@pytest.mark.parametrize(("name", "file_format"), ONNX + TORCH)
def test_the_clip_graph_answers_as_the_classifier(
    name: str, file_format: Format, tmp_path: Path
) -> None:
    _check_clips(_classifier((STREAMED | OTHERS)[name]), tmp_path, file_format)


@pytest.mark.parametrize(
    ("name", "file_format"), [each for each in ONNX + TORCH if each[0] in STREAMED]
)
def test_the_step_graph_answers_as_the_classifier_after_each_frame(
    name: str, file_format: Format, tmp_path: Path
) -> None:
    _check_steps(_classifier(STREAMED[name]), tmp_path, file_format)


def test_a_model_that_answers_by_temporal_crops_is_exported_with_them(tmp_path: Path) -> None:
    classifier = _classifier(OTHERS["two-way-gru-last"], num_crops=3)
    _check_clips(classifier, tmp_path)
    assert why_no_step(_classifier(STREAMED["mean-linear"], num_crops=3).spec) is not None


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_reads_both_ways_has_no_step_graph_and_says_why(name: str) -> None:
    assert "bidirectional" in (why_no_step(_classifier(OTHERS[name]).spec) or "")


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_every_recipe_can_be_exported(name: str, tmp_path: Path) -> None:
    overrides = ["framing.size=64", "backbone.weights=none"]
    if load_recipe(name).sampling.kind == "auto":  # there are no clips to choose a rate from
        overrides.insert(0, "sampling.kind=rate")
    if load_recipe(name).backbone.kind != "timm":
        overrides.pop()
    recipe = load_recipe(name, overrides)
    torch.manual_seed(0)
    parts = ("sampling", "framing", "backbone", "scaler", "head", "views", "num_temporal_crops")
    spec = ClassifierSpec(class_names=("a", "b"), **{part: getattr(recipe, part) for part in parts})
    classifier = VideoClassifier(spec).eval()
    _check_clips(classifier, tmp_path)
    if why_no_step(spec) is None:
        _check_steps(classifier, tmp_path)
