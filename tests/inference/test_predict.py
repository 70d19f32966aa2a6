from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import filmstrip
from filmstrip.errors import NoVideoError, RunError, VideoError, WeightsError
from filmstrip.inference.predict import Predictor, load, videos_below
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import iterate_frames


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


@pytest.fixture(scope="session")
def clip(videos: Path) -> Path:
    return videos / "right" / "right_2.mp4"


def test_a_file_is_answered_as_the_run_answered_it(
    predictor: Predictor, finished_run: RunFolder, videos: Path
) -> None:
    with (finished_run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::5]:
        answer = predictor.predict(videos / row["path"])
        assert (answer.path, answer.label) == (videos / row["path"], row["predicted"])
        assert answer.confidence == pytest.approx(float(row["confidence"]), abs=1e-4)
        for name, prob in answer.probs.items():
            assert prob == pytest.approx(float(row[f"prob_{name}"]), abs=1e-4)


def test_the_decoded_frames_are_answered_as_their_file(predictor: Predictor, clip: Path) -> None:
    frames = np.stack([frame for _, frame in iterate_frames(clip)])
    answer = predictor.predict_frames(frames, frames_per_second=12)
    assert answer.path is None
    assert answer.probs == pytest.approx(predictor.predict(clip).probs, abs=1e-3)


def test_the_frame_rate_of_frames_counts(predictor: Predictor, clip: Path) -> None:
    frames = np.stack([frame for _, frame in iterate_frames(clip)])
    at_twice_the_rate = predictor.predict_frames(frames, frames_per_second=24)
    # Ten frames a second of half a second: frames 0, 2.4, 4.8, 7.2 and 9.6.
    five = predictor.predict_frames(frames[[0, 2, 4, 7, 9]], frames_per_second=10)
    assert at_twice_the_rate.probs == pytest.approx(five.probs, abs=1e-6)


def test_probabilities_come_most_probable_first_and_sum_to_one(
    predictor: Predictor, clip: Path
) -> None:
    answer = predictor.predict(clip)
    probs = list(answer.probs.values())
    assert probs == sorted(probs, reverse=True)
    assert sum(probs) == pytest.approx(1)
    assert set(answer.probs) == set(predictor.class_names) == {"left", "right", "up"}
    assert (answer.label, answer.confidence) == next(iter(answer.probs.items()))
    assert answer.top(2) == dict(list(answer.probs.items())[:2])


def test_a_model_folder_answers_alone_wherever_it_is_copied(
    predictor: Predictor, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(finished_run.model / name, alone)
    assert filmstrip.load(alone).predict(str(clip)).probs == predictor.predict(clip).probs


def with_calibration(run: RunFolder, folder: Path, **calibration: float) -> Predictor:
    """The run's model with another temperature or threshold in its config.json."""
    shutil.copytree(run.model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | calibration))
    return load(folder)


def test_the_temperature_of_the_model_is_honoured_and_changes_no_label(
    finished_run: RunFolder, videos: Path, tmp_path: Path
) -> None:
    plain = with_calibration(finished_run, tmp_path / "plain", temperature=1.0)
    cooled = with_calibration(finished_run, tmp_path / "cooled", temperature=2.0)
    for path in sorted(videos.rglob("*.mp4"))[::6]:
        before, after = plain.predict(path), cooled.predict(path)
        assert list(after.probs) == list(before.probs)
        # Half the logits: the square roots of the probabilities, summing to one.
        roots = np.sqrt(list(before.probs.values()))
        assert list(after.probs.values()) == pytest.approx(roots / roots.sum())


def test_below_its_threshold_the_model_abstains(
    finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    answer = load(finished_run.path).predict(clip)
    assert not answer.abstains
    for name, threshold, abstains in (
        ("below", answer.confidence - 0.01, False),
        ("above", answer.confidence + 0.01, True),
    ):
        other = with_calibration(finished_run, tmp_path / name, threshold=threshold).predict(clip)
        assert other.abstains is abstains
        assert other.probs == answer.probs


def test_a_model_from_before_calibration_answers_with_its_plain_probabilities(
    finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    plain = with_calibration(finished_run, tmp_path / "plain", temperature=1.0).predict(clip)
    older = Path(shutil.copytree(finished_run.model, tmp_path / "older"))
    config = json.loads((older / "config.json").read_text())
    del config["temperature"], config["threshold"]
    (older / "config.json").write_text(json.dumps(config))
    answer = load(older).predict(clip)
    assert answer.probs == plain.probs
    assert not answer.abstains


def test_a_folder_that_is_no_run_is_an_error_that_says_what_is_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError) as error:
            filmstrip.load(folder)
        assert str(folder) in error.value.given
        assert "run folder" in error.value.expected


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("model.safetensors", b"", WeightsError),
        ("model.safetensors", b"x" * 1000, WeightsError),
        ("config.json", b"", RunError),
        ("config.json", b"\xff\xfe", RunError),
        ("config.json", b'{"class_names": ["a", "b"]}', RunError),
    ],
)
def test_a_damaged_model_folder_is_an_error_that_names_the_file(
    finished_run: RunFolder, tmp_path: Path, name: str, content: bytes, kind: type[RunError]
) -> None:
    damaged = Path(shutil.copytree(finished_run.model, tmp_path / "model"))
    (damaged / name).write_bytes(content)
    with pytest.raises(kind, match=name):
        filmstrip.load(damaged)


def test_weights_that_were_cut_short_are_an_error(finished_run: RunFolder, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(finished_run.model, tmp_path / "model"))
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        filmstrip.load(damaged)


def test_a_file_that_cannot_be_read_is_a_video_error(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(b"no video" * 100)
    for name in ("noise.mp4", "missing.mp4"):
        with pytest.raises(VideoError, match=name):
            predictor.predict(tmp_path / name)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 3, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
    ],
    ids=["none", "grey", "channels first", "float"],
)
def test_frames_of_another_shape_or_type_are_refused(
    predictor: Predictor, frames: np.ndarray
) -> None:
    with pytest.raises(NoVideoError, match="array of shape"):
        predictor.predict_frames(frames, frames_per_second=10)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(predictor: Predictor, rate: float) -> None:
    with pytest.raises(NoVideoError, match="frames_per_second"):
        predictor.predict_frames(np.zeros((4, 8, 8, 3), np.uint8), rate)


def test_videos_are_found_below_folders_but_hidden_ones(videos: Path, tmp_path: Path) -> None:
    names = ["b/2.mp4", "a.avi", "b/c/1.MKV", ".trash/3.mp4", "b/._2.mp4", "b/notes.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    found = [tmp_path / name for name in ("a.avi", "b/2.mp4", "b/c/1.MKV")]
    assert videos_below([tmp_path]).files == found
    # What is named itself is taken, whatever its name.
    named = [tmp_path / "b" / "notes.txt", tmp_path / "missing.mp4"]
    assert videos_below([*map(str, named), tmp_path / "b" / "c"]).files == [*named, found[2]]


def test_a_folder_without_videos_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match="holds no video"):
        videos_below([tmp_path])
