"""A clip's bytes as one short name: what is computed of it is kept under that name."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from filmstrip.dataset.packed import PackedClips
from filmstrip.dataset.rows import VideoRow, is_there
from filmstrip.errors import NoVideoError


def content_hash(row: VideoRow) -> str:
    """A hash of the clip's bytes, whatever its name and place.

    Raises:
        NoVideoError: the file is gone or cannot be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    if row.packed_index is not None:
        frames = np.ascontiguousarray(packed_clips(row.path)[row.packed_index])
        digest.update(repr(frames.shape).encode())
        digest.update(frames.data)
        return digest.hexdigest()
    if not is_there(row.path):  # to open a pipe would be to wait for its writer
        raise _unreadable(row.path, "there is no such file")
    try:
        with row.path.open("rb") as file:
            return hashlib.file_digest(file, lambda: digest).hexdigest()
    except OSError as error:
        raise _unreadable(row.path, error.strerror) from error


@lru_cache(maxsize=4)
def packed_clips(path: Path) -> PackedClips:
    """The clips of a packed file, which is opened once."""
    return PackedClips(path)


def _unreadable(path: Path, reason: str | None) -> NoVideoError:
    return NoVideoError(
        f"{path}: cannot be read ({reason})",
        "a video file that is there and that this user may read",
        "check the path and its permissions.",
    )
