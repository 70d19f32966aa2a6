"""One clip, one answer, by whichever way its frames come; exported graphs are in test_stream."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from filmstrip.inference.predict import Predictor, load, videos_below
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address
from filmstrip.video.decode import iterate_frames
from filmstrip.video.live import LiveVideo
from filmstrip.video.probe import probe

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


@pytest.fixture(scope="module", params=["left", "right", "up"])
def clip(request: pytest.FixtureRequest, videos: Path) -> Path:
    return videos / request.param / f"{request.param}_3.mp4"


@pytest.fixture
def expected(predictor: Predictor, clip: Path) -> dict[str, float]:
    return predictor.predict(clip).probs


def test_the_run_itself_answered_so(
    finished_run: RunFolder, clip: Path, videos: Path, expected: dict[str, float]
) -> None:
    with finished_run.predictions_file.open(encoding="utf-8") as file:
        [row] = [row for row in csv.DictReader(file) if videos / row["path"] == clip]
    stored = {name: float(row[f"prob_{name}"]) for name in expected}
    assert stored == pytest.approx(expected, abs=TOLERANCE)


def test_a_folder_of_it_is_answered_so(
    filmstrip, finished_run: RunFolder, clip: Path, expected: dict[str, float]
) -> None:
    ended = filmstrip("predict", finished_run.path, clip.parent, "--json")
    answers = {line["path"]: line["probs"] for line in map(json.loads, ended.stdout.splitlines())}
    assert len(answers) == len(videos_below([clip.parent]).files)
    assert answers[str(clip)] == pytest.approx(expected, abs=TOLERANCE)


def test_an_array_of_its_frames_is_answered_so(
    predictor: Predictor, clip: Path, expected: dict[str, float]
) -> None:
    frames = np.stack([picture for _, picture in iterate_frames(clip)])
    answer = predictor.predict_frames(frames, probe(clip).average_fps)
    assert answer.probs == pytest.approx(expected, abs=TOLERANCE)


def test_a_stream_of_it_ends_so(
    predictor: Predictor, clip: Path, expected: dict[str, float]
) -> None:
    stream = predictor.stream()
    for seconds, picture in iterate_frames(clip):
        stream.push(picture, seconds)
    answer = stream.finish(probe(clip).duration_seconds)
    assert answer.probs == pytest.approx(expected, abs=TOLERANCE)


def test_its_timeline_says_so(predictor: Predictor, clip: Path, expected: dict[str, float]) -> None:
    steps = list(predictor.timeline().steps(LiveVideo(file_address(str(clip)))))
    assert steps
    for step in steps:
        found = dict(zip(predictor.class_names, map(float, step.probs), strict=True))
        assert found == pytest.approx(expected, abs=TOLERANCE)
