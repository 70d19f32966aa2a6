"""Are the motions of a gapless recording found by default? Needs a run of ``filmstrip demo``.

    python benchmarks/windows.py RUN [NUM_RECORDINGS]

Each recording shows six motions, two rendered clips of each in a row, and lasts 20 s. It is read
by ``filmstrip timeline`` and ``filmstrip stream`` as they are by default, and with the longest clip
that the model reads, which was the default before models knew their training clips. A motion is
found if its label is given for longer than any other while it lasts. Prints a table.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from filmstrip.dataset.synthetic import FRAMES_PER_SECOND, MOTIONS, render_clip
from filmstrip.inference.predict import Predictor, load
from filmstrip.inference.segments import Hysteresis, Segment, find_segments
from filmstrip.inference.window import default_window_seconds, longest_clip_seconds
from filmstrip.video.address import file_address
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo

NUM_MOTIONS, CLIPS_IN_A_ROW, FRAMES_PER_CLIP = 6, 2, 26
MOTION_SECONDS = CLIPS_IN_A_ROW * FRAMES_PER_CLIP / FRAMES_PER_SECOND
FIRST_MOTIONS = ("left", "right", "up", "clockwise", "growing", "darkening")


def render_recording(path: Path, seed: int) -> list[str]:
    """Write a recording; the first seed shows ``FIRST_MOTIONS``, all others any six."""
    rng = np.random.default_rng(1000 + seed)
    motions = [str(name) for name in rng.permutation(list(MOTIONS))[:NUM_MOTIONS]]
    motions = motions if seed else list(FIRST_MOTIONS)
    clips = [
        render_clip(motion, rng, FRAMES_PER_CLIP)
        for motion in motions
        for _ in range(CLIPS_IN_A_ROW)
    ]
    write_video(path, np.concatenate(clips), FRAMES_PER_SECOND)
    return motions


def found_by_timeline(predictor: Predictor, path: Path, window: float | None) -> list[str]:
    """For each motion the label whose segments cover most of it; empty where none does."""
    steps = predictor.timeline(window).steps(LiveVideo(file_address(str(path))))
    segments = list(find_segments(steps, predictor.class_names, Hysteresis()))

    def covered_seconds(segment: Segment, number: int) -> float:
        start = number * MOTION_SECONDS
        end = min(segment.end_seconds, start + MOTION_SECONDS)
        return max(end - max(segment.start_seconds, start), 0.0)

    labels = []
    for number in range(NUM_MOTIONS):
        covered = {"": 0.0}
        for segment in segments:
            seconds = covered.get(segment.label, 0.0) + covered_seconds(segment, number)
            covered[segment.label] = seconds
        labels.append(max(covered, key=lambda label: covered[label]))
    return labels


def found_by_stream(
    predictor: Predictor, path: Path, memory: float | None
) -> tuple[list[str], list[list[str]]]:
    """For each motion the label that is shown longest, and the label at each frame."""
    stream = predictor.stream(memory)
    shown: list[list[str]] = [[] for _ in range(NUM_MOTIONS)]
    label = ""
    for seconds, frame in LiveVideo(file_address(str(path))).frames():
        answer = stream.push(frame, seconds)
        label = label if answer.abstains else answer.label
        shown[min(int(seconds / MOTION_SECONDS), NUM_MOTIONS - 1)].append(label)
    return [Counter(labels).most_common(1)[0][0] for labels in shown], shown


def main() -> None:
    """Render, read, and print a line for each length."""
    predictor = load(sys.argv[1], "eager-fp32")
    num_recordings = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    longest, default = longest_clip_seconds(predictor.spec), default_window_seconds(predictor.spec)
    print(f"default window: {default:.3g} s; longest clip: {longest:.3g} s")
    print("| length | recording | timeline | stream | stream, share of time |")
    print("|---|---|---|---|---|")
    lengths = [None, longest, *map(float, sys.argv[3:])]
    with TemporaryDirectory() as folder:
        for length in lengths:
            for seed in range(num_recordings):
                path = Path(folder, f"{seed}.mp4")
                motions = render_recording(path, seed)
                by_timeline = found_by_timeline(predictor, path, length)
                by_stream, shown = found_by_stream(predictor, path, length)
                right = [
                    label == motion
                    for labels, motion in zip(shown, motions, strict=True)
                    for label in labels
                ]
                counts = [
                    sum(one == other for one, other in zip(found, motions, strict=True))
                    for found in (by_timeline, by_stream)
                ]
                name = "default" if length is None else f"{length:.3g} s"
                print(f"| {name} | {seed} | {counts[0]} of 6 | {counts[1]} of 6 | ", end="")
                print(f"{np.mean(right):.2f} |", flush=True)


if __name__ == "__main__":
    main()
