"""The runner in an exported folder, run as a user runs it, against ``predict``."""

from __future__ import annotations

import subprocess
import sys
import wave
from fractions import Fraction
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


def _write_encoded(
    path: Path,
    codec: str,
    options: dict[str, str],
    times_milliseconds: list[int] | None = None,
    container_format: str | None = None,
) -> Path:
    """Thirty pictures that all differ, at 12 a second or at the given times."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, 12, options=options)
        stream.height, stream.width, stream.pix_fmt = 90, 130, "yuv420p"
        if times_milliseconds is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(_pictures(30)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times_milliseconds is not None:
                frame.pts, frame.time_base = times_milliseconds[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


VARIABLE = np.cumsum(np.random.default_rng(0).choice([20, 40, 90, 170], 30)).tolist()

ENCODED = {
    "b-frames.avi": ("mpeg4", {"bf": "2"}),
    "h264-b-frames.avi": ("libx264", {"bf": "2"}),
    "b-frames.mp4": ("libx264", {"bf": "3"}),
    "raw.h264": ("libx264", {"bf": "0"}, None, "h264"),
    "raw-b-frames.h264": ("libx264", {"bf": "2"}, None, "h264"),
    "raw.m4v": ("mpeg4", {"bf": "2"}, None, "m4v"),
    "variable.mp4": ("libx264", {"bf": "2"}, VARIABLE),
    "variable.webm": ("libvpx-vp9", {}, VARIABLE),
    "stream.ts": ("mpeg2video", {"bf": "2"}),
}


@pytest.mark.parametrize("name", ENCODED)
def test_run_answers_as_predict_for_reordered_and_untimed_frames(
    exported: Path, predictor: Predictor, tmp_path: Path, name: str
) -> None:
    video = _write_encoded(tmp_path / name, *ENCODED[name])
    assert _run(exported, video) == pytest.approx(predictor.predict(video).probs, abs=1e-4)


def test_run_answers_as_predict_where_packets_hold_no_frame(
    exported: Path, predictor: Predictor, tmp_path: Path
) -> None:
    """A recording cut before its first key frame, as from a broadcast."""
    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    _write_encoded(whole, "mpeg2video", {"bf": "2", "g": "10"})
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number > 3 and packet.size:
                packet.stream = stream
                target.mux(packet)
    assert _run(exported, cut) == pytest.approx(predictor.predict(cut).probs, abs=1e-4)


def test_run_reads_the_best_track(exported: Path, predictor: Predictor, tmp_path: Path) -> None:
    video = tmp_path / "two.mkv"
    with av.open(str(video), "w") as container:
        small = container.add_stream("libx264", 12)
        small.height, small.width, small.pix_fmt = 32, 32, "yuv420p"
        large = container.add_stream("libx264", 12)
        large.height, large.width, large.pix_fmt = 90, 130, "yuv420p"
        for picture in _pictures(30):
            thumbnail = np.ascontiguousarray(255 - picture[:32, :32])
            container.mux(small.encode(av.VideoFrame.from_ndarray(thumbnail, format="rgb24")))
            container.mux(large.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux([*small.encode(None), *large.encode(None)])
    assert _run(exported, video) == pytest.approx(predictor.predict(video).probs, abs=1e-4)


def test_run_says_what_holds_no_video(exported: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    command = [sys.executable, "-I", str(exported / "run.py"), str(sound)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == f"{sound}: holds no video\n"


def test_run_is_short_enough_to_read(exported: Path) -> None:
    assert len((exported / "run.py").read_text(encoding="utf-8").splitlines()) <= 120


def test_it_needs_onnxruntime_numpy_and_pyav_only(exported: Path) -> None:
    text = (exported / "run.py").read_text(encoding="utf-8")
    imported = {
        line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert imported == {
        *("json", "sys", "collections.abc", "itertools", "pathlib", "typing"),
        *("av", "av.stream", "numpy", "onnxruntime"),
    }
