"""Real files that are hard to read: every command sees the frames that PyAV's decoder gives.

The files are not part of the project. The test looks for the folder ``shared/data/odd`` next to it
or above it, and is skipped where there is none. It prints a table in any case.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.dataset.doctor.inspection import inspect_video
from filmstrip.inference.predict import Predictor, load
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address
from filmstrip.video.decode import read_clip
from filmstrip.video.live import LiveVideo
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

ODD = next(
    (
        folder / "shared" / "data" / "odd"
        for folder in Path(__file__).resolve().parents
        if (folder / "shared" / "data" / "odd").is_dir()
    ),
    None,
)
# A clip of fewer frames gives each of them once.
ALL_FRAMES = UniformSampling(num_frames=10_000, short="fewer")

Filmstrip = Callable[..., Any]


@dataclass(frozen=True)
class Seen:
    """How many frames a command saw, and when the last one came, where it knows."""

    num_frames: int
    last_seconds: float | None = None

    def equals(self, other: Seen) -> bool:
        if self.num_frames != other.num_frames:
            return False
        times = (self.last_seconds, other.last_seconds)
        return None in times or times[0] == pytest.approx(times[1], abs=0.0015)

    def __str__(self) -> str:
        at = "" if self.last_seconds is None else f" {self.last_seconds:.3f}"
        return f"{self.num_frames}{at}"


def oracle(path: Path) -> np.ndarray:
    """Seconds after the first frame (N,) of every frame that plain PyAV decodes."""
    with av.open(str(path)) as container:
        stamps = np.array(
            [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        )
    return stamps - stamps[0]


class Counted(LiveVideo):
    """A file that counts the frames that are taken from it."""

    times: tuple[float, ...] = ()

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        for seconds, frame in super().frames():
            self.times += (seconds,)
            yield seconds, frame


@pytest.mark.skipif(ODD is None, reason="the folder shared/data/odd is not there")
def test_odd_files_show_every_command_the_same_frames(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ODD is not None
    files = sorted(path for path in ODD.iterdir() if path.is_file())
    assert files
    predictor = load(finished_run.path)
    extracted = _extract(filmstrip, files, tmp_path)
    streamed = _stream(filmstrip, finished_run, files)
    answered = _predict(filmstrip, finished_run, files)
    columns = ("PyAV", "predict", "doctor", "extract", "timeline", "stream")
    table = [("file", *columns, "equal")]
    for path in files:
        times = oracle(path)
        expected = Seen(len(times), float(times[-1]))
        clip = read_clip(path, ALL_FRAMES, Framing(size=16))
        np.testing.assert_allclose(clip.times_seconds, times, atol=0.0015)
        facts = inspect_video(path)
        seen = [
            Seen(len(clip.frames), float(clip.times_seconds[-1])),
            Seen(0 if facts.fault else facts.num_frames, facts.sample_times_seconds[-1]),
            extracted[path.name],
            _timeline(predictor, path),
            streamed[path.name],
        ]
        is_equal = all(each.equals(expected) for each in seen) and answered[str(path)]
        table.append((path.name, str(expected), *map(str, seen), "yes" if is_equal else "NO"))
    with capsys.disabled():
        print("\nFrames, and the second of the last one:")
        for row in table:
            print(f"{row[0]:<42}", *(f"{cell:>13}" for cell in row[1:-1]), f"{row[-1]:>6}")
    assert [row[0] for row in table[1:] if row[-1] != "yes"] == []


def _predict(filmstrip: Filmstrip, run: RunFolder, files: list[Path]) -> dict[str, bool]:
    """Whether each file is answered, as a complete one."""
    done = filmstrip("predict", run.path, *files, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["path"]: line["complete"] for line in lines}


def _extract(filmstrip: Filmstrip, files: list[Path], folder: Path) -> dict[str, Seen]:
    settings = ("framing.size=16", "sampling.kind=uniform", "sampling.num_frames=10000")
    options = [option for each in settings for option in ("--set", each)]
    out = folder / "features"
    filmstrip("extract", *files, "--recipe", "mean-linear", *options, "--out", out)
    with (out / "index.csv").open(newline="") as lines:
        return {
            Path(row["path"]).name: Seen(int(row["num_frames"])) for row in csv.DictReader(lines)
        }


def _stream(filmstrip: Filmstrip, run: RunFolder, files: list[Path]) -> dict[str, Seen]:
    seen = {}
    for path in files:
        done = filmstrip("stream", run.path, path)
        match = re.search(r"(\d+) frames in [\d.]+ s, .* 0 dropped", done.stderr)
        seen[path.name] = Seen(int(match[1]) if match else 0)
    return seen


def _timeline(predictor: Predictor, path: Path) -> Seen:
    video = Counted(file_address(str(path)))
    steps = list(predictor.timeline(1.0).steps(video))
    assert steps[-1].end_seconds == pytest.approx(video.end_seconds)
    return Seen(len(video.times), video.times[-1])
