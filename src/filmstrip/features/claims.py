"""Claims: which process computes an entry now, so that no other does the same work beside it.

A claim is a locked file. The operating system lets the lock go with the process, however that
ends. The file is removed with the claim; what a killed process leaves is taken over by the next
that claims the same, or swept.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filmstrip.storage import writing

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class Claim:
    """Held from ``claim`` until ``release``, or until the process ends.

    Attributes:
        path: the file that stands for what is claimed.
        descriptor: of the locked file; None on a file system without locks.
    """

    path: Path
    descriptor: int | None

    def release(self) -> None:
        """Let go, once; those who wait go on."""
        if self.descriptor is None:
            return
        with suppress(OSError):  # left behind, it bars nobody
            self.path.unlink()
        os.close(self.descriptor)


def claim(path: Path) -> Claim | None:
    """Claim what ``path`` stands for, or learn at once that another does: then None.

    On a file system without locks each claim succeeds: work may be done twice, never wrongly.

    Raises:
        StorageError: the folder of ``path`` cannot be written.
    """
    while True:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            return Claim(path, None)
        if _is_still_at(path, descriptor):
            return Claim(path, descriptor)
        # Between our open and our lock its holder removed the file and let go: the lock is on a
        # file that nobody else will find.
        os.close(descriptor)


def wait(path: Path) -> None:
    """Return once nobody has ``path`` claimed; another may claim it in the next moment.

    A process that waits while it holds claims may wait for one that waits for it: release first.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the files of claims whose processes were killed; those that are held stay."""
    for path in folder.glob("*"):
        held = claim(path)
        if held is not None:
            held.release()


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
