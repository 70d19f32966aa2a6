from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.inference.predict import load
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import iterate_frames
from filmstrip.video.probe import probe

Filmstrip = Callable[..., Any]


@pytest.fixture(scope="session")
def clip(videos: Path) -> Path:
    return videos / "left" / "left_6.mp4"


def _last(stdout: str, source: Path | str) -> dict[str, Any]:
    lines = [json.loads(line) for line in stdout.splitlines()]
    ends = [line for line in lines if line["source"] == str(source) and line["event"] == "end"]
    assert len(ends) == 1
    return ends[0]


def test_a_file_ends_with_the_answer_of_predict_and_says_what_was_seen(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    ended = filmstrip("stream", finished_run.path, clip, "--json")
    assert ended.exit_code == 0
    answer = load(finished_run.path).predict(clip)
    last = _last(ended.stdout, clip)
    assert last["probs"] == pytest.approx(answer.probs, abs=1e-4)
    assert last["time_seconds"] == pytest.approx(1)
    assert f"{clip}: 12 frames in 1.0 s, 10 seen by the network, 0 dropped" in ended.stderr


def test_a_line_comes_only_when_the_label_changes(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    lines = filmstrip("stream", finished_run.path, clip, "--json").stdout.splitlines()
    labels = [json.loads(line)["label"] for line in lines[:-1]]
    assert all(one != other for one, other in pairwise(labels))
    plain = filmstrip("stream", finished_run.path, clip).stdout.splitlines()
    assert [line.split()[2] for line in plain] == labels
    assert plain[0].split()[:2] == ["00:00:00.000", str(clip)]
    assert filmstrip("stream", finished_run.path, clip, "--min-confidence", 1).stdout == ""


def test_several_sources_are_answered_each_as_if_alone(
    filmstrip: Filmstrip, finished_run: RunFolder, videos: Path
) -> None:
    clips = [videos / motion / f"{motion}_3.mp4" for motion in ("left", "right", "up")]
    ended = filmstrip("stream", finished_run.path, *clips, "--json")
    for clip in clips:
        answer = load(finished_run.path).predict(clip)
        assert _last(ended.stdout, clip)["probs"] == pytest.approx(answer.probs, abs=1e-4)


def test_at_real_time_a_file_comes_to_the_same_end(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    ended = filmstrip("stream", finished_run.path, clip, "--json", "--real-time")
    assert _last(ended.stdout, clip)["time_seconds"] == pytest.approx(1)


def test_a_source_that_cannot_be_opened_is_named_and_the_others_go_on(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/x.ts"
    gone = tmp_path / "gone.mp4"
    ended = filmstrip("stream", finished_run.path, gone, clip, address, "--json", "--once")
    assert ended.exit_code == 1
    assert _last(ended.stdout, clip)
    assert f"Error: {gone}: there is no such file" in ended.stderr
    assert f"Error: {address}: cannot be opened (Connection refused)" in ended.stderr
    # Of what showed no frame there is nothing to sum up.
    assert ended.stderr.count("seen by the network") == 1


def test_a_server_is_watched_and_waited_for(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
) -> None:
    frames = np.stack([frame for _, frame in iterate_frames(clip)])
    sent = transport_stream(frames)
    parts = [sent[: len(sent) // 2], 0.2, sent[len(sent) // 2 :]]
    server = serve(parts)
    ended = filmstrip("stream", finished_run.path, server.address, "--json", "--once")
    assert ended.exit_code == 0
    assert _last(ended.stdout, server.address)["time_seconds"] == pytest.approx(1.2)
    assert server.num_connections == 1


def test_a_camera_is_watched_over_rtsp_until_it_says_goodbye(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    serve_rtsp: Callable[..., Any],
    transport_stream: Callable[..., bytes],
) -> None:
    frames = np.stack([picture for _, picture in iterate_frames(clip)])
    camera = serve_rtsp([transport_stream(frames, 12)], is_paced=True)
    ended = filmstrip("stream", finished_run.path, camera.address, "--json", "--once")
    assert ended.exit_code == 0
    last = _last(ended.stdout, camera.address)
    assert last["time_seconds"] == pytest.approx(1, abs=1e-3)
    assert f"{camera.address}: " in ended.stderr
    counts = re.search(
        r"(\d+) frames in 1.0 s, \d+ seen by the network, (\d+) dropped", ended.stderr
    )
    assert counts is not None
    assert sum(map(int, counts.groups())) == 12


@pytest.mark.parametrize("engine", ["onnxruntime-fp32", "openvino-fp32"])
def test_another_engine_gives_the_same_answers(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, engine: str
) -> None:
    expected = load(finished_run.path, "eager-fp32").predict(clip).probs
    ended = filmstrip("stream", finished_run.path, clip, clip, "--json", "--engine", engine)
    ends = [json.loads(line) for line in ended.stdout.splitlines()]
    ends = [line["probs"] for line in ends if line["event"] == "end"]
    assert len(ends) == 2
    for probs in ends:
        assert probs == pytest.approx(expected, abs=1e-4)
    ended = filmstrip("predict", finished_run.path, clip, "--json", "--engine", engine)
    assert json.loads(ended.stdout)["probs"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("command", ["predict", "stream", "timeline"])
def test_an_engine_that_cannot_answer_is_refused(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, command: str
) -> None:
    for engine in ("openvino-int8", "eager-fp23"):
        ended = filmstrip(command, finished_run.path, clip, "--engine", engine)
        assert ended.exit_code == 1
        assert f"--engine {engine}" in ended.stderr
        assert "onnxruntime-fp32" in ended.stderr


@pytest.mark.parametrize("kind", ["container", "raw"])
def test_standard_input_is_watched(
    finished_run: RunFolder,
    clip: Path,
    transport_stream: Callable[..., bytes],
    kind: str,
) -> None:
    frames = np.stack([frame for _, frame in iterate_frames(clip)])
    sent = transport_stream(frames) if kind == "container" else frames.tobytes()
    options = [] if kind == "container" else ["--raw", "48x48@10", "--memory", "inf"]
    command = [sys.executable, "-c", "from filmstrip.app.cli import main; main()"]
    ended = subprocess.run(
        [*command, "stream", str(finished_run.path), "-", "--json", *options],
        input=sent,
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer = load(finished_run.path).predict_frames(frames, 10)
    last = _last(ended.stdout.decode(), "-")
    assert last["probs"] == pytest.approx(answer.probs, abs=1e-4 if kind == "raw" else 0.05)


def test_a_command_runs_when_its_label_begins_and_no_shell_reads_it(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    label = json.loads(
        filmstrip("stream", finished_run.path, clip, "--json").stdout.splitlines()[-1]
    )["label"]
    script = tmp_path / "note.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "words = [*sys.argv[2:], *(os.environ['FILMSTRIP_' + name] for name in "
        "('LABEL', 'CONFIDENCE', 'SOURCE', 'TIME_SECONDS'))]\n"
        "pathlib.Path(sys.argv[1]).write_text('|'.join(words))\n"
    )
    note = tmp_path / "a note"
    ended = filmstrip(
        *("stream", finished_run.path, clip, "--on-label", label, "--exec"),
        f"{sys.executable} {script} '{note}' $HOME; ls",
    )
    assert ended.exit_code == 0
    home, ls, *facts = note.read_text().split("|")
    assert (home, ls) == ("$HOME;", "ls")
    assert (facts[0], facts[2]) == (label, str(clip))
    assert 0 < float(facts[1]) <= 1
    assert 0 <= float(facts[3]) <= 1


def test_a_command_that_fails_is_said_and_stops_nothing(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    labels = [part for name in ("left", "right", "up") for part in ("--on-label", name)]
    for command, words in (("false", "ended with code 1"), ("/no/such", "cannot be started")):
        ended = filmstrip("stream", finished_run.path, clip, *labels, "--exec", command)
        assert ended.exit_code == 0
        assert f"--exec: {command} {words}" in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--on-label", "left"], "--on-label without --exec"),
        (["--exec", "true"], "--exec without --on-label"),
        (["--on-label", "lift", "--exec", "true"], "Did you mean 'left'?"),
        (["--on-label", "left", "--exec", "echo 'x"], "No closing quotation"),
        (["--webhook", "file:///etc/passwd"], "http://"),
        (["--memory", "0"], "memory of 0"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, options: list[str], words: str
) -> None:
    ended = filmstrip("stream", finished_run.path, clip, *options)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert words in ended.stderr


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that takes events, and what it was sent."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/events", events
    server.shutdown()
    server.server_close()


def test_changes_of_label_are_posted_to_a_webhook(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    receiver: tuple[str, list[dict[str, Any]]],
) -> None:
    url, events = receiver
    ended = filmstrip("stream", finished_run.path, clip, "--json", "--webhook", url)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events == lines[:-1]  # the last line tells of the end
    label = events[0]["label"]
    other = next(name for name in ("left", "right", "up") if name != label)
    del events[:]
    filmstrip("stream", finished_run.path, clip, "--webhook", url, "--on-label", other)
    assert all(event["label"] == other for event in events)


def test_a_webhook_that_does_not_answer_is_said_and_stops_nothing(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    ended = filmstrip("stream", finished_run.path, clip, "--json", "--webhook", url)
    assert ended.exit_code == 1
    assert _last(ended.stdout, clip)
    assert "--webhook: an event was not delivered" in ended.stderr
    assert re.search(r"--webhook: (\d+) of \1 events were not delivered", ended.stderr)


def test_a_copy_with_labels_keeps_the_time(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy.mp4"
    ended = filmstrip("stream", finished_run.path, clip, "--render", out)
    assert ended.exit_code == 0
    info = probe(out)
    assert (info.width, info.height) == (48, 48)
    assert info.duration_seconds == pytest.approx(11 / 12, abs=0.05)
    refused = filmstrip("stream", finished_run.path, clip, clip, "--render", out)
    assert refused.exit_code == 1
    assert "with 2 sources" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
    tmp_path: Path,
    number: int,
) -> None:
    before = signal.getsignal(number)
    rng = np.random.default_rng(0)
    sent = transport_stream(rng.integers(0, 256, (40, 96, 128, 3), dtype=np.uint8))
    server = serve([sent, None])

    def send_once_it_draws() -> None:
        while {path.suffix for path in tmp_path.iterdir()} <= {".ts"}:  # what is sent is there
            time.sleep(0.05)
        time.sleep(2)
        os.kill(os.getpid(), number)

    threading.Thread(target=send_once_it_draws, daemon=True).start()
    out = tmp_path / "copy.mkv"
    # Eagerly: a trial would take the seconds in which the frames come.
    options = ("--json", "--render", out, "--engine", "eager-fp32")
    ended = filmstrip("stream", finished_run.path, server.address, *options)
    assert ended.exit_code == 0
    assert _last(ended.stdout, server.address)
    assert probe(out).num_frames > 10
    assert signal.getsignal(number) == before


def test_no_thread_outlives_the_command(
    filmstrip: Filmstrip, finished_run: RunFolder, clip: Path
) -> None:
    filmstrip("stream", finished_run.path, clip, "--memory", "1")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader of")]


@pytest.mark.parametrize("command", ["stream", "timeline"])
def test_watching_needs_no_cache_and_warns_once(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    ended = filmstrip(command, finished_run.path, clip, "--engine", "onnxruntime-fp32")
    assert ended.exit_code == 0
    assert ended.stderr.count("WARNING") == 1


def test_stream_answers_an_address_with_an_end_as_its_file(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    frames = np.concatenate([np.stack([frame for _, frame in iterate_frames(clip)])] * 5)
    path = tmp_path / "clip.ts"
    path.write_bytes(transport_stream(frames, 12))
    # Eagerly: half an hour is expected of an address, for which another engine may be chosen.
    options = ("--json", "--engine", "eager-fp32")
    of_file = _last(filmstrip("stream", finished_run.path, path, *options).stdout, path)
    server = serve([path.read_bytes()], length=path.stat().st_size)
    ended = filmstrip("stream", finished_run.path, server.address, *options)
    assert ended.exit_code == 0
    of_address = _last(ended.stdout, server.address)
    assert of_address["label"] == of_file["label"]
    assert of_address["probs"] == pytest.approx(of_file["probs"], abs=1e-5)
    assert of_address["time_seconds"] == of_file["time_seconds"]
    assert "60 frames in 5.0 s" in ended.stderr
    assert "0 dropped" in ended.stderr


def test_stream_names_an_address_that_breaks_off_before_its_end(
    filmstrip: Filmstrip,
    finished_run: RunFolder,
    clip: Path,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
) -> None:
    sent = transport_stream(np.stack([frame for _, frame in iterate_frames(clip)]), 12)
    server = serve([sent[: 188 * (len(sent) // 376)]], length=len(sent))
    ended = filmstrip("stream", finished_run.path, server.address, "--json")
    assert ended.exit_code == 1
    assert f"Error: {server.address}: broke off after" in ended.stderr
    assert server.num_connections == 1
