from __future__ import annotations

import math
import resource
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from filmstrip.errors import NoVideoError, RecipeError
from filmstrip.inference.exporting.formats import Run, opened
from filmstrip.inference.exporting.networks import StepNetwork
from filmstrip.inference.exporting.report import Report
from filmstrip.inference.predict import Predictor
from filmstrip.inference.prediction import Prediction
from filmstrip.inference.stream import Stream, push_together
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.model.specs import ClassifierSpec, MeanLinearHeadSpec
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo
from filmstrip.video.probe import probe

LONGEST_SECONDS = 6.4  # 64 frames, ten a second


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    """Of a model that does not know its training clips: its longest clip is its default window."""
    classifier = load_classifier(finished_run.path)
    classifier.spec = classifier.spec.model_copy(update={"training_clips": None})
    return Predictor(classifier)


def _pictures(number: int, seed: int = 0) -> np.ndarray:
    """Noise with a square that jumps about, so that each frame moves the answer."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(60, 90, (number, 48, 64, 3), dtype=np.uint8)
    for frame in frames:
        top, left = rng.integers(0, 30, 2)
        frame[top : top + 16, left : left + 16] = rng.integers(0, 256, 3)
    return frames


def _write_variable(path: Path, times_milliseconds: list[int], frame_milliseconds: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for picture, at in zip(_pictures(len(times_milliseconds)), times_milliseconds, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            frame.duration = frame_milliseconds
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _streamed(predictor: Predictor, path: Path) -> tuple[Prediction, Stream]:
    stream = predictor.stream()
    video = LiveVideo(file_address(str(path)))
    for seconds, frame in video.frames():
        stream.push(frame, seconds)
    return stream.finish(video.end_seconds), stream


@dataclass(frozen=True)
class Exported:
    """The graphs of an exported run, as a program without Filmstrip would use them."""

    sample: Run
    frame: Run
    step: Run
    start: list[torch.Tensor]
    class_names: tuple[str, ...]

    def probs(self, path: Path) -> dict[str, float]:
        """The answer after the last of a file's sampled frames, one step each."""
        info = probe(path)
        duration = torch.tensor(info.duration_seconds, dtype=torch.float64)
        (places,) = self.sample([torch.from_numpy(info.frame_times_seconds), duration])
        pictures = [picture for _, picture in iterate_frames(path)]
        state = self.start
        for number, place in enumerate(places.tolist()):
            (framed,) = self.frame([torch.from_numpy(pictures[place])])
            _, probs, *state = self.step([framed[None], torch.tensor([number == 0]), *state])
        return dict(zip(self.class_names, probs[0].tolist(), strict=True))


@pytest.fixture(scope="module")
def exported(finished_run: RunFolder, exported_run: tuple[Path, Report]) -> Exported:
    folder, _ = exported_run
    classifier = load_classifier(finished_run.path)
    return Exported(
        *(opened(folder / f"{name}.onnx") for name in ("sample", "frame", "step")),
        StepNetwork(classifier).start(1),
        classifier.spec.class_names,
    )


def _agree(one: Prediction, other: Prediction) -> None:
    assert one.label == other.label
    assert one.probs == pytest.approx(other.probs, abs=1e-4)


@pytest.mark.parametrize("rate", [3, 10, 12.5, 24000 / 1001, 25, 30000 / 1001, 60])
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "mpeg4.avi", "vp9.webm", "frames.gif"])
def test_the_last_answer_to_a_stream_is_the_answer_to_its_file_and_of_the_exported_steps(
    predictor: Predictor, exported: Exported, tmp_path: Path, name: str, rate: float
) -> None:
    num_frames = round(rate * 1.7) + 1
    write_video(tmp_path / name, _pictures(num_frames), rate)
    answer, stream = _streamed(predictor, tmp_path / name)
    _agree(answer, predictor.predict(tmp_path / name))
    assert exported.probs(tmp_path / name) == pytest.approx(answer.probs, abs=1e-4)
    assert (stream.num_frames, stream.num_late) == (num_frames, 0)
    assert stream.num_seen <= num_frames


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("seed", range(8))
def test_so_it_is_for_variable_frame_rates(
    predictor: Predictor, exported: Exported, tmp_path: Path, suffix: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gaps = rng.choice([7, 33, 40, 100, 101, 480], size=24)
    times = [0, *np.cumsum(gaps).tolist()]
    path = _write_variable(tmp_path / f"variable{suffix}", times, 40)
    answer, _ = _streamed(predictor, path)
    _agree(answer, predictor.predict(path))
    assert exported.probs(path) == pytest.approx(answer.probs, abs=1e-4)


def test_a_clip_as_long_as_the_model_takes_in_is_answered_as_its_file(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_video(tmp_path / "long.mp4", _pictures(64), 10)
    _agree(_streamed(predictor, tmp_path / "long.mp4")[0], predictor.predict(tmp_path / "long.mp4"))


def test_frames_from_memory_are_answered_as_the_array(predictor: Predictor) -> None:
    frames = _pictures(40)
    stream = predictor.stream()
    buffer = np.empty_like(frames[0])  # as a camera's library fills the same memory again
    for number, frame in enumerate(frames):
        buffer[:] = frame
        latest = stream.push(buffer, 1000 + number / 12)
        assert latest == stream.latest
    _agree(stream.finish(), predictor.predict_frames(frames, 12))


def test_each_answer_on_the_way_is_that_of_the_clip_so_far(predictor: Predictor) -> None:
    frames = _pictures(12)
    stream = predictor.stream()
    for number, frame in enumerate(frames):
        answer = stream.push(frame, number / 10)
        _agree(answer, predictor.predict_frames(frames[: number + 1], 10))


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_model_that_answers_by_two_views_streams_both(
    finished_run: RunFolder, predictor: Predictor, is_chunked: bool
) -> None:
    classifier = load_classifier(finished_run.path)
    classifier.spec = classifier.spec.model_copy(
        update={"views": ("plain", "flip"), "training_clips": None}
    )
    both, frames = Predictor(classifier), _pictures(64)
    stream = both.stream(is_chunked=is_chunked)
    for number, frame in enumerate(frames):
        stream.push(frame, number / 10)
    answer = stream.finish()
    _agree(answer, both.predict_frames(frames, 10))
    assert answer.probs != pytest.approx(predictor.predict_frames(frames, 10).probs, abs=1e-4)


def test_a_model_that_answers_by_temporal_crops_streams_in_chunks(
    finished_run: RunFolder, predictor: Predictor
) -> None:
    classifier = load_classifier(finished_run.path)
    spec = classifier.spec.model_copy(update={"num_temporal_crops": 3, "training_clips": None})
    cropping, frames = VideoClassifier(spec).eval(), _pictures(64)
    cropping.load_state_dict(classifier.state_dict())
    stream = Predictor(cropping).stream(is_chunked=True)
    for number, frame in enumerate(frames):
        stream.push(frame, number / 10)
    answer = stream.finish()
    _agree(answer, Predictor(cropping).predict_frames(frames, 10))
    assert answer.probs != pytest.approx(predictor.predict_frames(frames, 10).probs, abs=1e-4)


def test_beyond_its_memory_a_stream_forgets(predictor: Predictor) -> None:
    others, frames = _pictures(64, seed=1), _pictures(64, seed=2)
    forgets, remembers = predictor.stream(), predictor.stream(memory_seconds=math.inf)
    for number, frame in enumerate([*others, *frames]):
        for stream in (forgets, remembers):
            stream.push(frame, number / 10)
    _agree(forgets.finish(), predictor.predict_frames(frames, 10))
    whole = remembers.finish()
    assert whole.probs != pytest.approx(predictor.predict_frames(frames, 10).probs, abs=1e-4)


def test_an_answer_rests_on_half_to_the_whole_memory(predictor: Predictor) -> None:
    frames = _pictures(40)
    stream = predictor.stream(memory_seconds=1)
    for number, frame in enumerate(frames):
        answer = stream.push(frame, number / 10)
        begun = max(number // 5 - 1, 0) * 5
        _agree(answer, predictor.predict_frames(frames[begun : number + 1], 10))


def test_streams_that_share_a_pass_answer_as_if_alone(predictor: Predictor) -> None:
    rates = (10, 25, 7)
    together = [predictor.stream() for _ in rates]
    alone = [predictor.stream() for _ in rates]
    clips = [_pictures(20, seed) for seed in range(3)]
    for number in range(20):
        rounds = [
            (stream, clip[number], number / rate)
            for stream, clip, rate in zip(together, clips, rates, strict=True)
            if number % 3 or rate == 25
        ]
        answers = push_together(rounds)
        assert answers == [stream.latest for stream, _, _ in rounds]
        for stream, clip, rate in zip(alone, clips, rates, strict=True):
            if number % 3 or rate == 25:
                stream.push(clip[number], number / rate)
    for one, other in zip(together, alone, strict=True):
        _agree(one.finish(), other.finish())


def test_a_frame_between_two_instants_costs_no_pass(predictor: Predictor) -> None:
    stream = predictor.stream()
    for number, frame in enumerate(_pictures(100)):
        stream.push(frame, number / 50)
    assert (stream.num_frames, stream.num_seen) == (100, 20)


def test_a_frame_that_comes_after_a_later_one_is_dropped_and_counted(predictor: Predictor) -> None:
    frames = _pictures(10)
    stream, undisturbed = predictor.stream(), predictor.stream()
    for number, frame in enumerate(frames):
        undisturbed.push(frame, number / 10)
        answer = stream.push(frame, number / 10)
        if number:
            assert stream.push(255 - frame, number / 10 - 0.05) == answer
    assert (stream.num_late, stream.num_frames) == (9, 19)
    assert stream.finish() == undisturbed.finish()


def test_after_a_pause_longer_than_any_clip_it_begins_anew(predictor: Predictor) -> None:
    frames = _pictures(12)
    stream = predictor.stream()
    for number, frame in enumerate(_pictures(12, seed=3)):
        stream.push(frame, number / 10)
    for number, frame in enumerate(frames):
        stream.push(frame, 3600 + number / 10)
    assert stream.num_restarts == 1
    _agree(stream.finish(), predictor.predict_frames(frames, 10))


def test_a_pause_shorter_than_that_shows_the_last_frame(predictor: Predictor) -> None:
    frames = _pictures(2)
    stream = predictor.stream()
    stream.push(frames[0], 0)
    stream.push(frames[1], LONGEST_SECONDS - 0.5)
    held = [frames[0]] * 59 + [frames[1]]
    assert stream.num_restarts == 0
    assert stream.num_seen == 2
    _agree(stream.finish(LONGEST_SECONDS - 0.4), predictor.predict_frames(np.stack(held), 10))


def test_reset_forgets_and_finish_ends_a_video(predictor: Predictor) -> None:
    frames = _pictures(12)
    stream = predictor.stream()
    for number, frame in enumerate(_pictures(5, seed=4)):
        stream.push(frame, number / 10)
    stream.reset()
    for _ in range(2):
        for number, frame in enumerate(frames):
            stream.push(frame, number / 10)
        _agree(stream.finish(), predictor.predict_frames(frames, 10))
    with pytest.raises(NoVideoError, match="without a frame"):
        stream.finish()


def test_frames_may_change_their_size(predictor: Predictor) -> None:
    stream = predictor.stream()
    small, large = np.full((40, 60, 3), 90, np.uint8), np.full((90, 50, 3), 90, np.uint8)
    steady = predictor.stream()
    for number in range(10):
        stream.push(large if number > 5 else small, number / 10)
        steady.push(small, number / 10)
    _agree(stream.finish(), steady.finish())


def test_thousands_of_frames_leave_memory_as_it_was(predictor: Predictor) -> None:
    stream = predictor.stream()
    frames = _pictures(50)
    for number in range(500):
        stream.push(frames[number % 50], number / 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(500, 2000):
        stream.push(frames[number % 50], number / 10)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 8 * 1024  # KiB


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling": {"kind": "uniform", "num_frames": 16}}, "sampling.kind=uniform"),
        ({"head": {"kind": "recurrent", "bidirectional": True}}, "bidirectional"),
        ({"num_temporal_crops": 3}, "num_temporal_crops=3"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_a_way_out(
    predictor: Predictor, change: dict[str, object], words: str
) -> None:
    spec = ClassifierSpec.model_validate({**predictor.spec.model_dump(), **change})
    with pytest.raises(RecipeError) as error:
        Predictor(VideoClassifier(spec).eval()).stream()
    assert words in error.value.given
    assert "filmstrip timeline" in error.value.remedy
    assert "--chunked" in error.value.remedy
    assert "--set" in error.value.remedy


@pytest.mark.parametrize(
    ("frame", "seconds"),
    [
        (np.zeros((8, 8), np.uint8), 0),
        (np.zeros((8, 8, 3), np.float32), 0),
        (np.zeros((0, 8, 3), np.uint8), 0),
        (np.zeros((8, 8, 3), np.uint8), math.nan),
    ],
)
def test_what_is_no_frame_is_refused_and_changes_nothing(
    predictor: Predictor, frame: np.ndarray, seconds: float
) -> None:
    stream = predictor.stream()
    good = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(NoVideoError):
        push_together([(stream, good, 0.0), (predictor.stream(), frame, seconds)])
    assert (stream.num_frames, stream.latest) == (0, None)


@pytest.mark.parametrize("memory", [0, -1, math.nan])
def test_a_memory_of_no_time_is_refused(predictor: Predictor, memory: float) -> None:
    with pytest.raises(RecipeError, match="memory"):
        predictor.stream(memory)


def test_a_mean_over_frames_can_be_streamed_too(predictor: Predictor) -> None:
    spec = predictor.spec.model_copy(update={"head": MeanLinearHeadSpec()})
    averaging = Predictor(VideoClassifier(spec).eval())
    frames = _pictures(15)
    stream = averaging.stream()
    for number, frame in enumerate(frames):
        stream.push(frame, number / 10)
    _agree(stream.finish(), averaging.predict_frames(frames, 10))


def test_in_chunks_each_answer_is_that_of_a_window_of_the_last_seconds(
    predictor: Predictor,
) -> None:
    head = {"kind": "recurrent", "bidirectional": True, "hidden": (4,)}
    spec = ClassifierSpec.model_validate({**predictor.spec.model_dump(), "head": head})
    both_ways = Predictor(VideoClassifier(spec).eval())
    frames = _pictures(30)
    stream = both_ways.stream(memory_seconds=1.2, is_chunked=True)
    for number, frame in enumerate(frames, start=1):
        answer = stream.push(frame, (number - 1) / 10)
        if number % 3 == 0:  # a quarter of twelve frames
            _agree(answer, both_ways.predict_frames(frames[max(number - 12, 0) : number], 10))
    assert stream.num_seen == 30


def test_in_chunks_a_model_that_spreads_its_frames_needs_to_be_told_how_far(
    predictor: Predictor,
) -> None:
    sampling = {"kind": "uniform", "num_frames": 8}
    spec = ClassifierSpec.model_validate({**predictor.spec.model_dump(), "sampling": sampling})
    spread = Predictor(VideoClassifier(spec).eval())
    with pytest.raises(RecipeError, match="no length of a window"):
        spread.stream(is_chunked=True)
    stream = spread.stream(memory_seconds=2, is_chunked=True)
    frames = _pictures(40)
    for number, frame in enumerate(frames):
        answer = stream.push(frame, number / 20)
    _agree(answer, spread.predict_frames(frames[::5], 4))
    assert stream.num_seen == 8
