"""Measures a stream: each frame pushed, against running a window again at each frame.

    python benchmarks/streaming.py [NUM_FRAMES]

The model is the default recipe's, whose weights do not matter here. Both ways are measured in turn
in one process, in processor time, so that its neighbours do not count; the table that is printed
stands in docs/streaming.md.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import mean

import numpy as np
from rich.console import Console

from filmstrip.inference.predict import Predictor
from filmstrip.inference.stream import Stream
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.recipes.catalogue import load_recipe

NUM_FRAMES = 10_000
NUM_WINDOWS = 60
WINDOW = 24
BLOCK = 1000


def build() -> Predictor:
    recipe = load_recipe("lite-gru", [])
    spec = ClassifierSpec(
        class_names=tuple(f"class {number}" for number in range(10)),
        sampling=recipe.sampling,
        framing=recipe.framing,
        backbone=recipe.backbone,
        scaler=recipe.scaler,
        head=recipe.head,
    )
    return Predictor(VideoClassifier(spec).eval())


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def push(stream: Stream, frames: np.ndarray, first: int, number: int, rate: float) -> float:
    """Processor seconds for each of so many frames, all of which are sampled."""
    start = time.process_time()
    for place in range(first, first + number):
        stream.push(frames[place % len(frames)], place / rate)
    return (time.process_time() - start) / number


def rerun(predictor: Predictor, frames: np.ndarray, rate: float) -> float:
    """Processor seconds for each frame if the last 24 are run again each time."""
    start = time.process_time()
    for place in range(NUM_WINDOWS):
        predictor.predict_frames(frames[place : place + WINDOW], rate)
    return (time.process_time() - start) / NUM_WINDOWS


def main() -> None:
    num_frames = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_FRAMES
    predictor = build()
    rate = predictor.spec.sampling.frames_per_second
    frames = np.random.default_rng(0).integers(
        0, 256, (NUM_WINDOWS + WINDOW, 240, 320, 3), np.uint8
    )
    stream = predictor.stream()
    blocks: list[float] = []
    megabytes: list[float] = []
    windows: list[float] = []
    for first in range(0, num_frames, BLOCK):
        blocks.append(push(stream, frames, first, BLOCK, rate))
        megabytes.append(resident_megabytes())
        if first in (0, num_frames - BLOCK):
            windows.append(rerun(predictor, frames, rate))
    output = Console(highlight=False)
    output.print("| | |\n|---|---|", soft_wrap=True)
    for name, value in (
        ("Pushing a frame", f"{1000 * mean(blocks):.1f} ms"),
        (f"Running the last {WINDOW} frames again", f"{1000 * mean(windows):.1f} ms"),
        ("Ratio", f"{mean(windows) / mean(blocks):.1f}"),
        (f"Frames {BLOCK} to {2 * BLOCK}", f"{1000 * blocks[1]:.2f} ms a frame"),
        (f"The last {BLOCK} of {num_frames}", f"{1000 * blocks[-1]:.2f} ms a frame"),
        ("Memory after the second thousand", f"{megabytes[1]:.0f} MB"),
        ("Memory at the end", f"{megabytes[-1]:.0f} MB"),
    ):
        output.print(f"| {name} | {value} |", soft_wrap=True)


if __name__ == "__main__":
    main()
