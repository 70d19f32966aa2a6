from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from filmstrip.dataset.synthetic import render_clip
from filmstrip.inference.predict import load
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe

Filmstrip = Callable[..., Any]


@pytest.fixture(scope="session")
def clip(videos: Path) -> Path:
    return videos / "left" / "left_6.mp4"


def test_a_video_is_answered_in_one_line(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    answer = load(finished_run.path).predict(clip)
    ended = filmstrip("predict", finished_run.path, clip)
    assert ended.exit_code == 0
    assert ended.stdout.split() == [str(clip), answer.label, f"{answer.confidence:.2f}"]
    assert ended.stderr == ""


def test_top_shows_that_many_labels(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    answer = load(finished_run.model).predict(clip)
    words = filmstrip("predict", finished_run.model, clip, "--top", 2).stdout.split()[1:]
    assert words[::2] == list(answer.top(2))
    assert words[1::2] == [f"{prob:.2f}" for prob in answer.top(2).values()]


def test_json_prints_an_object_a_line_for_every_video_of_a_folder(
    filmstrip: Filmstrip, finished_run: RunFolder, videos: Path
) -> None:
    ended = filmstrip("predict", finished_run.path, videos / "up", videos / "left", "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    files = [*sorted((videos / "up").iterdir()), *sorted((videos / "left").iterdir())]
    assert [line["path"] for line in lines] == list(map(str, files))
    for line in lines:
        assert set(line) == {
            *("path", "label", "confidence", "abstains", "unfamiliar", "complete", "misfits"),
            "probs",
        }
        assert set(line["probs"]) == {"left", "right", "up"}
        assert line["confidence"] == line["probs"][line["label"]] == max(line["probs"].values())


@pytest.fixture
def wary_model(finished_run: RunFolder, tmp_path: Path) -> Path:
    """The model of the finished run with a threshold that it never reaches."""
    folder = Path(shutil.copytree(finished_run.model, tmp_path / "wary"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "threshold": 1.0}))
    return folder


def test_an_answer_below_the_threshold_says_that_the_model_abstains(
    filmstrip: Filmstrip, finished_run: RunFolder, wary_model: Path, clip: Path
) -> None:
    sure = filmstrip("predict", finished_run.model, clip)
    wary = filmstrip("predict", wary_model, clip)
    assert wary.stdout.rstrip() == f"{sure.stdout.rstrip()}  abstains"
    for model, abstains in ((finished_run.model, False), (wary_model, True)):
        ended = filmstrip("predict", model, clip, "--json")
        assert json.loads(ended.stdout)["abstains"] is abstains


def test_evaluate_says_how_many_clips_the_model_answers(
    filmstrip: Filmstrip, wary_model: Path, finished_run: RunFolder, videos: Path
) -> None:
    shown = filmstrip("evaluate", wary_model, videos, "--allow-leak")
    assert "sure enough to answer 0.0 % of the test clips." in shown.stdout
    sure = filmstrip("evaluate", finished_run.model, videos, "--allow-leak")
    assert sure.exit_code == 0
    assert "sure enough" not in sure.stdout


@pytest.mark.parametrize("top", [1, 2])
def test_json_with_top_holds_that_many_labels(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, top: int
) -> None:
    ended = filmstrip("predict", finished_run.path, clip, "--json", "--top", top)
    probs = json.loads(ended.stdout)["probs"]
    assert probs == load(finished_run.path).predict(clip).top(top)


def test_an_unreadable_file_is_named_the_others_are_answered_and_the_exit_code_is_1(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    shutil.copy(clip, tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    odd = b"c\xff.mp4".decode(errors="surrogateescape")
    shutil.copy(clip, tmp_path / odd)
    gone = tmp_path / "gone.mp4"
    for arguments in ([], ["--json"]):
        ended = filmstrip("predict", finished_run.path, tmp_path, gone, *arguments)
        assert ended.exit_code == 1
        lines = ended.stdout.splitlines()
        assert len(lines) == 2
        assert "a.mp4" in lines[0]
        assert r"c\udcff.mp4" in lines[1]
        assert ended.stderr.count("Error: ") == ended.stderr.count("Next: ") == 2
        assert f"Error: {tmp_path / 'b.mp4'}" in ended.stderr
        assert f"Error: {gone}: there is no such file" in ended.stderr
        assert "2 of 4 videos could not be read" in ended.stderr


def test_render_draws_the_labels_onto_a_copy(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drawn.mp4"
    ended = filmstrip("predict", finished_run.path, clip, "--render", out, "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["path"] == str(clip)
    assert f"Labels drawn onto {out}." in ended.stderr
    assert probe(out).num_frames == probe(clip).num_frames
    assert out.read_bytes() != clip.read_bytes()


def test_render_with_two_videos_is_refused_before_any_is_answered(
    filmstrip: Filmstrip, finished_run: RunFolder, videos: Path, tmp_path: Path
) -> None:
    ended = filmstrip("predict", finished_run.path, videos, "--render", tmp_path / "out.mp4")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "with 24 videos" in ended.stderr


def test_predict_names_empty_folders_and_counts_others(
    finished_run: RunFolder, videos: Path, tmp_path: Path, filmstrip: Filmstrip
) -> None:
    for name in ("empty/notes.txt", "mixed/a.TXT", "mixed/b.txt", "mixed/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(videos / "left" / "left_0.mp4", tmp_path / "mixed")
    mixed, empty = tmp_path / "mixed", tmp_path / "empty"
    done = filmstrip("predict", finished_run.path, mixed)
    assert (done.exit_code, done.stderr) == (0, "Left out: 2 .txt, 1 .jpg (not videos).\n")
    done = filmstrip("predict", finished_run.path, empty, mixed)
    assert done.exit_code == 1
    assert f"{mixed}/left_0.mp4" in done.stdout
    assert f"Left out: {empty}: no video in it or below it" in done.stderr


def test_predict_marks_what_is_unlike_the_training_set(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    frames = render_clip("growing", np.random.default_rng(0))
    write_video(tmp_path / "other.mp4", frames, 16)
    ended = filmstrip("predict", finished_run.path, clip, tmp_path / "other.mp4")
    own, other = ended.stdout.splitlines()
    assert "unfamiliar" not in own
    assert other.endswith("unfamiliar")
    line = filmstrip("predict", finished_run.path, tmp_path / "other.mp4", "--json").stdout
    assert json.loads(line)["unfamiliar"] is True


def test_predict_of_a_model_with_nan_weights_prints_no_answer(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(finished_run.model, tmp_path / "model"))
    tensors = load_file(model / "model.safetensors")
    name = next(name for name in tensors if name.endswith("classify.bias"))
    tensors[name][0] = float("nan")
    save_file(tensors, model / "model.safetensors")
    ended = filmstrip("predict", model, clip, "--json")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert name in ended.stderr.replace("\n", "")


PREDICT = """
import sys
import filmstrip.inference.predict as module
from filmstrip.app.cli import main

module.load(sys.argv[2]).predict(sys.argv[4])
load = module.load
def load_then_limit(*arguments, **settings):
    predictor = load(*arguments, **settings)
    predictor.predict(sys.argv[4])
    limit_memory(60)
    return predictor
module.load = load_then_limit
main()
"""


def test_predict_goes_on_after_a_file_that_memory_does_not_hold(
    finished_run: RunFolder,
    clip: Path,
    large_video: Path,
    in_little_memory: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    arguments = ("predict", finished_run.path, large_video, clip, "--engine", "eager-fp32")
    ended = in_little_memory(PREDICT, *arguments)
    assert "Traceback" not in ended.stderr
    assert f"Error: {large_video}: could not be read now, not enough memory" in ended.stderr
    assert ended.stdout.startswith(str(clip))
    assert ended.returncode == 1


def test_predict_needs_no_cache_and_warns_once(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = filmstrip("predict", finished_run.path, clip).stdout
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    ended = filmstrip("predict", finished_run.path, clip, clip, "--engine", "onnxruntime-fp32")
    assert ended.exit_code == 0
    assert ended.stdout == 2 * expected
    assert ended.stderr.count("WARNING") == 1


@pytest.mark.parametrize("has_length", [True, False])
def test_predict_answers_an_address_as_its_file(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    serve: Callable[..., Any],
    tmp_path: Path,
    has_length: bool,
) -> None:
    content = clip.read_bytes()
    length = len(content) if has_length else None
    server = serve([content], path="/a/clip.mp4", length=length)
    gone = serve([b"no video"], path="/gone.mp4")
    of_file = json.loads(filmstrip("predict", finished_run.path, clip, "--json").stdout)
    sources = (gone.address, server.address, clip)
    ended = filmstrip("predict", finished_run.path, *sources, "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["path"] for line in lines] == [server.address, str(clip)]
    assert {**lines[0], "path": str(clip)} == of_file == lines[1]
    assert ended.exit_code == 1
    assert f"Error: {gone.address}: not a video" in ended.stderr


def test_predict_answers_standard_input_as_its_file(finished_run: RunFolder, clip: Path) -> None:
    command = [sys.executable, "-c", "from filmstrip.app.cli import main; main()"]
    arguments = ["predict", str(finished_run.path), "-", str(clip), "--json"]
    ended = subprocess.run(
        [*command, *arguments], input=clip.read_bytes(), capture_output=True, check=True
    )
    piped, of_file = (json.loads(line) for line in ended.stdout.splitlines())
    assert {**piped, "path": str(clip)} == of_file
    assert piped["path"] == "-"


def test_predictor_takes_an_address(
    finished_run: RunFolder, clip: Path, serve: Callable[..., Any]
) -> None:
    predictor = load(finished_run.path)
    address = serve([clip.read_bytes()], path="/clip.mp4").address
    answer = predictor.predict(address)
    assert answer.path == address
    assert answer.probs == predictor.predict(clip).probs


@pytest.mark.parametrize("command", ["predict", "timeline", "explain", "extract"])
def test_commands_for_files_point_from_live_sources_to_stream(
    filmstrip: Filmstrip, finished_run: RunFolder, command: str
) -> None:
    run = [] if command == "extract" else [finished_run.path]
    ended = filmstrip(command, *run, "rtsp://127.0.0.1:9/live")
    assert ended.exit_code == 1
    assert "filmstrip stream" in ended.stderr
    assert "Traceback" not in ended.stderr
