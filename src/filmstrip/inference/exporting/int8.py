"""Eight-bit graphs: smaller, quicker on many processors, and a little less right.

The backbone is quantised whole, each channel of its weights by itself; what reads the sequence
stays in float32. Activation functions belong to it: a range that is taken before a ReLU6 wastes
most of its 256 steps (measured: 0.66 instead of 0.99 of the demo's clips right). The ranges are
those on clips of the user's training part, and the cost is measured on the validation part.

Source of the method: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import DatasetError
from filmstrip.features.runtimes import silence
from filmstrip.inference.exporting.clips import read_all, spread
from filmstrip.inference.exporting.formats import opened
from filmstrip.inference.exporting.graphs import Graph
from filmstrip.inference.exporting.networks import StepNetwork
from filmstrip.model.specs import ClassifierSpec

NUM_CALIBRATION_CLIPS = 40

Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Int8Cost:
    """What eight bits change on the validation part.

    Attributes:
        num_calibration_clips: training clips that gave the ranges.
        num_clips: validation clips that were asked about.
        float32_accuracy: of the graph that it was made from.
        int8_accuracy: of the eight-bit one.
        num_other_labels: clips whose most probable class differs between the two.
        mean_probability: the mean over all clips of the largest difference of a probability.
    """

    num_calibration_clips: int
    num_clips: int
    float32_accuracy: float
    int8_accuracy: float
    num_other_labels: int
    mean_probability: float


def quantise(graph: Graph, source: Path, target: Path, clips: Sequence[NDArray[np.uint8]]) -> None:
    """Write the eight-bit twin of the ONNX file ``source``.

    Args:
        graph: ``clip`` or ``step``.
        source: its file, in float32.
        target: the file to write.
        clips: frames (T, S, S, 3) uint8, which give the ranges.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    nodes = [node.name for node in model.graph.node if _is_of_backbone(node)]
    with silence():
        quantize_static(
            model,
            target,
            _Feeds(_feeds(graph, source, clips)),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )


def measure_cost(
    float32: Path,
    int8: Path,
    index: VideoIndex,
    spec: ClassifierSpec,
    num_calibration_clips: int,
    advance: Callable[[str], None],
) -> Int8Cost:
    """Ask both clip graphs about the validation part of ``index``."""
    runs = [opened(path) for path in (float32, int8)]
    labels, answers = [], []
    for row, frames in read_all(index.subset("val").rows, spec):
        inputs = [torch.from_numpy(frames)[None], torch.tensor([len(frames)])]
        answers.append([run(inputs)[1][0].numpy() for run in runs])
        labels.append(spec.class_names.index(row.label))
        advance(row.path.name)
    if not answers:
        raise DatasetError(
            "--int8: not one clip of the run's validation part can be read",
            "validation clips, on which the cost in accuracy is measured",
            "put the run's videos back where they were, or export without --int8.",
        )
    probs = np.array(answers)  # (N, 2, K)
    right = probs.argmax(axis=2) == np.array(labels)[:, None]
    return Int8Cost(
        num_calibration_clips,
        len(labels),
        float(right[:, 0].mean()),
        float(right[:, 1].mean()),
        int((probs[:, 0].argmax(axis=1) != probs[:, 1].argmax(axis=1)).sum()),
        float(np.abs(probs[:, 0] - probs[:, 1]).max(axis=1).mean()),
    )


def calibration_clips(index: VideoIndex, spec: ClassifierSpec) -> list[NDArray[np.uint8]]:
    """Frames (T, S, S, 3) of some training clips.

    Raises:
        DatasetError: not one can be read.
    """
    rows = spread(index.subset("train").rows, NUM_CALIBRATION_CLIPS)
    clips = [frames for _, frames in read_all(rows, spec)]
    if not clips:
        raise DatasetError(
            "--int8: not one clip of the run's training part can be read",
            "training clips, which tell the ranges that eight bits must cover",
            "put the run's videos back where they were, or export without --int8.",
        )
    return clips


def _is_of_backbone(node: Any) -> bool:
    scopes = (prop.value for prop in node.metadata_props if prop.key == "namespace")
    return any("classifier.backbone" in scope for scope in scopes)


def _feeds(graph: Graph, source: Path, clips: Iterable[NDArray[np.uint8]]) -> Iterator[Feed]:
    """What each clip gives the graph: itself, or each frame with the state that comes with it."""
    if not isinstance(graph.network, StepNetwork):
        for frames in clips:
            yield {"frames": frames[None], "lengths": np.array([len(frames)])}
        return
    run = opened(source)
    for frames in clips:
        state = graph.network.start(1)
        for number, frame in enumerate(torch.from_numpy(frames)):
            inputs = [frame[None], torch.tensor([number == 0]), *state]
            yield dict(zip(graph.inputs, (each.numpy() for each in inputs), strict=True))
            state = list(run(inputs)[2:])


class _Feeds:
    """Feeds as ONNX Runtime's calibration asks for them: one by one, then None."""

    def __init__(self, feeds: Iterator[Feed]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feed | None:
        """The next one."""
        return next(self._feeds, None)
