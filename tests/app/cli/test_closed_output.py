"""Commands whose reader is gone, or whose standard streams were closed by the caller."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from filmstrip.training.run_folder import RunFolder

FILMSTRIP = [sys.executable, "-c", "from filmstrip.app.cli import main; main()"]
CLOSED = 141


def call(arguments: list[object], redirections: str = "") -> subprocess.CompletedProcess[bytes]:
    words = shlex.join([*FILMSTRIP, *map(str, arguments)])
    return subprocess.run(["/bin/sh", "-c", f"{words} {redirections}"], capture_output=True)


def call_without_reader(arguments: list[object]) -> subprocess.CompletedProcess[bytes]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        words = [*FILMSTRIP, *map(str, arguments)]
        return subprocess.run(words, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)


@pytest.mark.parametrize("arguments", [["--help"], ["recipes"], ["recipes", "lite-gru"]])
def test_a_reader_that_is_gone_ends_the_command(arguments: list[object]) -> None:
    ended = call_without_reader(arguments)
    assert (ended.returncode, ended.stderr) == (CLOSED, b"")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_predict_ends_when_the_reader_is_gone(
    options: list[object], finished_run: RunFolder, videos: Path
) -> None:
    ended = call_without_reader(["predict", finished_run.path, videos, *options])
    assert (ended.returncode, ended.stderr) == (CLOSED, b"")


def test_a_closed_standard_output_ends_the_command() -> None:
    ended = call(["recipes"], ">&-")
    assert (ended.returncode, ended.stderr) == (CLOSED, b"")


def test_a_closed_standard_output_never_ends_up_in_a_file(tmp_path: Path) -> None:
    saved = tmp_path / "my.yaml"
    ended = call(["recipes", "lite-gru", "--save", saved], ">&- 2>&- <&-")
    assert ended.returncode == 0
    assert saved.read_text().startswith("name: lite-gru\n")


def test_closed_messages_do_not_stop_the_answer() -> None:
    ended = call(["recipes"], "2>&-")
    assert ended.returncode == 0
    assert b"lite-gru" in ended.stdout


def test_an_error_keeps_its_code_when_all_is_closed(tmp_path: Path) -> None:
    assert call(["recipes", "no-such"], ">&- 2>&- <&-").returncode == 1


def test_a_broken_pipe_between_processes_is_not_hidden() -> None:
    program = (
        "import filmstrip.app.cli as cli\n"
        "@cli.app.command()\n"
        "def broken(): raise BrokenPipeError('of a worker')\n"
        "cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program, "broken"], capture_output=True)
    assert ended.returncode == 1
    assert b"BrokenPipeError: of a worker" in ended.stderr
