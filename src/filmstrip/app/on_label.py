"""A command that is run when a live video begins to show a label."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping

from filmstrip.errors import VideoError

_STANDARD_ERROR = 2

MAX_RUNNING = 8
"""How many commands may run at once; a further one is left out, and said."""


class LabelCommand:
    """Runs a command, without a shell and without waiting for its end.

    What the command prints goes to standard error: standard output is for labels, and a command
    that outlives this process would hold a pipe on it open.

    Args:
        command: words as a shell would read them, but nothing in them is expanded.
        say: hears of a command that fails or is left out.

    Raises:
        VideoError: the command has no words, or an open quotation mark.
    """

    def __init__(self, command: str, say: Callable[[str], None]) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise _not_a_command(command, str(error)) from error
        if not self._words:
            raise _not_a_command(command, "no words")
        self._say = say
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, facts: Mapping[str, str]) -> None:
        """Start it with ``facts`` among its environment variables."""
        self._reap(time.monotonic())
        if len(self._running) == MAX_RUNNING:
            self._say(f"--exec: {MAX_RUNNING} commands still run; this one is left out")
            return
        try:
            # The user's own command, asked for on the command line; no shell reads it.
            process = subprocess.Popen(  # noqa: S603
                self._words,
                env={**os.environ, **facts},
                stdin=subprocess.DEVNULL,
                stdout=_STANDARD_ERROR,
            )
        except OSError as error:
            self._say(f"--exec: {self._words[0]} cannot be started ({error.strerror})")
            return
        self._running.append(process)

    def wait(self, seconds: float) -> None:
        """Give what still runs so many seconds to end by itself; name what then still runs."""
        self._reap(time.monotonic() + seconds)
        for process in self._running:
            self._say(f"--exec: {self._words[0]} still runs (process {process.pid}) and goes on")

    def _reap(self, deadline: float) -> None:
        still_running = []
        for process in self._running:
            try:
                code = process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                still_running.append(process)
                continue
            if code:
                self._say(f"--exec: {self._words[0]} ended with code {code}")
        self._running = still_running


def _not_a_command(command: str, reason: str) -> VideoError:
    return VideoError(
        f"--exec {command!r}: {reason}",
        "a program and its arguments",
        "quote it as for a shell, for example --exec 'notify-send alarm'.",
    )
