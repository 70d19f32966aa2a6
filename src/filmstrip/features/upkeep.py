"""Upkeep of a store: what is in it, whether it is sound, and what can go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmstrip.features import claims
from filmstrip.features.entry import is_of_another_version
from filmstrip.features.store import NOTE_USE_AFTER_SECONDS, FeatureStore
from filmstrip.storage import writing

IN_USE_SECONDS = 2 * NOTE_USE_AFTER_SECONDS
"""How recently used an entry must be to count as in use: its last use is noted that coarsely."""

LEFTOVER_AFTER_SECONDS = 24 * 3600
"""How old a half-written file must be for its writer to be surely dead."""

DAMAGED = "damaged"
OTHER_VERSION = "another version of Filmstrip"
"""The origins under which entries are listed that do not say what they are."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An entry as a file.

    Attributes:
        key: of the entry.
        num_bytes: on the disk.
        last_use: when it was last written or read, in seconds since 1970; up to
            ``NOTE_USE_AFTER_SECONDS`` too early.
    """

    key: str
    num_bytes: int
    last_use: float


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one kind.

    Attributes:
        origin: what made them, such as the backbone's name.
        precision: as in ``Entry``.
        frame_shape: of the tensor without its time: (D,) of features, (H, W, 3) of frames.
        num_entries: how many there are.
        num_bytes: of all together.
        last_use: of the one used last.
    """

    origin: str
    precision: str
    frame_shape: tuple[int, ...]
    num_entries: int
    num_bytes: int
    last_use: float


def stored_files(store: FeatureStore) -> list[StoredFile]:
    """All entries, from the file system alone: none is opened."""
    files = []
    for path in map(store.path, store.keys()):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed since it was listed
        files.append(StoredFile(path.stem, status.st_size, status.st_mtime))
    return files


def groups(store: FeatureStore) -> list[Group]:
    """What kinds of entries there are, in the order of their names."""
    members: dict[tuple[str, str, tuple[int, ...]], list[StoredFile]] = defaultdict(list)
    for file in stored_files(store):
        entry = store.describe(file.key)
        if entry is not None:
            members[entry.origin, entry.precision, entry.shape[1:]].append(file)
        elif is_of_another_version(store.path(file.key)):
            members[OTHER_VERSION, "", ()].append(file)
        elif store.path(file.key).exists():  # else removed since it was listed
            members[DAMAGED, "", ()].append(file)
    return [
        Group(
            *kind,
            num_entries=len(files),
            num_bytes=total_bytes(files),
            last_use=max(file.last_use for file in files),
        )
        for kind, files in sorted(members.items())
    ]


def total_bytes(files: Iterable[StoredFile]) -> int:
    """The size of several entries together."""
    return sum(file.num_bytes for file in files)


def faults(store: FeatureStore, files: Iterable[StoredFile]) -> Iterator[str | None]:
    """Read each entry whole; yield what is wrong with it, or None, in the order of ``files``."""
    for file in files:
        fault = store.fault(file.key)
        is_there = fault is None or store.path(file.key).exists()  # else removed by another
        yield fault if is_there else None


def choose(
    files: Iterable[StoredFile],
    now: float,
    older_than_seconds: float | None = None,
    target_bytes: int | None = None,
) -> list[StoredFile]:
    """Which entries may go, the least recently used first; one that is in use is never among them.

    Args:
        files: the entries.
        now: in seconds since 1970.
        older_than_seconds: all that were not used for so long.
        target_bytes: further ones, until no more than this is left.
    """
    by_use = sorted(files, key=lambda file: file.last_use)
    num_bytes_left = total_bytes(by_use)
    chosen = []
    for file in by_use:
        idle_seconds = now - file.last_use
        is_old = older_than_seconds is not None and idle_seconds > older_than_seconds
        is_too_much = target_bytes is not None and num_bytes_left > target_bytes
        if idle_seconds > IN_USE_SECONDS and (is_old or is_too_much):
            chosen.append(file)
            num_bytes_left -= file.num_bytes
    return chosen


def remove(store: FeatureStore, files: Iterable[StoredFile]) -> list[StoredFile]:
    """Remove entries, but for those that were used since they were looked at; return the removed.

    A process that reads one at this moment reads on: the system keeps a file that is open.

    Raises:
        StorageError: the store cannot be written.
    """
    removed = []
    for file in files:
        path = store.path(file.key)
        with writing(path):
            try:
                if path.stat().st_mtime == file.last_use:
                    path.unlink()
                    removed.append(file)
            except FileNotFoundError:
                continue
    return removed


def leftovers(store: FeatureStore) -> Sequence[Path]:
    """Half-written files whose writers were killed."""
    oldest_alive = time.time() - LEFTOVER_AFTER_SECONDS
    found = []
    for path in store.folder.glob("??/.*.part.safetensors"):
        try:
            is_left = path.stat().st_mtime < oldest_alive
        except FileNotFoundError:
            continue  # it was finished
        if is_left:
            found.append(path)
    return found


def sweep(store: FeatureStore) -> None:
    """Remove what killed processes left: half-written files, and claims.

    Raises:
        StorageError: the store cannot be written.
    """
    for path in leftovers(store):
        with writing(path):
            path.unlink(missing_ok=True)
    claims.sweep(store.claims)
