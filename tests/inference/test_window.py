"""The default window of a timeline and memory of a stream: the length of the training clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.errors import RecipeError
from filmstrip.inference.misfit import misfits
from filmstrip.inference.predict import Predictor, load
from filmstrip.inference.window import default_window_seconds, describe_default, find_window
from filmstrip.model.specs import ClassifierSpec, Range, TrainingClips
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.encode import write_video


def _range(low: float, median: float, high: float) -> Range:
    return Range(minimum=low, median=median, maximum=high)


CLIPS = TrainingClips(
    num_clips=100,
    duration_seconds=_range(1.4, 1.625, 1.9),
    frames_per_second=_range(16, 16, 16),
    width=_range(320, 320, 640),
    height=_range(240, 240, 480),
)
UNIFORM = {"kind": "uniform", "num_frames": 8}


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


def _spec(predictor: Predictor, **changes: Any) -> ClassifierSpec:
    return ClassifierSpec.model_validate({**predictor.spec.model_dump(), **changes})


def test_train_stores_what_its_clips_are_like(predictor: Predictor) -> None:
    clips = predictor.spec.training_clips
    assert clips is not None
    assert clips.num_clips == 18  # of 24, without validation and test
    assert clips.duration_seconds == _range(1, 1, 1)
    assert clips.frames_per_second == _range(12, 12, 12)
    assert (clips.width, clips.height) == (_range(48, 48, 48), _range(48, 48, 48))


def test_default_window_is_the_median_training_clip(predictor: Predictor) -> None:
    assert predictor.timeline().window_seconds == 1
    asked = predictor.stream(memory_seconds=1)
    stream = predictor.stream()
    rng = np.random.default_rng(0)
    for number, frame in enumerate(rng.integers(0, 255, (40, 48, 48, 3), dtype=np.uint8)):
        assert stream.push(frame, number / 10) == asked.push(frame, number / 10)


def test_default_window_of_spread_frames_is_the_median_clip(predictor: Predictor) -> None:
    spread = _spec(predictor, sampling=UNIFORM, training_clips=CLIPS)
    window = find_window(spec=spread, window_seconds=None)
    assert (window.num_frames, window.frames_per_second) == (8, 8 / 1.625)


def test_default_window_is_never_longer_than_the_model_reads(predictor: Predictor) -> None:
    long = CLIPS.model_copy(update={"duration_seconds": _range(500, 600, 700)})
    spec = _spec(predictor, training_clips=long)
    assert default_window_seconds(spec) == 6.4
    assert find_window(spec, None).num_frames == 64
    assert "the median training clip lasts 600 s" in describe_default(spec, "Window")


def test_old_models_keep_their_longest_clip_and_say_so(predictor: Predictor) -> None:
    old = _spec(predictor, training_clips=None)
    assert default_window_seconds(old) == 6.4
    assert "does not say how long its training clips were" in describe_default(old, "Memory")
    assert misfits(old, duration_seconds=1000, frames_per_second=1) == ()
    spread = _spec(predictor, sampling=UNIFORM, training_clips=None)
    assert default_window_seconds(spread) is None
    with pytest.raises(RecipeError, match="no length of a window"):
        find_window(spread, None)


@pytest.mark.parametrize(
    ("video", "words"),
    [
        ({"duration_seconds": 20}, "use 'filmstrip timeline'"),
        ({"duration_seconds": 0.5}, "So short a clip"),
        ({"frames_per_second": 5}, "has 5 frames/s; the model looks at 10 a second"),
        ({"width": 240, "height": 1920}, "is 0.12 times as wide as high"),
    ],
)
def test_video_unlike_the_training_clips_is_named(
    predictor: Predictor, video: dict[str, Any], words: str
) -> None:
    (found,) = misfits(_spec(predictor, training_clips=CLIPS), **video)
    assert words in found


def test_video_like_the_training_clips_has_no_misfit(predictor: Predictor) -> None:
    spec = _spec(predictor, training_clips=CLIPS)
    usual = {"duration_seconds": 3, "frames_per_second": 15, "width": 360, "height": 240}
    assert misfits(spec, **usual) == ()
    assert misfits(spec, duration_seconds=float("nan"), frames_per_second=0) == ()


def test_commands_print_window_and_misfits(
    finished_run: RunFolder, filmstrip: Callable[..., Any], tmp_path: Path
) -> None:
    recording = tmp_path / "long.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (20, 48, 48, 3), dtype=np.uint8)
    write_video(recording, frames, 4)
    timeline = filmstrip("timeline", finished_run.path, recording).stderr
    assert "Window: 1 s, the median length of the training clips." in timeline
    assert "has 4 frames/s; the model looks at 10 a second" in timeline
    stream = filmstrip("stream", finished_run.path, recording).stderr
    assert "Memory: 1 s, the median length of the training clips." in stream
    assert "has 4 frames/s" in stream
    predicted = filmstrip("predict", finished_run.path, recording, "--json")
    assert "lasts 5 s; the training clips last 1 to 1 s" in predicted.stderr
    assert '"misfits": ["lasts 5 s;' in predicted.stdout.replace("\n", "")
