"""Measures `filmstrip timeline` on an hour, and on a tenth of it: memory, and the time it takes.

    python benchmarks/long_recording.py [MINUTES] [RUN]

The recording is made of the demo's motions in random order with pauses between them, 160×120
pixels, 25 frames a second, H.264. Without a run, the default recipe's model answers, whose weights
do not matter here. The command runs by itself, as a user calls it, on one core; its highest
resident memory is what the system kept of it. The table that is printed stands in
docs/streaming.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from rich.console import Console

from filmstrip.dataset.synthetic import MOTIONS, render_clip
from filmstrip.video.encode import write_video
from filmstrip.video.picture import Picture
from streaming import default_classifier

FRAMES_PER_SECOND = 25
SIZE = (160, 120)
MINUTES = 60
SHARE = 10


def frames(minutes: int) -> Iterator[Picture]:
    """Motions of two seconds, the last picture of each held for one to three seconds."""
    rng = np.random.default_rng(0)
    clips = [
        [
            np.asarray(Image.fromarray(frame).resize(SIZE))
            for frame in render_clip(motion, rng, 2 * FRAMES_PER_SECOND, SIZE[1])
        ]
        for motion in MOTIONS
        for _ in range(3)
    ]
    left = minutes * 60 * FRAMES_PER_SECOND
    while left > 0:
        clip = clips[rng.integers(len(clips))]
        shown = [*clip, *[clip[-1]] * int(rng.integers(1, 4) * FRAMES_PER_SECOND)][:left]
        left -= len(shown)
        yield from shown


def measure(run: Path, recording: Path) -> tuple[float, float]:
    """Highest resident megabytes of the command, and its processor seconds."""
    command = "import sys; from filmstrip.app.cli import main; main()"
    arguments = [sys.executable, "-c", command, "timeline", str(run), str(recording)]
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    output = Console(highlight=False)
    output.print("| recording | highest memory | processor time |\n|---|---|---|", soft_wrap=True)
    with TemporaryDirectory() as folder:
        run = Path(folder) / "model"
        if len(sys.argv) > 2:
            run = Path(sys.argv[2])
        else:
            run.mkdir()
            default_classifier().save(run)
        for length in (max(minutes // SHARE, 1), minutes):
            recording = Path(folder) / f"{length}.mp4"
            options = {"preset": "ultrafast"}
            write_video(recording, frames(length), FRAMES_PER_SECOND, "libx264", options=options)
            megabytes, seconds = measure(run, recording)
            output.print(
                f"| {length} min, {recording.stat().st_size / 1e6:.0f} MB | {megabytes:.0f} MB | "
                f"{seconds:.0f} s |",
                soft_wrap=True,
            )


if __name__ == "__main__":
    main()
