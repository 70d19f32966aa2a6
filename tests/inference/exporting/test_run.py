"""The runner in an exported folder, run as a user runs it, against ``predict``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from filmstrip.inference.exporting.report import Report
from filmstrip.inference.predict import Predictor, load
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe


@pytest.fixture
def exported(exported_run: tuple[Path, Report]) -> Path:
    return exported_run[0]


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


def _run(folder: Path, video: Path) -> dict[str, float]:
    command = [sys.executable, "-I", str(folder / "run.py"), str(video)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split(maxsplit=1) for line in printed.splitlines()]
    return {name: float(prob) for prob, name in lines}


def _pictures(number: int, height: int = 90, width: int = 130) -> np.ndarray:
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (number, height // 10, width // 10, 3), dtype=np.uint8)
    return blocks.repeat(10, axis=1).repeat(10, axis=2)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("a.mp4", 24), ("b.avi", 29.97), ("c.webm", 12.5), ("d.mkv", 60), ("long.mp4", 3)],
)
def test_it_prints_what_predict_says(
    exported: Path, predictor: Predictor, tmp_path: Path, name: str, rate: float
) -> None:
    video = tmp_path / name
    write_video(video, _pictures(60), rate)
    expected = predictor.predict(video)
    found = _run(exported, video)
    assert next(iter(found)) == expected.label
    assert found == pytest.approx(expected.probs, abs=1e-4)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_it_turns_a_video_as_a_player_does(
    exported: Path, predictor: Predictor, tmp_path: Path, degrees: int
) -> None:
    video = tmp_path / "turned.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", 12)
        stream.height, stream.width, stream.pix_fmt = 90, 130, "yuv420p"
        stream.set_display_rotation(degrees)
        for picture in _pictures(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert probe(video).rotation_degrees % 360 == degrees
    assert _run(exported, video) == pytest.approx(predictor.predict(video).probs, abs=1e-4)


def test_it_has_no_more_than_thirty_lines(exported: Path) -> None:
    assert len((exported / "run.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_it_needs_onnxruntime_numpy_and_pyav_only(exported: Path) -> None:
    text = (exported / "run.py").read_text(encoding="utf-8")
    imported = {
        line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert imported == {"json", "sys", "pathlib", "av", "numpy", "onnxruntime"}
