"""Measures a timeline: are the actions of a stitched recording found, with the right edges?

    python benchmarks/timeline.py RUN [NUM_CLIPS]

Test clips of the run, which the model has not seen, are put into one recording in random order,
with pauses of one to three seconds between them: the last picture held still, and black, in turn.
What is scored are the segments that ``filmstrip timeline`` gives with the longest window that the
model can read, by default (as long as the median training clip), and with the pauses answered, too.
Prints JSON, then a table.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console

from filmstrip.evaluation.segment_f1 import Stretch, score_segments
from filmstrip.inference.predict import Predictor, load
from filmstrip.inference.segments import Hysteresis, find_segments
from filmstrip.inference.window import longest_clip_seconds
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo
from filmstrip.video.picture import Picture
from filmstrip.video.probe import probe

NUM_CLIPS = 60
PAUSE_SECONDS = (1.0, 3.0)
OVERLAP = 0.5


def choose_clips(run: Path, num_clips: int) -> list[tuple[str, Path]]:
    """Label and path of so many test clips, in random order."""
    folder = RunFolder(run)
    data = folder.request().data
    with folder.splits_file.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    order = np.random.default_rng(0).permutation(len(rows))[:num_clips]
    return [(rows[place]["label"], data / rows[place]["path"]) for place in order]


class Recording:
    """Clips and pauses, one frame after the other, and what they show."""

    def __init__(self, clips: list[tuple[str, Path]], frames_per_second: float) -> None:
        self.truth: list[Stretch] = []
        self._clips = clips
        self._rate = frames_per_second

    def frames(self) -> Iterator[Picture]:
        generator = np.random.default_rng(1)
        num_frames = 0
        for number, (label, path) in enumerate(self._clips):
            start = num_frames
            for _, picture in iterate_frames(path):
                last = picture
                num_frames += 1
                yield picture
            self.truth.append(Stretch(label, start / self._rate, num_frames / self._rate))
            still = last if number % 2 else np.zeros_like(last)
            for _ in range(round(generator.uniform(*PAUSE_SECONDS) * self._rate)):
                num_frames += 1
                yield still


def measure(
    predictor: Predictor,
    video: Path,
    truth: list[Stretch],
    window_seconds: float | None,
    answers_stills: bool,
) -> dict[str, object]:
    timeline = predictor.timeline(window_seconds, answers_stills)
    steps = timeline.steps(LiveVideo(file_address(str(video))))
    found = [
        Stretch(one.label, one.start_seconds, one.end_seconds)
        for one in find_segments(steps, predictor.class_names, Hysteresis())
    ]
    score = score_segments(truth, found, OVERLAP)
    return {
        "window_seconds": timeline.window_seconds,
        "num_true": score.num_true,
        "num_predicted": score.num_predicted,
        "num_found": score.num_found,
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
    }


def main() -> None:
    run = Path(sys.argv[1])
    clips = choose_clips(run, int(sys.argv[2]) if len(sys.argv) > 2 else NUM_CLIPS)
    infos = [probe(path) for _, path in clips]
    recording = Recording(clips, infos[0].average_fps)
    predictor = load(run)
    with TemporaryDirectory() as folder:
        video = Path(folder) / "recording.mp4"
        write_video(video, recording.frames(), infos[0].average_fps)
        longest = longest_clip_seconds(predictor.spec)
        settings = {
            f"--window {longest:g}": (longest, False),
            "defaults": (None, False),
            "--stills": (None, True),
        }
        scores = {
            name: measure(predictor, video, recording.truth, *setting)
            for name, setting in settings.items()
        }
    content = {"overlap": OVERLAP, "num_clips": len(clips), "scores": scores}
    sys.stdout.write(json.dumps(content, indent=2) + "\n\n")
    output = Console(highlight=False)
    output.print("| | window | said | found | precision | recall | F1 |", soft_wrap=True)
    output.print("|---|---|---|---|---|---|---|", soft_wrap=True)
    for name, one in scores.items():
        output.print(
            f"| {name} | {one['window_seconds']:g} s | {one['num_predicted']} | "
            f"{one['num_found']} of {one['num_true']} | {one['precision']:.2f} | "
            f"{one['recall']:.2f} | {one['f1']:.2f} |",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
