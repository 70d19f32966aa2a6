"""Videos that are not complete: answered and marked, left out of trainings, reported."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.errors import VideoError
from filmstrip.inference.predict import Predictor, load
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video

Filmstrip = Callable[..., Any]


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


@pytest.fixture(params=["mkv", "mp4", "avi"])
def cut_clip(request: pytest.FixtureRequest, videos: Path, tmp_path: Path) -> Path:
    """Two thirds of a clip of the class ``right``, in each container."""
    frames = np.stack([frame for _, frame in iterate_frames(videos / "right" / "right_2.mp4")])
    path = tmp_path / f"cut.{request.param}"
    write_video(path, np.concatenate([frames, frames[::-1]]), 12, options={"bf": "0"})
    if request.param == "mp4":
        _move_index_to_front(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


def _move_index_to_front(path: Path) -> None:
    import av

    moved = path.with_name("moved.mp4")
    with (
        av.open(str(path)) as old,
        av.open(str(moved), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    moved.replace(path)


def test_predict_answers_a_cut_video_from_what_is_left(
    predictor: Predictor, cut_clip: Path
) -> None:
    answer = predictor.predict(cut_clip)
    assert not answer.complete
    assert answer.missing
    frames = np.stack([frame for _, frame in iterate_frames(cut_clip, keep_incomplete=True)])
    left = predictor.predict_frames(frames, frames_per_second=12)
    assert left.complete
    assert answer.probs == pytest.approx(left.probs, abs=1e-3)


def test_predict_marks_incomplete_answers_in_json_and_on_the_console(
    filmstrip: Filmstrip, finished_run: RunFolder, cut_clip: Path, videos: Path
) -> None:
    whole = videos / "up" / "up_1.mp4"
    done = filmstrip("predict", finished_run.path, cut_clip, whole, "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["complete"] for line in done.stdout.splitlines()] == [False, True]
    assert f"Incomplete: {cut_clip}" in done.stderr
    done = filmstrip("predict", finished_run.path, cut_clip, whole)
    assert [line.endswith("  incomplete") for line in done.stdout.splitlines()] == [True, False]


def test_predict_renders_what_there_is_of_a_cut_video(
    filmstrip: Filmstrip, finished_run: RunFolder, cut_clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labelled.mp4"
    assert filmstrip("predict", finished_run.path, cut_clip, "--render", out).exit_code == 0
    assert 0 < sum(1 for _ in iterate_frames(out)) < 24


def test_predict_refuses_what_has_no_frame_left(
    predictor: Predictor, videos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes((videos / "up" / "up_1.mp4").read_bytes()[:300])
    with pytest.raises(VideoError):
        predictor.predict(path)


def test_timeline_writes_that_its_recording_is_not_complete(
    filmstrip: Filmstrip, finished_run: RunFolder, cut_clip: Path, videos: Path, tmp_path: Path
) -> None:
    for path, is_complete in ((cut_clip, False), (videos / "up" / "up_1.mp4", True)):
        out = tmp_path / "out.json"
        done = filmstrip("timeline", finished_run.path, path, "--window", "0.5", "--out", out)
        assert done.exit_code == 0
        written = json.loads(out.read_text())
        assert written["complete"] is is_complete
        assert (written["missing"] is None) is is_complete
        assert written["gaps"] == []
        assert ("is not complete" in done.stderr or "corrupt" in done.stderr) is not is_complete


def test_stream_ends_with_whether_its_file_was_complete(
    filmstrip: Filmstrip, finished_run: RunFolder, cut_clip: Path, videos: Path
) -> None:
    for path, is_complete in ((cut_clip, False), (videos / "up" / "up_1.mp4", True)):
        done = filmstrip("stream", finished_run.path, path, "--json")
        last = json.loads(done.stdout.splitlines()[-1])
        assert (last["event"], last["complete"]) == ("end", is_complete)


def test_extract_takes_what_there_is_and_names_it(
    filmstrip: Filmstrip, cut_clip: Path, videos: Path, tmp_path: Path
) -> None:
    whole, out = videos / "up" / "up_1.mp4", tmp_path / "features"
    for _ in range(2):  # computed, then read from the cache
        done = filmstrip("extract", cut_clip, whole, "--recipe", "mean-linear", "--out", out)
        assert done.exit_code == 0
        assert f"Incomplete: {cut_clip}" in done.stderr.replace("\n", "")
    with (out / "index.csv").open(newline="") as file:
        missing = {Path(row["path"]).name: row["missing"] for row in csv.DictReader(file)}
    assert missing[cut_clip.name]
    assert missing[whole.name] == ""


@pytest.mark.parametrize("keeps", [False, True])
def test_train_leaves_incomplete_clips_out_unless_told_otherwise(
    keeps: bool, filmstrip: Filmstrip, own_videos: Path, tmp_path: Path
) -> None:
    clip = own_videos / "up" / "up_3.mp4"
    frames = np.stack([frame for _, frame in iterate_frames(clip)])
    clip.unlink()
    path = clip.with_suffix(".mkv")
    write_video(path, frames, 12)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    out = tmp_path / "run"
    options = ["--recipe", "mean-linear", "--set", "framing.size=32", "--epochs", "1"]
    options += ["--keep-incomplete"] * keeps
    done = filmstrip("train", own_videos, "--out", out, *options)
    assert done.exit_code == 0
    splits = (out / "splits.csv").read_text()
    assert ("up_3" in splits) is keeps
    told = (out / "skipped.csv").read_text() if not keeps else ""
    assert ("--keep-incomplete" in told) is not keeps
    assert ("skipped.csv" in done.stderr) is not keeps
    if keeps:  # what was kept in training is measured again
        with (out / "splits.csv").open(newline="") as file:
            sides = [row["split"] for row in csv.DictReader(file)]
        measured = filmstrip("evaluate", out, "--split", "train", "--json")
        assert json.loads(measured.stdout)["num_clips"] == sides.count("train")


def test_doctor_reports_gaps_and_joined_recordings(
    filmstrip: Filmstrip, own_videos: Path, transport_stream: Callable[..., bytes]
) -> None:
    import av

    frames = np.stack([frame for _, frame in iterate_frames(own_videos / "up" / "up_3.mp4")])
    (own_videos / "up" / "joined.ts").write_bytes(
        transport_stream(frames) + transport_stream(frames[::-1])
    )
    with av.open(str(own_videos / "up" / "gap.mkv"), "w") as container:
        stream = container.add_stream("libx264", 10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 600 * (number >= 6)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    done = filmstrip("doctor", own_videos, "--json")
    found = {one["kind"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["gap"]["paths"] == ["up/gap.mkv"]
    assert found["gap"]["figures"]["longest_seconds"] == pytest.approx(60.1, abs=0.01)
    assert found["joined"]["paths"] == ["up/joined.ts"]
    assert "corrupt" not in found
