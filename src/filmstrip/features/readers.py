"""Clips are read in processes beside this one: threads would wait for each other's Python.

A fast network asks for more frames than one process can decode. Each process starts in its own
time; until it is ready, clips are read here. They are programs of their own, not multiprocessing's:
that would run the user's script once more in each.
"""

from __future__ import annotations

import json
import math
import mmap
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import ResourceError, VideoError
from filmstrip.features.entry import ClipFacts
from filmstrip.features.source import ClipReader
from filmstrip.video.sampling import UniformSampling

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a file without a name, as in any other folder


class Readers:
    """Reads clips in several processes; ``read`` may be called from as many threads.

    Args:
        reader: what reads a clip in this process.
        num_processes: how many others there are; they are started by the first ``read``.
    """

    def __init__(self, reader: ClipReader, num_processes: int) -> None:
        self._reader = reader
        self._num_processes = num_processes
        self._starting = threading.Lock()
        self._free: queue.SimpleQueue[_ReaderProcess] = queue.SimpleQueue()
        self._all: list[_ReaderProcess] = []

    def read(self, row: VideoRow) -> tuple[NDArray[np.uint8], ClipFacts]:
        """As ``ClipReader.read``, in a process that is free.

        Raises:
            VideoError: the file cannot be read, or the process that read it crashed.
        """
        if row.packed_index is not None:
            return self._reader.read(row)
        self._start()
        try:
            process = self._free.get_nowait()
        except queue.Empty:
            return self._reader.read(row)
        try:
            return process.read(row.path) if process.is_ready() else self._reader.read(row)
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.close()

    def _start(self) -> None:
        with self._starting:
            if not self._all:
                self._all = [_ReaderProcess(self._reader) for _ in range(self._num_processes)]
                for process in self._all:
                    self._free.put(process)


class _ReaderProcess:
    """One process, replaced by another if it dies."""

    def __init__(self, reader: ClipReader) -> None:
        sampling, framing = reader.sampling, reader.framing
        num_frames = (
            sampling.num_frames if isinstance(sampling, UniformSampling) else sampling.max_frames
        )
        self._file = _file_in_memory(num_frames * framing.size**2 * 3)
        self._shared = mmap.mmap(self._file.fileno(), 0)
        self._settings = json.dumps(
            {
                "sampling": sampling.model_dump(),
                "framing": framing.model_dump(),
                "shared_file": self._file.fileno(),
            }
        )
        self._start()

    def _start(self) -> None:
        self._is_ready = False
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "filmstrip.features.reader_process", self._settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._file.fileno()],
        )
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)

    def is_ready(self) -> bool:
        """Whether it has started; never waits."""
        if not self._is_ready and select.select([self._answers], [], [], 0)[0]:
            self._is_ready = self._next_answer() is not None
        return self._is_ready

    def read(self, path: Path) -> tuple[NDArray[np.uint8], ClipFacts]:
        """Frames (T, S, S, 3) uint8 and the facts of the clip at ``path``.

        Raises:
            VideoError: the file cannot be read, or the process crashed.
        """
        with suppress(BrokenPipeError):  # it has died: no answer comes
            self._requests.write(json.dumps(str(path)).encode() + b"\n")
            self._requests.flush()
        answer = self._next_answer()
        if answer is None:
            exit_code = self._process.wait()
            self._stop()
            self._start()
            raise _lost(path, exit_code)
        if "error" in answer:
            kind = ResourceError if answer["passing"] else VideoError
            raise kind(*answer["error"])
        shape = answer["shape"]
        shared = np.frombuffer(self._shared, np.uint8, math.prod(shape)).reshape(shape)
        return shared.copy(), ClipFacts(**answer["facts"])

    def close(self) -> None:
        """End the process, and give its memory back."""
        self._stop()
        self._file.close()

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # a request that nobody reads any more
            self._requests.close()
        self._answers.close()

    def _next_answer(self) -> dict[str, Any] | None:
        """What it says next; None if it has ended."""
        line = self._answers.readline()
        return dict(json.loads(line)) if line else None


def _lost(path: Path, exit_code: int) -> VideoError:
    """Return the error for a process that ended; only a crash is blamed on the file."""
    if exit_code == -signal.SIGKILL or exit_code >= 0:
        how = "was killed" if exit_code < 0 else f"failed (exit code {exit_code})"
        return ResourceError(
            f"{path}: the decoding process {how}, perhaps as memory was short",
            "memory for a few decoded frames of the video, and for those that are sampled",
            "end other programs, or raise the limit on memory; then run the command again.",
        )
    return VideoError(
        f"{path}: the decoder crashed (exit code {exit_code})",
        "a video that FFmpeg can decode to its end",
        "leave it out, or encode it again: ffmpeg -i OLD NEW.mp4",
    )


def _file_in_memory(num_bytes: int) -> IO[bytes]:
    """A file of that size, on the disk where memory has no room for it.

    It is written once, since memory that is promised but not there would kill who uses it.
    """
    if _IN_MEMORY.is_dir():
        with suppress(OSError):
            return _filled_file(_IN_MEMORY, num_bytes)
    return _filled_file(None, num_bytes)


def _filled_file(folder: Path | None, num_bytes: int) -> IO[bytes]:
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        file.write(bytes(num_bytes))
        file.flush()
        stack.pop_all()
    return file
