"""Measures a stream: each frame pushed, against running a window again at each frame.

    python benchmarks/streaming.py [NUM_FRAMES] [ENGINE]

The model is the default recipe's, whose weights do not matter here. Everything is measured in one
process, on one thread, in processor time; of frames that are pushed the median counts. A machine
that others use does not stay as fast as it was, so in the second and the last thousand a stream
that has just begun is pushed in turns with the old one, frame by frame: its time is the measure of
the machine, and the old stream's change is told after it is divided by the new one's. The table
that is printed stands in docs/streaming.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console

from filmstrip.cache import Cache
from filmstrip.features.choice import EngineChoice
from filmstrip.inference.predict import Predictor
from filmstrip.inference.stream import Stream
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.recipes.catalogue import load_recipe

NUM_FRAMES = 10_000
NUM_WINDOWS = 60
WINDOW = 24
BLOCK = 1000


def default_classifier() -> VideoClassifier:
    recipe = load_recipe("lite-gru", ["sampling=rate"])
    spec = ClassifierSpec(
        class_names=tuple(f"class {number}" for number in range(10)),
        sampling=recipe.fixed_sampling,
        framing=recipe.framing,
        backbone=recipe.backbone,
        scaler=recipe.scaler,
        head=recipe.head,
    )
    torch.manual_seed(0)  # the graph that is kept fits the next time
    return VideoClassifier(spec).eval()


def build(engine: str = "eager-fp32") -> Predictor:
    choice = EngineChoice(engine, Cache.at(None).engines, is_for_answers=True)
    return Predictor(default_classifier(), choice)


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def push(
    streams: Sequence[Stream], frames: np.ndarray, first: int, rate: float
) -> list[list[float]]:
    """Processor seconds for each of a block's frames, all of which are sampled, by stream."""
    spent: list[list[float]] = [[] for _ in streams]
    for place in range(first, first + BLOCK):
        for seconds, stream in zip(spent, streams, strict=True):
            start = time.process_time()
            stream.push(frames[place % len(frames)], place / rate)
            seconds.append(time.process_time() - start)
    return spent


def rerun(predictor: Predictor, frames: np.ndarray, rate: float) -> float:
    """Processor seconds for each frame if the last 24 are run again each time."""
    start = time.process_time()
    for place in range(NUM_WINDOWS):
        predictor.predict_frames(frames[place : place + WINDOW], rate)
    return (time.process_time() - start) / NUM_WINDOWS


def main() -> None:
    num_frames = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_FRAMES
    engine = sys.argv[2] if len(sys.argv) > 2 else "onnxruntime-fp32"
    torch.set_num_threads(1)
    predictor = build(engine)
    rate = predictor.spec.sampling.frames_per_second
    frames = np.random.default_rng(0).integers(
        0, 256, (NUM_WINDOWS + WINDOW, 240, 320, 3), np.uint8
    )
    stream = predictor.stream()
    push([stream], frames, 0, rate)
    blocks: dict[int, tuple[float, float]] = {}
    megabytes: list[float] = []
    windows = [rerun(predictor, frames, rate)]
    for first in range(BLOCK, num_frames, BLOCK):
        is_compared = first in (BLOCK, num_frames - BLOCK)
        fresh = [predictor.stream()] if is_compared else []
        old, *news = push([stream, *fresh], frames, first, rate)
        megabytes.append(resident_megabytes())
        if is_compared:
            blocks[first] = median(old), median(news[0])
    windows.append(rerun(predictor, frames, rate))
    (second, second_fresh), (last, last_fresh) = blocks[BLOCK], blocks[num_frames - BLOCK]
    pushing = (second + last) / 2
    again = sum(windows) / 2
    output = Console(highlight=False)
    output.print(f"| {engine} | |\n|---|---|", soft_wrap=True)
    for name, value in (
        ("Pushing a frame", f"{1000 * pushing:.1f} ms"),
        (f"Running the last {WINDOW} frames again", f"{1000 * again:.1f} ms"),
        ("Ratio", f"{again / pushing:.1f}"),
        (f"Frames {BLOCK} to {2 * BLOCK}", f"{1000 * second:.2f} ms a frame"),
        ("A stream that has just begun, in turns", f"{1000 * second_fresh:.2f} ms a frame"),
        (f"The last {BLOCK} of {num_frames}", f"{1000 * last:.2f} ms a frame"),
        ("A stream that has just begun, in turns", f"{1000 * last_fresh:.2f} ms a frame"),
        ("Last thousand to second thousand", f"{last / second:.3f}"),
        ("The same, the machine's change taken out", f"{_change(blocks, num_frames):.3f}"),
        ("Memory after the second thousand", f"{megabytes[0]:.1f} MB"),
        ("Memory at the end", f"{megabytes[-1]:.1f} MB"),
    ):
        output.print(f"| {name} | {value} |", soft_wrap=True)


def _change(blocks: dict[int, tuple[float, float]], num_frames: int) -> float:
    """How much slower the old stream has become, a new one being as slow as it always was."""
    (second, second_fresh), (last, last_fresh) = blocks[BLOCK], blocks[num_frames - BLOCK]
    return (last / last_fresh) / (second / second_fresh)


if __name__ == "__main__":
    main()
