"""Measures what live files cost: the share of one core that one takes, and four together.

    python benchmarks/live_sources.py [SECONDS] [ENGINE …]

Files of 25 frames a second, 320×240, H.264, are streamed as fast as they can be by the default
recipe's model, whose weights do not matter here, in one process that has one core for itself, all
threads of decoders with it. Processor time counts, over the length of the video: 0.25 is a quarter
of the core for a stream that keeps up with real time. One file and four are measured in turns, with
each engine, and the median of the turns is told. The table that is printed stands in
docs/streaming.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from filmstrip.dataset.synthetic import MOTIONS, render_clip
from filmstrip.inference.predict import Predictor
from filmstrip.inference.watch import Watch
from filmstrip.video.address import file_address
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo
from streaming import build

FRAMES_PER_SECOND = 25
CLIP_SECONDS = 7
SIZE = (320, 240)
SECONDS = 28
NUM_TOGETHER = 4
NUM_TURNS = 5
ENGINES = ("eager-fp32", "onnxruntime-fp32")


def record(path: Path, seconds: int, seed: int) -> Path:
    """A recording of the demo's motions, one after the other."""
    rng = np.random.default_rng(seed)

    def frames() -> list[np.ndarray]:
        clips = [
            render_clip(list(MOTIONS)[number % len(MOTIONS)], rng, CLIP_SECONDS * 25, SIZE[1])
            for number in range(seconds // CLIP_SECONDS)
        ]
        return [np.asarray(Image.fromarray(frame).resize(SIZE)) for clip in clips for frame in clip]

    write_video(path, frames(), FRAMES_PER_SECOND, codec="libx264")
    return path


def cores(predictor: Predictor, paths: Sequence[Path], seconds: int) -> float:
    """Processor seconds for each second of video."""
    videos = [LiveVideo(file_address(str(path))) for path in paths]
    watch = Watch(predictor, videos, drops_late=[False] * len(videos))
    start = time.process_time()
    num_answers = sum(1 for _ in watch.sightings())
    spent = time.process_time() - start
    assert num_answers >= len(paths) * seconds * FRAMES_PER_SECOND * 0.9
    assert watch.num_dropped == [0] * len(paths)
    return spent / seconds


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    predictors = {engine: build(engine) for engine in sys.argv[2:] or ENGINES}
    spent: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            record(Path(folder) / f"{seed}.mp4", seconds, seed) for seed in range(NUM_TOGETHER)
        ]
        for predictor in predictors.values():
            cores(predictor, paths[:1], seconds)  # the first pass of a network is slower
        for _ in range(NUM_TURNS):
            for engine, predictor in predictors.items():
                for number in (1, NUM_TOGETHER):
                    one = cores(predictor, paths[:number], seconds)
                    spent.setdefault((engine, number), []).append(one)
    output = Console(highlight=False)
    output.print(f"| engine | one file | {NUM_TOGETHER} files | ratio |", soft_wrap=True)
    output.print("|---|---|---|---|", soft_wrap=True)
    for engine in predictors:
        alone, together = spent[engine, 1], spent[engine, NUM_TOGETHER]
        ratio = median(many / one for one, many in zip(alone, together, strict=True))
        output.print(
            f"| {engine} | {median(alone):.3f} of a core | {median(together):.3f} of a core | "
            f"{ratio:.2f} |",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
