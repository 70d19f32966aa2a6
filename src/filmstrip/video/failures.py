"""Failures of the machine, told apart from faults of a video.

A lack of memory and a failing disk look like damage: FFmpeg's H.264 decoder reports "invalid data"
where it cannot allocate a frame. What the machine did wrong becomes a ``ResourceError``, which is
never kept as a fact of the file.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from av.video.stream import VideoStream

from filmstrip.errors import (
    NoVideoError,
    ResourceError,
    VideoError,
    lacks_memory,
    out_of_memory,
)
from filmstrip.video.limits import decoder_bytes

_LEAST_ROOM_BYTES = 2**26
_BLOCK_BYTES = 2**20


@contextmanager
def machine_failures(path: Path) -> Iterator[None]:
    """Raise a ``ResourceError`` where the machine failed in the block, and not the file.

    Raises:
        ResourceError: memory was lacking, or the file could not be read.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise out_of_memory(path) from error
    except OSError as error:
        if lacks_memory(error):
            raise out_of_memory(path) from error
        raise unreadable(path, error) from error
    except VideoError as error:
        cause = error.__cause__
        if isinstance(error, ResourceError) or cause is None:
            raise
        if lacks_memory(cause):
            raise out_of_memory(path) from error
        if isinstance(cause, OSError):
            check_readable(path)
        raise


def check_room(name: str | Path, stream: VideoStream, error: Exception) -> None:
    """Blame the machine for ``error`` if it has no room for what the decoder may need.

    Call it while the decoder is open: closing it gives its memory back.

    Raises:
        ResourceError: the memory that ``stream`` may need cannot be allocated now.
    """
    if isinstance(error, ResourceError):
        return
    try:
        # Reserved, never touched: this costs no memory.
        mmap.mmap(-1, decoder_bytes(stream) + _LEAST_ROOM_BYTES).close()
    except (OSError, MemoryError) as shortage:
        raise out_of_memory(name) from shortage


def unreadable(path: Path, error: OSError) -> VideoError:
    """Return the error for a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return NoVideoError(
            f"{path}: there is no such file",
            "the path of a video file",
            "check the spelling, and that the file was not moved or deleted meanwhile.",
        )
    return ResourceError(
        f"{path}: could not be read ({error.strerror})",
        "a file that this user may read now",
        "change its permissions, or check the disk or network share it is on; then try again.",
    )


def check_readable(path: Path) -> None:
    """Read all of a file to find out if its disk or network share fails.

    Demuxers say EIO of a file that ends too early, too: only reading it tells.

    Raises:
        VideoError: the system does not let us read it.
    """
    try:
        with path.open("rb", buffering=0) as file:
            while file.read(_BLOCK_BYTES):
                pass
    except OSError as error:
        raise unreadable(path, error) from error
