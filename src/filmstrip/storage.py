"""Files that appear whole or not at all, and folders that one process uses at a time."""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from filmstrip.errors import RunError, StorageError

LOCK_FILE = ".lock"
"""The file in a folder that ``locked`` holds."""

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file-size limit is reached",
}
_REFUSED = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
)
# Longer suffixes decide no format; a temporary name must not outgrow what the disk takes.
_LONGEST_SUFFIX_BYTES = 16


_GONE = (errno.ENOENT, errno.ESTALE, errno.EIO)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below ``path`` into a ``StorageError``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(
                f"{path}: could not be written, {_FULL[error.errno]}",
                "room for the files of the run and of the feature cache",
                "free some space, then run the same command again (a training with --resume): what "
                "was finished is kept; or choose another folder.",
            ) from error
        if error.errno in _REFUSED:
            raise StorageError(
                f"{path}: could not be written ({error.strerror})",
                "a folder that this user may write to",
                "change its permissions or choose another folder.",
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(
                f"{path}: could not be written, its name or its path is too long for this disk",
                "names of at most 255 bytes and paths of at most 4096, on most disks",
                "choose a folder or a file with a shorter name.",
            ) from error
        if error.errno in _GONE:
            raise StorageError(
                f"{path}: could not be written ({error.strerror})",
                "a folder that is there until the work is done",
                "see whether something removes it, or its disk fails; or choose another folder.",
            ) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, which takes its place once the block ends well.

    A reader sees the old file or the new one, never half of one; a block that fails leaves
    nothing behind.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX_BYTES else ""
    temporary = path.with_name(f".{uuid4().hex}.part{suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def fitting_name(name: str, suffix: str, folder: Path) -> str:
    """Return ``name`` with ``suffix``, shortened where the disk takes no name so long.

    The end of a shortened name is a digest of the full one, so that two long names stay apart.

    Args:
        name: of a file or folder to make.
        suffix: always kept whole.
        folder: an existing folder on the disk.
    """
    most_bytes = os.pathconf(folder, "PC_NAME_MAX")
    content = os.fsencode(name)
    if len(content) + len(os.fsencode(suffix)) <= most_bytes:
        return f"{name}{suffix}"
    ending = f"~{sha256(content).hexdigest()[:16]}{suffix}"
    start = content[: most_bytes - len(os.fsencode(ending))]
    return f"{start.decode(errors='ignore')}{ending}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone; the lock goes with the process, however it ends.

    Raises:
        RunError: another process holds it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another Filmstrip process is writing here",
                "a folder of its own for each run",
                "wait until that process ends, or give another --out.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python's own parser can go.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV with a header, whole or not at all.

    File names need not be UTF-8; their bytes are written as they are.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
