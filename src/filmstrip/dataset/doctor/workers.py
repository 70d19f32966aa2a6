"""Work on strangers' files in processes that may crash or hang without taking anything along.

``concurrent.futures`` gives up the whole pool when one process dies, and cannot end one that is
stuck. Here each process has a pipe of its own: when it dies, or is silent for too long and is
killed, its file is told of and another process takes its place.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")
Work = Callable[[Path, Callable[[], None]], Answer]
"""Called in another process with a path, and a function to call often as a sign of life."""

_SECONDS_BETWEEN_BEATS = 1.0
# By these a decoder ends on bad input.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
# A fresh process for each worker: a fork would copy the locks of torch's threads as they are.
_CONTEXT = get_context("spawn")


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came: the process crashed, was killed for its silence, or lacked memory.

    Attributes:
        words: what happened.
        passing: whether the machine is to blame, and not the file: the process was killed, as the
            system does where memory is short, or Python itself failed.
    """

    words: str
    passing: bool = False


def work_through(
    work: Work[Answer], paths: Sequence[Path], num_workers: int, silence_seconds: float
) -> Iterator[tuple[Path, Answer | Lost]]:
    """Do ``work`` on each path, in as many processes as wished, answers in any order.

    Args:
        work: a function that can be imported, and its answer sent through a pipe.
        paths: what to work on.
        num_workers: processes.
        silence_seconds: a process that gives no sign of life for so long is killed.

    Raises:
        Exception: what ``work`` itself raised, which ends all the work.
    """
    waiting = list(reversed(paths))
    workers = [_Worker(work) for _ in range(min(num_workers, len(paths)))]
    try:
        while True:
            for worker in workers:
                if worker.path is None and waiting:
                    worker.take(waiting.pop())
            busy = [worker for worker in workers if worker.path is not None]
            if not busy:
                return
            deadline = min(worker.heard_at for worker in busy) + silence_seconds
            wait([worker.pipe for worker in busy], timeout=max(deadline - time.monotonic(), 0))
            for worker in busy:
                yield from worker.hear(silence_seconds)
    finally:
        for worker in workers:
            worker.stop()


@dataclass
class _Worker(Generic[Answer]):
    """One process, replaced by another whenever it is lost."""

    work: Work[Answer]
    path: Path | None = None
    heard_at: float = 0.0
    pipe: Connection = field(init=False)
    process: BaseProcess = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def take(self, path: Path) -> None:
        """Begin with a path."""
        self.path, self.heard_at = path, time.monotonic()
        with suppress(BrokenPipeError):  # it died while idle: hear() finds out
            self.pipe.send(path)

    def hear(self, silence_seconds: float) -> Iterator[tuple[Path, Answer | Lost]]:
        """What has come through the pipe: nothing, a sign of life, an answer, or its end."""
        path = self.path
        if path is None:
            return
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                self.heard_at = time.monotonic()
                if isinstance(message, _Raised):
                    raise message.error
                if isinstance(message, Lost):
                    self.path = None
                    yield path, message
                    return
                if isinstance(message, _Answered):
                    self.path = None
                    answer: Answer = message.answer
                    yield path, answer
                    return
        except (EOFError, ConnectionResetError):
            self.process.join()
            yield self._lose(path, *_end_of(self.process.exitcode or 0))
            return
        if time.monotonic() - self.heard_at >= silence_seconds:
            yield self._lose(path, f"the decoder was stuck for {silence_seconds:g} s")

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _start(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, self.work), daemon=True)
        self.process.start()
        theirs.close()

    def _lose(self, path: Path, words: str, passing: bool = False) -> tuple[Path, Lost]:
        self.stop()
        self._start()
        self.path = None
        return path, Lost(words, passing)


def _end_of(exit_code: int) -> tuple[str, bool]:
    """Say how a process ended, and whether the machine is to blame."""
    if -exit_code in _CRASHES:
        return f"the decoder crashed (exit code {exit_code})", False
    if exit_code < 0:
        words = (
            f"the decoding process was killed (signal {-exit_code}), perhaps as memory was short"
        )
    else:
        words = f"the decoding process failed (exit code {exit_code}), perhaps as memory was short"
    return words, True


@dataclass(frozen=True)
class _Answered:
    answer: Any


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _serve(pipe: Connection, work: Work[Answer]) -> None:
    """The life of a worker: paths in, answers out, until the pipe is closed."""
    beaten_at = 0.0

    def beat() -> None:
        nonlocal beaten_at
        if time.monotonic() - beaten_at >= _SECONDS_BETWEEN_BEATS:
            beaten_at = time.monotonic()
            pipe.send(None)

    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            path = pipe.recv()
            try:
                answer = work(path, beat)
            except MemoryError:
                pipe.send(Lost("could not be read now, not enough memory", passing=True))
            except Exception as error:
                pipe.send(_Raised(error))
            else:
                pipe.send(_Answered(answer))
