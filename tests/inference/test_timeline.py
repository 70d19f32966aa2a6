from __future__ import annotations

import csv
import json
import resource
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from filmstrip.errors import NoVideoError, RecipeError, StorageError
from filmstrip.inference.predict import Predictor
from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline import Timeline, TimelineStep
from filmstrip.inference.timeline_files import Recording, clock_time, write_segments, writing_steps
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo

SEGMENTS = (
    Segment("a & <b>", 0.0, 2.5, 0.75),
    Segment("fall, hard", 3661.0006, 3662.9999, 0.5),
)


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    """Of a model that does not know its training clips: its longest clip is its default window."""
    classifier = load_classifier(finished_run.path)
    classifier.spec = classifier.spec.model_copy(update={"training_clips": None})
    return Predictor(classifier)


def _pictures(number: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    frames = rng.integers(60, 90, (number, 48, 64, 3), dtype=np.uint8)
    for frame in frames:
        top, left = rng.integers(0, 30, 2)
        frame[top : top + 16, left : left + 16] = rng.integers(0, 256, 3)
    return frames


def _recording(folder: Path, number: int, rate: float = 10) -> tuple[Path, np.ndarray]:
    """A video without loss, and its frames."""
    frames = _pictures(number)
    path = folder / "recording.mkv"
    options = {"qp": "0"}
    write_video(path, frames, rate, codec="libx264rgb", pixel_format="rgb24", options=options)
    return path, frames


def _steps(timeline: Timeline, path: Path) -> list[TimelineStep]:
    return list(timeline.steps(LiveVideo(file_address(str(path)))))


def _probs(predictor: Predictor, frames: np.ndarray) -> np.ndarray:
    answer = predictor.predict_frames(frames, 10)
    return np.array([answer.probs[name] for name in predictor.class_names])


def test_a_recording_no_longer_than_a_window_is_answered_as_its_file(
    predictor: Predictor, tmp_path: Path
) -> None:
    for number in (1, 3, 17, 64):
        path, frames = _recording(tmp_path, number)
        steps = _steps(predictor.timeline(), path)
        for step in steps:
            np.testing.assert_allclose(step.probs, _probs(predictor, frames), atol=1e-4)
        assert len(steps) == -(-number // 16)
        assert (steps[0].start_seconds, steps[-1].end_seconds) == (0, pytest.approx(number / 10))


@pytest.mark.parametrize("number", [8, 9, 23, 24, 25])
def test_each_step_gets_the_mean_of_the_windows_over_it(
    predictor: Predictor, tmp_path: Path, number: int
) -> None:
    path, frames = _recording(tmp_path, number)
    timeline = predictor.timeline(window_seconds=0.8)
    assert (timeline.window_seconds, timeline.step_seconds) == (0.8, 0.2)
    starts = sorted({*range(0, number - 7, 2), number - 8})
    windows = {start: _probs(predictor, frames[start : start + 8]) for start in starts}
    steps = _steps(timeline, path)
    for place, step in enumerate(steps):
        over = [probs for start, probs in windows.items() if start <= 2 * place < start + 8]
        np.testing.assert_allclose(step.probs, np.mean(over, axis=0), atol=1e-4)
    assert all(before.end_seconds == after.start_seconds for before, after in pairwise(steps))
    assert steps[-1].end_seconds == pytest.approx(number / 10)


def test_every_frame_passes_through_the_network_at_most_once(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = _recording(tmp_path, 90, rate=25)
    batches: list[int] = []
    embed = predictor._engine.embed
    monkeypatch.setattr(
        predictor._engine, "embed", lambda frames: batches.append(len(frames)) or embed(frames)
    )
    _steps(predictor.timeline(window_seconds=1), path)
    assert sum(batches) == 36  # ten a second of 3.6 seconds
    assert max(batches) == 16


def test_memory_does_not_grow_with_the_recording(predictor: Predictor, tmp_path: Path) -> None:
    def peak_kibibytes(number: int) -> int:
        path, _ = _recording(tmp_path, number)
        for _ in predictor.timeline(window_seconds=1).steps(LiveVideo(file_address(str(path)))):
            pass
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    _recording(tmp_path, 1500)  # what encoding takes is not the timeline's
    before = peak_kibibytes(200)
    assert peak_kibibytes(1500) - before < 8 * 1024  # the pictures alone are 14 MB


def test_a_model_that_spreads_its_frames_needs_a_window_and_sees_it_as_a_clip(
    predictor: Predictor, tmp_path: Path
) -> None:
    change = {
        "sampling": {"kind": "uniform", "num_frames": 8},
        "head": {"kind": "recurrent", "bidirectional": True, "hidden": (4,)},
    }
    spec = ClassifierSpec.model_validate({**predictor.spec.model_dump(), **change})
    uniform = Predictor(VideoClassifier(spec).eval())
    path, frames = _recording(tmp_path, 50, rate=25)
    with pytest.raises(RecipeError, match="no length of a window"):
        uniform.timeline()
    first = _steps(uniform.timeline(window_seconds=1), path)[0]
    answer = uniform.predict_frames(frames[:25], 25)
    expected = [answer.probs[name] for name in uniform.class_names]
    np.testing.assert_allclose(first.probs, expected, atol=1e-4)


@pytest.mark.parametrize("window", [0, -1, 6.6, float("inf"), float("nan")])
def test_a_window_that_the_model_cannot_take_is_refused(
    predictor: Predictor, window: float
) -> None:
    with pytest.raises(RecipeError, match="window of"):
        predictor.timeline(window)


def test_a_file_that_is_no_video_is_an_error(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match="missing"):
        _steps(predictor.timeline(), tmp_path / "missing.mp4")


def test_segments_are_written_as_json_and_csv(tmp_path: Path) -> None:
    write_segments(tmp_path / "out.json", SEGMENTS, Recording("match.mp4"))
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["source"] == "match.mp4"
    assert [Segment(**segment) for segment in content["segments"]] == list(SEGMENTS)
    write_segments(tmp_path / "out.csv", SEGMENTS, Recording("match.mp4"))
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["a & <b>", "fall, hard"]
    assert rows[1]["start_seconds"] == "3661.001"


def test_subtitles_are_as_their_formats_want_them(tmp_path: Path) -> None:
    write_segments(tmp_path / "out.srt", SEGMENTS, Recording(""))
    write_segments(tmp_path / "out.VTT", SEGMENTS, Recording(""))
    assert (tmp_path / "out.srt").read_text() == (
        "1\n00:00:00,000 --> 00:00:02,500\na & <b> (75%)\n\n"
        "2\n01:01:01,001 --> 01:01:03,000\nfall, hard (50%)\n\n"
    )
    assert (tmp_path / "out.VTT").read_text() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\na &amp; &lt;b&gt; (75%)\n\n"
        "01:01:01.001 --> 01:01:03.000\nfall, hard (50%)\n\n"
    )


def test_subtitles_are_read_by_ffmpeg(tmp_path: Path) -> None:
    import av

    for suffix in (".srt", ".vtt"):
        path = tmp_path / f"out{suffix}"
        write_segments(path, SEGMENTS, Recording(""))
        with av.open(str(path)) as container:
            times = [float(p.pts * p.time_base) for p in container.demux() if p.size]
        assert times == pytest.approx([0, 3661.001], abs=1e-3)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    for name in ("out.txt", "out"):
        with pytest.raises(StorageError, match=name):
            write_segments(tmp_path / name, SEGMENTS, Recording(""))
    assert not list(tmp_path.iterdir())


def test_steps_are_written_as_they_pass(tmp_path: Path) -> None:
    steps = [TimelineStep(n / 2, n / 2 + 0.5, np.array([0.25, 0.75])) for n in range(3)]
    assert list(writing_steps(tmp_path / "p.csv", steps, ("a", "b"))) == steps
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "start_seconds,end_seconds,prob_a,prob_b"
    assert lines[3] == "1.000,1.500,0.250000,0.750000"


def test_clock_times_carry_over() -> None:
    assert clock_time(59.9996) == "00:01:00.000"
    assert clock_time(100 * 3600 + 61.5, ",") == "100:01:01,500"


def test_where_the_picture_stands_still_no_class_is_probable_unless_asked_for(
    predictor: Predictor, tmp_path: Path
) -> None:
    moving = _pictures(25)
    still, black = np.repeat(moving[9:10], 10, axis=0), np.zeros_like(moving[:12])
    frames = np.concatenate([moving[:9], still, black, moving[10:25]])
    path = tmp_path / "pauses.mkv"
    write_video(path, frames, 10, "libx264rgb", "rgb24", {"qp": "0"})
    steps = _steps(predictor.timeline(), path)
    stills = [(step.start_seconds, step.end_seconds) for step in steps if not step.probs.any()]
    rate = predictor.spec.sampling.frames_per_second
    assert len(stills) == 1
    np.testing.assert_allclose(stills, [(0.9, 3.1)], atol=1.01 / rate)
    assert [step.end_seconds for step in steps[:-1]] == [step.start_seconds for step in steps[1:]]
    assert (steps[0].start_seconds, steps[-1].end_seconds) == (0, 4.6)
    for step in steps:
        assert not step.probs.any() or step.probs.sum() == pytest.approx(1)
    before = tmp_path / "before.mkv"
    write_video(before, moving[:9], 10, "libx264rgb", "rgb24", {"qp": "0"})
    alone = _steps(predictor.timeline(), before)[0].probs
    np.testing.assert_allclose(steps[0].probs, alone, atol=1e-5)
    answered = _steps(predictor.timeline(answers_stills=True), path)
    assert all(step.probs.sum() == pytest.approx(1) for step in answered)


@pytest.mark.parametrize("answers_stills", [False, True])
def test_timeline_work_does_not_grow_with_a_gap(
    answers_stills: bool, predictor: Predictor, tmp_path: Path
) -> None:
    short, long = (
        _with_gap(tmp_path / f"{seconds}.mkv", seconds * 1000) for seconds in (200, 80_000)
    )
    answer = predictor.timeline(answers_stills=answers_stills)
    steps = [_steps(answer, path) for path in (short, long)]
    assert len(steps[0]) == len(steps[1]) < 60
    for one, other in zip(*steps, strict=True):
        np.testing.assert_allclose(one.probs, other.probs, atol=1e-6)
        assert answers_stills == (one.probs.sum() > 0.5) or one.end_seconds - one.start_seconds < 9
    for each, seconds in zip(steps, (200, 80_000), strict=True):
        assert [one.end_seconds for one in each[:-1]] == [one.start_seconds for one in each[1:]]
        assert each[-1].end_seconds == pytest.approx(1 + seconds + 1, abs=0.2)


def test_long_step_in_a_gap_equals_the_steps_it_stands_for(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = _with_gap(tmp_path / "a.mkv", 100_000)
    timeline = predictor.timeline(answers_stills=True)
    merged = _steps(timeline, path)
    timeline._num_window_frames, kept = timeline._num_window_frames, timeline._shown
    one_by_one = (
        replace(shown, num_instants=1)
        for shown in list(kept(LiveVideo(file_address(str(path)))))
        for _ in range(shown.num_instants)
    )
    timeline._shown = lambda _video: one_by_one  # type: ignore[method-assign]
    plain = _steps(timeline, path)
    assert len(plain) > len(merged)
    starts = np.array([step.start_seconds for step in merged])
    for step in plain:
        same = merged[int(np.searchsorted(starts, step.start_seconds + 1e-6)) - 1]
        np.testing.assert_allclose(step.probs, same.probs, atol=1e-5)


def _with_gap(path: Path, gap_milliseconds: int) -> Path:
    """Twenty frames, ten a second, with a gap between the tenth and the next."""
    pictures = _pictures(20)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10, options={"qp": "10"})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = 100 * number + (gap_milliseconds if number >= 10 else 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
