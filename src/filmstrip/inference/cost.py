"""What a trained classifier costs on the machine at hand: size, arithmetic, speed, latency.

Multiply-accumulates are counted, so they are the same everywhere; seconds are measured.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from filmstrip.dataset.rows import VideoRow
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.inference.predict import Predictor
from filmstrip.model.classifier import WEIGHTS_FILE, VideoClassifier, load_classifier


@dataclass(frozen=True, slots=True)
class Cost:
    """What a classifier costs.

    Attributes:
        num_parameters: of the whole, backbone included.
        num_head_parameters: of scaler and head.
        macs: multiply-accumulates of convolutions, recurrent and dense layers for a clip of
            ``frames_per_clip`` frames.
        head_macs: those of scaler and head.
        frames_per_clip: how many frames of a clip the model sees, rounded mean over the data.
        model_bytes: size of the file of weights.
        frames_per_second: decoded, framed and passed through the backbone, as an extraction does.
        runtime: in which the backbone ran for that.
        latency_seconds: from a file to its answer as ``predict`` gives it, one clip at a time in
            float32, median; None for packed clips, which are no files.
        head_latency_seconds: of that, scaler and head.
        num_clips_timed: on how many clips the times were measured.
    """

    num_parameters: int
    num_head_parameters: int
    macs: int
    head_macs: int
    frames_per_clip: int
    model_bytes: int
    frames_per_second: float
    runtime: str
    latency_seconds: float | None
    head_latency_seconds: float | None
    num_clips_timed: int


def measure_cost(
    model: Path,
    rows: Sequence[VideoRow],
    frames_per_clip: float,
    num_clips: int,
    choice: EngineChoice,
) -> Cost:
    """Count and time.

    Args:
        model: a model folder, or the run folder around it.
        rows: clips to measure the times on, one or more; they must be readable.
        frames_per_clip: how many frames of a clip the model sees, on average.
        num_clips: of the whole data: how many there are decides which runtime pays.
        choice: how the runtime is picked for ``frames_per_second``.

    Raises:
        FilmstripError: the model or a clip cannot be read.
    """
    classifier = load_classifier(model)
    num_frames = max(1, round(frames_per_clip))
    macs, head_macs = count_macs(classifier, num_frames)
    folder = model / "model" if (model / "model" / WEIGHTS_FILE).is_file() else model
    latency, head_latency = _latencies(classifier, rows)
    speed, runtime = _frames_per_second(classifier, rows, num_frames * num_clips, choice)
    return Cost(
        num_parameters=_num_parameters(classifier),
        num_head_parameters=_num_parameters(classifier.sequence),
        macs=macs,
        head_macs=head_macs,
        frames_per_clip=num_frames,
        model_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        frames_per_second=speed,
        runtime=runtime,
        latency_seconds=latency,
        head_latency_seconds=head_latency,
        num_clips_timed=len(rows),
    )


def count_macs(classifier: VideoClassifier, num_frames: int) -> tuple[int, int]:
    """Multiply-accumulates of a clip of so many frames: of the whole, and of scaler and head.

    A backbone sees each frame by itself and a head takes one step for each, so two clips, of one
    frame and of two, tell the count of any length.
    """
    (one, head_one), (two, head_two) = _count(classifier, 1), _count(classifier, 2)
    further = num_frames - 1
    return one + (two - one) * further, head_one + (head_two - head_one) * further


def _count(classifier: VideoClassifier, num_frames: int) -> tuple[int, int]:
    size = classifier.spec.framing.size
    clips = torch.zeros(1, num_frames, 3, size, size, dtype=torch.uint8)
    # oneDNN computes an LSTM in one operation that the counter does not know.
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), counter:
            classifier(clips, torch.tensor([num_frames]))
    counts = counter.get_flop_counts()
    head = counts.get(f"{type(classifier).__name__}.sequence", {})
    return counter.get_total_flops() // 2, sum(head.values()) // 2


def _num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _frames_per_second(
    classifier: VideoClassifier, rows: Sequence[VideoRow], num_frames: int, choice: EngineChoice
) -> tuple[float, str]:
    """The speed of an extraction from files once it is under way, and its runtime."""
    reader = ClipReader(classifier.spec.sampling, classifier.spec.framing)
    engine = Engine(classifier.backbone, choice=choice)
    frames, _ = reader.read(rows[0])
    batch = np.concatenate([frames] * math.ceil(engine.batch_size / len(frames)))
    for _ in engine.embed_clips([(0, batch)], lambda: num_frames):
        pass  # the runtime is picked, started and warm
    with TemporaryDirectory() as folder:
        extractor = Extractor(FeatureStore(Path(folder)), reader, engine)
        start = time.perf_counter()
        extraction = extractor.run(rows)
        seconds = time.perf_counter() - start
    return extraction.num_frames / seconds, engine.runtime.name


def _latencies(
    classifier: VideoClassifier, rows: Sequence[VideoRow]
) -> tuple[float | None, float | None]:
    """Seconds from a file to its answer, and of these in scaler and head; medians."""
    if any(row.packed_index is not None for row in rows):
        return None, None
    predictor = Predictor(classifier)
    predictor.predict(rows[0].path)  # the first pass allocates and compiles
    whole, head = [], []
    for row in rows:
        with _stopwatch(classifier.sequence) as seconds_in_head:
            start = time.perf_counter()
            predictor.predict(row.path)
            whole.append(time.perf_counter() - start)
        head.append(seconds_in_head())
    return median(whole), median(head)


@contextmanager
def _stopwatch(module: nn.Module) -> Iterator[Callable[[], float]]:
    """Yields what tells how long the calls of ``module`` took together."""
    starts: list[float] = []
    seconds: list[float] = []
    hooks = (
        module.register_forward_pre_hook(lambda *_: starts.append(time.perf_counter())),
        module.register_forward_hook(lambda *_: seconds.append(time.perf_counter() - starts[-1])),
    )
    try:
        yield lambda: sum(seconds)
    finally:
        for hook in hooks:
            hook.remove()
