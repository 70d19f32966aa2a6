"""A clip's bytes as one short name: what is computed of it is kept under that name."""

from __future__ import annotations

import errno
import hashlib
import stat
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from filmstrip.dataset.packed import PackedClips
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import NoVideoError, ResourceError, VideoError

_NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)

_Stamp = tuple[int, int, int, int]
"""A file's inode, size and times of change: equal stamps mean equal bytes."""

# File systems count time in ticks of some milliseconds: two changes within one look like one.
_TICK_NANOSECONDS = 100_000_000

_known: dict[tuple[Path, int | None, _Stamp], str] = {}


def content_hash(row: VideoRow) -> str:
    """Return a hash of the clip's bytes, whatever its name and place.

    Each process reads a file once for this, as long as the file does not change.

    Raises:
        NoVideoError: the file is gone.
        ResourceError: it cannot be read now.
    """
    stamp = _stamp(row.path)
    known = _known.get((row.path, row.packed_index, stamp)) if stamp else None
    if known is not None:
        return known
    content = _read_hash(row)
    if stamp and time.time_ns() - stamp[-1] > _TICK_NANOSECONDS:
        _known[row.path, row.packed_index, stamp] = content
    return content


def packed_clips(path: Path) -> PackedClips:
    """The clips of a packed file, which is opened once."""
    return _open_packed(path, _stamp(path))


@lru_cache(maxsize=4)
def _open_packed(path: Path, stamp: _Stamp | None) -> PackedClips:
    del stamp  # part of the cache's key: a file that has changed is opened again
    return PackedClips(path)


def _read_hash(row: VideoRow) -> str:
    digest = hashlib.blake2b(digest_size=20)
    if row.packed_index is not None:
        frames = np.ascontiguousarray(packed_clips(row.path)[row.packed_index])
        digest.update(repr(frames.shape).encode())
        digest.update(frames.data)
        return digest.hexdigest()
    try:
        # To open a pipe would be to wait for its writer.
        if not stat.S_ISREG(row.path.stat().st_mode):
            raise _unreadable(row.path, FileNotFoundError())
        with row.path.open("rb") as file:
            return hashlib.file_digest(file, lambda: digest).hexdigest()
    except OSError as error:
        raise _unreadable(row.path, error) from error


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unreadable(path: Path, error: OSError) -> VideoError:
    # A name that no file can have, such as one that is too long, is simply not there.
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno in _NO_NAME:
        return NoVideoError(
            f"{path}: cannot be read (there is no such file)",
            "a video file that is there and that this user may read",
            "check the path and its permissions.",
        )
    return ResourceError(
        f"{path}: cannot be read ({error.strerror})",
        "a video file that this user may read now",
        "check its permissions, and the disk or network share it is on; then try again.",
    )
