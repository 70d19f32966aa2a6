"""The store: computed features by content, so that nothing is computed twice.

An entry's key is a hash of the video's bytes, of the backbone and its weights, of the sampling,
the framing and the view. A renamed or moved video is found; an edited one is not. Entries appear
whole or not at all, and several processes and machines may share one store.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from filmstrip.cache import needing_cache
from filmstrip.errors import StorageError
from filmstrip.features import claims
from filmstrip.features.claims import Claim
from filmstrip.features.entry import (
    FORMAT,
    ClipFacts,
    Entry,
    is_of_another_version,
    open_entry,
    write_entry,
)

NOTE_USE_AFTER_SECONDS = 3600
"""How old the note of an entry's last use may grow before a further use renews it."""


class FeatureStore:
    """A folder of entries, each a tensor and the facts of its clip.

    An entry is claimed before it is computed, so that processes that share the store share the
    work::

        while (entry := store.entry(key)) is None:
            claim = store.claim(key)
            if claim is None:
                store.wait(key)  # another computes it: look again once it has finished or died
                continue
            ...  # look once more, compute, write
            claim.release()

    Args:
        folder: where entries live; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims = folder / "claims"

    def key(self, *parts: str) -> str:
        """The key of an entry from the parts that decide its content."""
        return hashlib.blake2b("\0".join((FORMAT, *parts)).encode(), digest_size=20).hexdigest()

    def keys(self) -> Iterator[str]:
        """The keys of all entries."""
        for path in self.folder.glob("??/*.safetensors"):
            if not path.name.startswith("."):
                yield path.stem

    def path(self, key: str) -> Path:
        """The file of an entry, whether it is there or not."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def entry(self, key: str) -> Entry | None:
        """What an entry says of itself, or None where there is no whole entry of this key.

        Only the head of the file is read: a file cut short is found out, a damaged frame is not.
        """
        entry = self.describe(key)
        if entry is not None:
            _note_use(self.path(key))
        return entry

    def describe(self, key: str) -> Entry | None:
        """The same as ``entry``, but does not count as a use."""
        try:
            with open_entry(self.path(key)) as opened:
                return opened.entry
        except StorageError:
            return None  # absent, or damaged: it is computed again

    def length(self, key: str) -> int:
        """The number of frames T of an entry.

        Raises:
            StorageError: there is no whole entry of this key.
        """
        with open_entry(self.path(key)) as opened:
            return opened.entry.shape[0]

    def read(self, key: str, part: slice = slice(None)) -> Tensor:
        """The tensor of an entry: features (T, D) float32, or frames (T, H, W, 3) uint8.

        Args:
            key: of the entry.
            part: which frames to read from the disk; all of them if not given.

        Raises:
            StorageError: the entry is gone, or a frame is not as it was written.
        """
        with open_entry(self.path(key)) as opened:
            tensor = opened.read(part)
        _note_use(self.path(key))
        return tensor.float() if tensor.is_floating_point() else tensor

    def fault(self, key: str) -> str | None:
        """What is wrong with an entry, all of it read; None if it is as it was written.

        One of another version cannot be checked, and nothing is known against it.
        """
        try:
            with open_entry(self.path(key)) as opened:
                opened.read(slice(None))
        except StorageError as error:
            return None if is_of_another_version(self.path(key)) else error.given
        return None

    def write(
        self, key: str, tensor: Tensor, facts: ClipFacts, precision: str = "fp32", origin: str = ""
    ) -> None:
        """Add an entry; one that is there already is replaced.

        Args:
            key: of the entry.
            tensor: features (T, D) of any floating type, or frames (T, H, W, 3) uint8.
            facts: of the clip.
            precision: as in ``Entry``.
            origin: as in ``Entry``.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with needing_cache(self.path(key)):
            write_entry(self.path(key), tensor, facts, precision, origin)

    def claim(self, key: str) -> Claim | None:
        """Say that this process computes ``key`` now; None if a claim on it is held already.

        Raises:
            StorageError: the store cannot be written.
        """
        with needing_cache(self.claims / key):
            return claims.claim(self.claims / key)

    def wait(self, key: str) -> None:
        """Return once nobody holds a claim on ``key``. Release your own claims first."""
        claims.wait(self.claims / key)


def _note_use(path: Path) -> None:
    """Keep the time of last use as the file's time of change, for ``filmstrip cache prune``.

    Its time of access would do, but most systems are mounted so that it stands still. An entry of
    another user cannot be marked: it counts as used when it was written.
    """
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > NOTE_USE_AFTER_SECONDS:
            os.utime(path)
