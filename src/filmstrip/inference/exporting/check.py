"""Whether exported graphs answer as the classifier does in PyTorch, and how long either takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import EngineError
from filmstrip.inference.exporting.clips import ComparedFraming, read_all
from filmstrip.inference.exporting.formats import Run
from filmstrip.inference.exporting.graphs import Graph
from filmstrip.inference.exporting.networks import StepNetwork
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.video.probe import probe
from filmstrip.video.sampling import sample_indices

TOLERANCE = 1e-4
"""The most by which a probability may differ."""

_CLIPS_IN_BATCH = 3
_WARM_UPS, _REPEATS = 2, 9
_LATENCY_SIDES = (360, 640)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near one way of asking is to PyTorch's answers.

    Attributes:
        way: ``clip``, one at a time; ``clip, padded batch``; ``step``, the answer after all frames.
        num_clips: how many were asked about.
        largest_probability: the largest difference of a probability.
        largest_logit: the largest difference of a logit.
        num_other_labels: clips whose most probable class differs.
    """

    way: str
    num_clips: int
    largest_probability: float
    largest_logit: float
    num_other_labels: int

    @property
    def is_close(self) -> bool:
        """Whether every probability is within ``TOLERANCE``; a NaN is not."""
        return self.largest_probability <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether the graphs look at the same frames and make the same squares of them.

    Attributes:
        num_frames: frames that were sampled.
        num_other_frames: those that the sample graph would not have chosen.
        num_bytes: bytes of their squares.
        num_other_bytes: those that the frame graph made otherwise.
    """

    num_frames: int = 0
    num_other_frames: int = 0
    num_bytes: int = 0
    num_other_bytes: int = 0

    def __add__(self, other: Seen) -> Seen:
        """Both together."""
        return Seen(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Latency:
    """The median time of one call, with one clip, one frame of one video, or one picture.

    Attributes:
        graph: which.
        shape: of its first input.
        torch_milliseconds: of the network in PyTorch, eagerly.
        graph_milliseconds: of the exported graph.
    """

    graph: str
    shape: tuple[int, ...]
    torch_milliseconds: float
    graph_milliseconds: float


@torch.no_grad()
def check_answers(
    classifier: VideoClassifier,
    graphs: Sequence[Graph],
    runs: dict[str, Run],
    rows: Sequence[VideoRow],
    advance: Callable[[str], None] = lambda _words: None,
) -> tuple[list[Agreement], Seen, list[Tensor]]:
    """Ask PyTorch and the graphs about real clips; the graphs see what their frame graph made.

    Returns:
        The agreement of each way of asking, that of the framing, and the clips (T, S, S, 3).

    Raises:
        EngineError: not one clip can be read.
    """
    framing = ComparedFraming.of(classifier.spec.framing, runs["frame"])
    network = next(graph.network for graph in graphs if graph.name == "clip")
    clips: list[Tensor] = []
    expected, found = [], []
    stepped: list[tuple[Tensor, Tensor]] = []
    seen = Seen()
    for row, frames in read_all(rows, classifier.spec, framing):
        by_torch, by_graph = frames[..., :3], torch.from_numpy(frames[..., 3:].copy())
        num_other_bytes = int((by_torch != by_graph.numpy()).sum())
        num_other = _num_other_frames(classifier.spec, runs["sample"], row, len(frames))
        seen += Seen(len(frames), num_other, by_torch.size, num_other_bytes)
        length = torch.tensor([len(frames)])
        expected.append(network(torch.from_numpy(by_torch.copy())[None], length))
        found.append(runs["clip"]([by_graph[None], length]))
        if "step" in runs:
            step = next(graph.network for graph in graphs if graph.name == "step")
            stepped.append(_after_all_steps(step, runs["step"], by_graph))
        clips.append(by_graph)
        advance(row.path.name)
    if not clips:
        raise EngineError(
            "the check of the export: not one clip could be read",
            "some of the run's clips, or none at all (others are rendered then)",
            "put the run's videos back where they were, or move the run's model folder elsewhere "
            "and export that.",
        )
    agreements = [_agreement("clip", expected, found)]
    together = clips[:_CLIPS_IN_BATCH]
    lengths = torch.tensor([len(clip) for clip in together])
    batch = torch.nn.utils.rnn.pad_sequence(together, batch_first=True, padding_value=255)
    logits, probs = runs["clip"]([batch, lengths])
    in_batch = list(zip(logits[:, None], probs[:, None], strict=True))
    agreements.append(_agreement("clip, padded batch", expected[: len(together)], in_batch))
    if stepped:
        agreements.append(_agreement("step", expected, stepped))
    return agreements, seen, clips


@torch.no_grad()
def measure_latency(graph: Graph, run: Run, clip: Tensor) -> Latency:
    """The time of one call in PyTorch and of the graph, in turns, on a ``clip`` (T, S, S, 3)."""
    inputs: list[Tensor]
    if graph.name == "frame":
        rng = np.random.default_rng(0)
        pixels: NDArray[np.uint8] = rng.integers(0, 256, (*_LATENCY_SIDES, 3), dtype=np.uint8)
        inputs = [torch.from_numpy(pixels)]
    elif isinstance(graph.network, StepNetwork):
        inputs = [clip[:1], torch.tensor([True]), *graph.network.start(1)]
    else:
        inputs = [clip[None], torch.tensor([len(clip)])]
    times: dict[str, list[float]] = {"torch": [], "graph": []}
    for _ in range(_WARM_UPS + _REPEATS):
        for name, call in (
            ("torch", lambda: graph.network(*inputs)),
            ("graph", lambda: run(inputs)),
        ):
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    by_torch, by_graph = (1000 * statistics.median(t[_WARM_UPS:]) for t in times.values())
    return Latency(graph.name, tuple(inputs[0].shape), round(by_torch, 3), round(by_graph, 3))


def _num_other_frames(spec: ClassifierSpec, run: Run, row: VideoRow, num_frames: int) -> int:
    """How many frames of a file the sample graph chooses otherwise; packed clips need none."""
    if row.packed_index is not None:
        return 0
    info = probe(row.path)
    times, duration = info.frame_times_seconds, info.duration_seconds
    expected = sample_indices(spec.sampling, times, duration)
    (found,) = run([torch.from_numpy(times), torch.tensor(duration, dtype=torch.float64)])
    if len(found) != len(expected):
        return num_frames
    return int((found.numpy() != expected).sum())


def _after_all_steps(network: torch.nn.Module, run: Run, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and probabilities (1, K) after the last of ``frames`` (T, S, S, 3)."""
    if not isinstance(network, StepNetwork):
        raise TypeError(f"{type(network).__name__} has no state to begin with")
    state = network.start(1)
    for number, frame in enumerate(frames):
        logits, probs, *state = run([frame[None], torch.tensor([number == 0]), *state])
    return logits, probs


def _agreement(
    way: str,
    expected: Sequence[tuple[Tensor, ...]],
    found: Sequence[tuple[Tensor, ...]],
) -> Agreement:
    """Of logits and probabilities (1, K) of each clip."""
    pairs = list(zip(expected, found, strict=True))
    return Agreement(
        way,
        len(pairs),
        max(float((one[1] - other[1]).abs().max()) for one, other in pairs),
        max(float((one[0] - other[0]).abs().max()) for one, other in pairs),
        sum(int(one[0].argmax() != other[0].argmax()) for one, other in pairs),
    )
