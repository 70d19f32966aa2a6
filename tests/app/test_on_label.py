from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from filmstrip.app.on_label import LabelCommand

PROGRAM = """
import sys
from filmstrip.app.on_label import LabelCommand
said = []
command = LabelCommand(sys.argv[1], said.append)
command.run({"FILMSTRIP_LABEL": "fall"})
command.wait(float(sys.argv[2]))
print("answer", *said, flush=True)
"""


def test_a_command_prints_to_standard_error() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "sh -c 'echo $FILMSTRIP_LABEL'", "60"],
        capture_output=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == (b"answer\n", b"fall\n")


def test_a_command_that_goes_on_holds_no_pipe_of_standard_output() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sleep 600", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        shown = process.stdout.read().decode()  # until the last holder has closed the pipe
    number = int(shown.partition("(process ")[2].partition(")")[0])
    assert f"--exec: sleep still runs (process {number}) and goes on" in shown
    os.kill(number, signal.SIGKILL)


def test_wait_has_one_limit_for_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    command = LabelCommand("sleep 600", said.append)
    for _ in range(3):
        command.run({})
    running = list(command._running)
    waited: list[float] = []
    for process in running:
        monkeypatch.setattr(process, "wait", _never_ends(waited))
    command.wait(0.2)
    assert waited[0] <= 0.2
    assert waited[1:] == [0, 0]
    assert len(said) == 3
    for process in running:
        process.kill()
        subprocess.Popen.wait(process)


def _never_ends(waited: list[float]):
    def wait(seconds: float) -> int:
        waited.append(seconds)
        time.sleep(seconds + 0.01)
        raise subprocess.TimeoutExpired("sleep", seconds)

    return wait
